"""The evidence of a batch: every fault is told, and it is shown to its researchers alone."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import select

from app.batches.check import check_batch
from app.batches.evidence_view import evidence_view, middle
from app.batches.service import import_batch
from app.errors import Conflict, Invalid
from app.storage.images import ImageStore
from app.storage.models import Batch, Stimulus
from app.storage.session import Database
from app.web.identity import now

Change = Callable[[Path, dict[str, Any]], None]
NAMES = ("network.json", "curves.csv", "minimal.csv", "natural.csv", "calibration.csv")


@pytest.fixture
def batch(make_batch: Callable[..., Path], tmp_path: Path) -> Path:
    return make_batch(tmp_path / "delivered", cases=2, size=16, evidence=True)


def manifest_of(batch: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((batch / "batch.json").read_text(encoding="utf-8"))
    return found


def save(batch: Path, manifest: dict[str, Any]) -> None:
    (batch / "batch.json").write_text(json.dumps(manifest), encoding="utf-8")


def rewrite(batch: Path, name: str, change: Callable[[str], str]) -> None:
    """A file of the evidence, and its digest in the manifest."""
    manifest, file = manifest_of(batch), batch / "evidence" / name
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    for each in manifest["evidence"]["files"]:
        if each["file"] == f"evidence/{name}":
            each["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    save(batch, manifest)


def problems_of(batch: Path) -> list[str]:
    with pytest.raises(Invalid) as refused:
        check_batch(batch)
    return list(refused.value.problems)


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image)


def test_evidence_is_kept_with_the_batch_and_its_maps_with_their_images(
    batch: Path, database: Database, store: ImageStore
) -> None:
    number = import_batch(batch, database, store, now())

    with database.reading() as session:
        evidence = session.get_one(Batch, number).evidence
    assert evidence is not None
    smallest = [(each["norm"], each["epsilon_8bit"]) for each in evidence["minimal"]]
    assert smallest[:5] == [("linf", 1), ("linf", 1), ("linf", 2), ("linf", 4), ("linf", None)]
    assert evidence["cross_validation"]["auc"] == {"mean": 0.97, "sd": 0.01}
    assert [each["change"] for each in evidence["natural"]] == ["jpeg", "blur", "pgd_linf"]
    listed = manifest_of(batch)["evidence"]["saliency"]
    assert len(listed) == 4
    for each in listed:
        kept = evidence["saliency"][each["case"]][each["condition"]]
        delivered = (batch / each["file"]).read_bytes()
        assert (pixels(store.read(kept["file"], kept["sha256"])) == pixels(delivered)).all()


def test_a_batch_of_version_1_has_no_evidence(
    make_batch: Callable[..., Path], tmp_path: Path, database: Database, store: ImageStore
) -> None:
    batch = make_batch(tmp_path / "delivered", cases=2, size=16)
    save(batch, manifest_of(batch) | {"format_version": 1.1})
    number = import_batch(batch, database, store, now())

    with database.reading() as session:
        assert session.get_one(Batch, number).evidence is None


def test_evidence_belongs_to_version_1_1(batch: Path) -> None:
    save(batch, manifest_of(batch) | {"format_version": 1})

    assert problems_of(batch) == ["batch.json: evidence belongs to format_version 1.1; say so."]


def test_every_fault_of_the_evidence_is_told_at_once(batch: Path) -> None:
    rewrite(
        batch, "network.json", lambda text: text.replace('"data_sha256": "2', '"data_sha256": "3')
    )
    rewrite(batch, "curves.csv", lambda text: text.replace("linf,0.5,5,0,0.0", "linf,0.5,5,0,0.5"))
    rewrite(batch, "minimal.csv", lambda text: text.replace("p0,linf,1,1", "p0,linf,1,0"))
    rewrite(batch, "natural.csv", lambda text: text.replace("jpeg,80.0,10,1", "jpeg,80.0,10,many"))
    rewrite(batch, "calibration.csv", lambda text: text.replace("mean_p", "mean"))
    manifest = manifest_of(batch)
    first, second, third, _ = manifest["evidence"]["saliency"]
    (batch / first["file"]).unlink()
    second["case"] = "c09"
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "PNG")
    (batch / third["file"]).write_bytes(small.getvalue())
    third["sha256"] = hashlib.sha256(small.getvalue()).hexdigest()
    save(batch, manifest)

    assert problems_of(batch) == [
        f"{first['file']} is missing; copy the batch again.",
        (
            f"{second['file']} is of case c09, {second['condition']}, which is no image of this "
            "batch; leave it out."
        ),
        f"{third['file']} is 8 x 8 pixels, its image 16 x 16; make both the same size.",
        (
            f"evidence/network.json, data_sha256: it is 3{'2' * 63}, but the batch's network has "
            f"{'2' * 64}; take the evidence of that network."
        ),
        "evidence/curves.csv, line 2: rate is 0.5, but successes / n 0.0.",
        "evidence/minimal.csv, line 2, epsilon_8bit: '0' should be greater than 0.",
        "evidence/natural.csv, line 2, successes: 'many' should be a whole number.",
        "evidence/calibration.csv, line 1: there is no column mean_p; add it.",
        "evidence/calibration.csv, line 1: a column is not of this format, mean; remove it.",
    ]


def without(name: str) -> Change:
    def change(batch: Path, manifest: dict[str, Any]) -> None:
        listed = manifest["evidence"]["files"]
        listed[:] = [each for each in listed if each["file"] != f"evidence/{name}"]
        (batch / "evidence" / name).unlink()

    return change


def twice(_batch: Path, manifest: dict[str, Any]) -> None:
    manifest["evidence"]["files"][4] = manifest["evidence"]["files"][3]


def with_another_digest(_batch: Path, manifest: dict[str, Any]) -> None:
    manifest["evidence"]["files"][3]["sha256"] = "0" * 64


def of_one_image_twice(_batch: Path, manifest: dict[str, Any]) -> None:
    manifest["evidence"]["saliency"][1]["condition"] = "original"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("network.json"), "evidence/network.json is not listed"),
        (without("minimal.csv"), "belong together; list both or neither"),
        (twice, "evidence/natural.csv is listed 2 times; list it once."),
        (with_another_digest, "evidence/natural.csv has sha256"),
        (of_one_image_twice, "the saliency of c01, original is used 2 times"),
    ],
)
def test_a_list_that_is_not_right_is_told(batch: Path, change: Change, told: str) -> None:
    manifest = manifest_of(batch)
    change(batch, manifest)
    save(batch, manifest)

    assert told in " ".join(problems_of(batch))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("network.json", lambda _: "[]", "evidence/network.json should hold an object"),
        ("network.json", lambda text: text + "}", "evidence/network.json is not JSON"),
        (
            "network.json",
            lambda text: text.replace('"folds": 3', '"folds": "3"'),
            "evidence/network.json, cross_validation, folds: should be a whole number",
        ),
        (
            "network.json",
            lambda text: text.replace('"saliency_method": "gradient",', ""),
            "saliency_method: the field is missing, but there are saliency images",
        ),
        (
            "curves.csv",
            lambda text: text.replace("linf,4,5,4,0.8", "linf,4,5,3,0.6"),
            "norm linf, epsilon 4, 8 bits has 3 of 5, but evidence/minimal.csv gives 4 of 5",
        ),
        ("natural.csv", lambda text: text.replace("blur,", "blur\0,"), "cannot be stored"),
        ("natural.csv", lambda text: text.replace("0.97", "0.97,7"), "line 2 has more cells"),
        ("natural.csv", lambda text: text.replace("jpeg", '"jpeg'), "is not a CSV table"),
    ],
)
def test_a_file_that_is_not_right_is_told(
    batch: Path, name: str, change: Callable[[str], str], told: str
) -> None:
    rewrite(batch, name, change)

    assert told in " ".join(problems_of(batch))


def test_what_changed_after_the_check_is_not_kept(batch: Path) -> None:
    checked = check_batch(batch)
    (batch / manifest_of(batch)["evidence"]["saliency"][0]["file"]).unlink()

    with pytest.raises(Conflict):
        list(checked.saliency())


def test_quartiles_count_patches_that_nothing_fooled_above_all() -> None:
    infinite = float("inf")
    assert middle([1, 1, 2, 4, infinite]) == [1, 2, 4]
    assert middle([1, infinite, infinite]) == [infinite, infinite, infinite]
    assert middle([3]) == [3, 3, 3]


def test_the_page_of_the_batch_shows_it(
    batch: Path,
    office: Callable[..., TestClient],
    employ: Callable[[str], str],
    database: Database,
    store: ImageStore,
) -> None:
    number = import_batch(batch, database, store, now())
    desk = office(employ("ada@example.org"))
    page = " ".join(desk.get(f"/batches/{number}").text.split())

    assert "AUC 0.970 (SD 0.010), accuracy 0.940 (SD 0.020)" in page
    assert "expected calibration error 0.050." in page
    assert "A map of where the network looks, by gradient" in page
    row = "".join(f"<td>{cell}</td>" for cell in (5, 4, 1, 2, 4))
    assert f'<th scope="row">Linf</th>{row}' in page.replace("> <", "><")
    with database.reading() as session:
        for stimulus in session.scalars(select(Stimulus.id)):
            assert f'src="/batches/{number}/saliency/{stimulus}"' in page
            shown = desk.get(f"/batches/{number}/saliency/{stimulus}")
            assert shown.headers["content-type"] == "image/png"
            assert pixels(shown.content).shape == (16, 16, 3)
    charts = desk.get(f"/batches/{number}/network").text
    assert charts.count("<svg") == 2, "one a norm"
    drawn = desk.get(f"/batches/{number}/charts/network-linf.csv").text.splitlines()
    assert drawn[1].startswith("linf,8,0.5,5,0,0.0,")
    assert desk.get(f"/batches/{number}/saliency/999").status_code == 404


def test_a_batch_that_brought_little_shows_little() -> None:
    view = evidence_view({"provenance": {}})
    assert not any([view.sentences, view.smallest.rows, view.curves.rows, view.natural.rows])
    assert view.made == ""
