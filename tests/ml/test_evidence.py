"""What a run measured goes with the batch of its network, and with no other."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ml.batch import write_batch
from ml.curves import run_curves
from ml.errors import MlError
from ml.experiment import CurvesSettings
from ml.robustness import run_natural

SCHEMA = Path(__file__).parents[2] / "docs" / "batch.schema.json"
CURVES = CurvesSettings(
    l0=("0.2",), l1=("8",), l2=("20",), linf=("4",), steps=6, limit=4, check_limit=0, walk_steps=8
)
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def run(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With curves and natural changes, without a cross-validation."""
    out = tmp_path_factory.mktemp("evidence") / "run"
    experiment = replace(workplace.experiment, curves=CURVES)
    natural = replace(experiment.natural, limit=2, linf=("4",), l2=("8",))
    run_curves(workplace.network, workplace.data, out, experiment)
    run_natural(workplace.network, workplace.data, out, replace(experiment, natural=natural))
    return out


@pytest.fixture(scope="module")
def batch(workplace: Any, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evidence-batch") / "batch"
    written = write_batch(workplace.attack, out, evidence=run, saliency="grad_cam")
    assert written.no_evidence_of == ["crossval"]
    return out


def manifest_of(batch: Path) -> Any:
    return json.loads((batch / "batch.json").read_text("utf-8"))


def test_the_manifest_is_of_version_1_1_and_names_every_file_by_its_digest(batch: Path) -> None:
    manifest = manifest_of(batch)
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text("utf-8")))
    named = [*manifest["evidence"]["files"], *manifest["evidence"]["saliency"]]

    assert manifest["format_version"] == 1.1
    for each in named:
        content = (batch / each["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
    found = {p.relative_to(batch).as_posix() for p in (batch / "evidence").rglob("*.*")}
    assert found == {each["file"] for each in named}


def test_the_tables_are_those_of_the_run(batch: Path, run: Path) -> None:
    for name in ("curves.csv", "minimal.csv", "natural.csv"):
        assert (batch / "evidence" / name).read_bytes() == (run / name).read_bytes()
    facts = json.loads((batch / "evidence/network.json").read_text("utf-8"))
    network = manifest_of(batch)["network"]
    assert facts["network_sha256"] == network["file_sha256"]
    assert facts["data_sha256"] == network["data"]["sha256"]
    assert set(facts["provenance"]) == {"curves", "natural"}
    assert "cross_validation" not in facts


def test_every_image_has_a_map_of_its_size_on_the_scale_of_its_pair(batch: Path) -> None:
    manifest = manifest_of(batch)
    maps = {(each["case"], each["condition"]): each for each in manifest["evidence"]["saliency"]}

    assert len(maps) == 2 * len(manifest["cases"])
    for case in manifest["cases"]:
        brightest = []
        for image in ({"condition": "original", **case["original"]}, *case["perturbed"]):
            with (
                Image.open(batch / maps[case["id"], image["condition"]]["file"]) as drawn,
                Image.open(batch / image["file"]) as shown,
            ):
                assert (drawn.mode, drawn.size) == ("RGB", shown.size)
                brightest.append(int(np.array(drawn).sum(axis=2).max()))
        assert max(brightest) > 600, "somewhere in a pair it is as bright as can be"


def test_without_evidence_a_batch_is_of_version_1(workplace: Any, tmp_path: Path) -> None:
    write_batch(workplace.attack, tmp_path / "batch", count=1)

    manifest = manifest_of(tmp_path / "batch")
    assert manifest["format_version"] == 1
    assert "evidence" not in manifest


def without_curves(run: Path) -> None:
    (run / "curves.json").unlink()


def without_a_table(run: Path) -> None:
    (run / "minimal.csv").unlink()


def with_a_damaged_table(run: Path) -> None:
    (run / "natural.csv").write_text("change,level\njpeg,much\n")


def of_another(what: str) -> Change:
    def change(run: Path) -> None:
        path = run / "curves.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {what: "0" * 64}))

    return change


def with_a_cross_validation_of_others(run: Path) -> None:
    facts = json.loads((run / "curves.json").read_text())
    (run / "crossval.json").write_text(json.dumps({"data_sha256": facts["data_sha256"]}))
    (run / "calibration.csv").write_text("bin,low,high,n,mean_p,share_positive\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_curves, "has no success curves; make them: plainsight-ml curves"),
        (without_a_table, "minimal.csv cannot be read"),
        (with_a_damaged_table, "natural.csv cannot be read"),
        (of_another("network_sha256"), "curves.json is of another network"),
        (of_another("data_sha256"), "curves.json is of other data"),
        (with_a_cross_validation_of_others, "crossval.json is of another network"),
    ],
)
def test_a_run_that_lacks_something_or_is_of_another_network_is_refused(
    workplace: Any, run: Path, tmp_path: Path, change: Change, told: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    change(tmp_path / "run")

    with pytest.raises(MlError, match=told):
        write_batch(workplace.attack, tmp_path / "batch", evidence=tmp_path / "run")
    assert not (tmp_path / "batch").exists()
