"""A batch of version 1 stays readable for ever: golden/batch-v1 was written once."""

import json
from pathlib import Path

import jsonschema

from app.batches.check import check_batch

GOLDEN = Path(__file__).parent / "golden/batch-v1"
SCHEMA = Path(__file__).parents[2] / "docs/batch.schema.json"
DIGEST = "2ac60b6f5002f657f8890f39d88ebff8e2f390385e17d18a90be6e36ada3bd27"


def test_the_golden_batch_is_accepted() -> None:
    checked = check_batch(GOLDEN)

    assert checked.digest == DIGEST, "the golden batch was changed; write a new one beside it"
    assert [(image.case, image.condition) for image in checked.images()] == [
        ("c01", "original"),
        ("c01", "linf-2"),
        ("c02", "original"),
        ("c02", "linf-2"),
        ("c03", "original"),
        ("c03", "linf-2"),
    ]


def test_the_golden_batch_keeps_the_schema() -> None:
    manifest = json.loads((GOLDEN / "batch.json").read_text(encoding="utf-8"))

    jsonschema.validate(
        manifest,
        json.loads(SCHEMA.read_text(encoding="utf-8")),
        cls=jsonschema.Draft202012Validator,
    )
