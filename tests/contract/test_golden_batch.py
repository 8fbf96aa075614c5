"""Batches of versions 1 and 1.1 stay readable for ever: those in golden/ were written once."""

import json
from pathlib import Path

import jsonschema
import pytest

from app.batches.check import check_batch

GOLDEN = Path(__file__).parent / "golden/batch-v1"
WITH_EVIDENCE = Path(__file__).parent / "golden/batch-v1.1"
SCHEMA = Path(__file__).parents[2] / "docs/batch.schema.json"
DIGEST = "2ac60b6f5002f657f8890f39d88ebff8e2f390385e17d18a90be6e36ada3bd27"

DIGEST_1_1 = "8ade6ee346e66e4da5feefe1d7e8136fb23e641a6c284052569f0893977dd47c"
COUNTED = {"curves": 166, "natural": 64, "calibration": 10}


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


def test_the_golden_batch_with_evidence_is_accepted() -> None:
    checked = check_batch(WITH_EVIDENCE)

    assert checked.digest == DIGEST_1_1, "it was changed; write a new one beside it"
    assert [(image.case, image.condition) for image in checked.images()] == [
        ("case-0001", "original"),
        ("case-0001", "pgd-linf-4"),
        ("case-0002", "original"),
        ("case-0002", "pgd-linf-4"),
    ]
    assert [pixels.shape for _, pixels in checked.saliency()] == 4 * [(64, 64, 3)]
    evidence = checked.evidence
    assert evidence is not None
    assert evidence["cross_validation"]["auc"]["mean"] == pytest.approx(0.7555555555555555)
    linf = [each["epsilon_8bit"] for each in evidence["minimal"] if each["norm"] == "linf"]
    assert len(linf) == 13
    counted = {name: len(evidence[name]) for name in ("curves", "natural", "calibration")}
    assert counted == COUNTED


@pytest.mark.parametrize("golden", [GOLDEN, WITH_EVIDENCE])
def test_the_golden_batch_keeps_the_schema(golden: Path) -> None:
    manifest = json.loads((golden / "batch.json").read_text(encoding="utf-8"))

    jsonschema.validate(
        manifest,
        json.loads(SCHEMA.read_text(encoding="utf-8")),
        cls=jsonschema.Draft202012Validator,
    )
