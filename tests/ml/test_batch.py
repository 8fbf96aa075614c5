import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ml.attacks.results import RECORD, TABLE, Shard, read_results, rows_path, write_shard
from ml.batch import WrittenBatch, write_batch
from ml.errors import MlError
from ml.evaluation import p_positive
from ml.networks import build_network, load_card, load_network, save_network
from ml.quantize import measure, tensor_from_images

SCHEMA = Path(__file__).parents[2] / "docs" / "batch.schema.json"


@pytest.fixture(scope="module")
def written(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> WrittenBatch:
    return write_batch(workplace.attack, tmp_path_factory.mktemp("batches") / "batch", seed=3)


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "batch.json").read_text("utf-8"))


@pytest.fixture
def attack_with(workplace: Any, tmp_path: Path) -> Callable[[Shard], Path]:
    """The attack, whose only shard is replaced."""

    def write(shard: Shard) -> Path:
        attack = tmp_path / "attack"
        attack.mkdir()
        record = json.loads((workplace.attack / RECORD).read_text())
        record["figures"]["attacked"] = len(shard.rows)
        (attack / RECORD).write_text(json.dumps(record))
        write_shard(attack, 0, shard, seconds=1.0)
        shutil.copy(rows_path(attack, 0), attack / TABLE)
        return attack

    return write


def files_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [case["original"], *case["perturbed"]]


def pixels_of(folder: Path, file: dict[str, Any]) -> Any:
    with Image.open(folder / file["file"]) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.array(image)


def test_the_manifest_follows_the_schema_of_the_format(written: WrittenBatch) -> None:
    manifest = manifest_of(written.path)
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text("utf-8")))
    assert len(manifest["cases"]) == written.cases >= 3
    assert {case["truth"] for case in manifest["cases"]} == {0, 1}


def test_the_folder_holds_the_named_files_and_no_other(written: WrittenBatch) -> None:
    named = [f["file"] for c in manifest_of(written.path)["cases"] for f in files_of(c)]
    found = [p.relative_to(written.path).as_posix() for p in written.path.rglob("*.*")]
    assert sorted(found) == sorted([*named, "batch.json"])
    assert len(set(named)) == len(named)


def test_every_digest_is_that_of_the_file_on_disk(written: WrittenBatch) -> None:
    for case in manifest_of(written.path)["cases"]:
        for file in files_of(case):
            stored = (written.path / file["file"]).read_bytes()
            assert hashlib.sha256(stored).hexdigest() == file["sha256"]


def test_the_networks_answers_are_those_for_the_decoded_files(
    written: WrittenBatch, workplace: Any
) -> None:
    network, _ = load_network(workplace.network)
    for case in manifest_of(written.path)["cases"]:
        for file in files_of(case):
            [p] = p_positive(network, tensor_from_images(pixels_of(written.path, file)[None]))
            assert file["p_positive"] == pytest.approx(p, abs=1e-5)
        original, [perturbed] = case["original"], case["perturbed"]
        assert (original["p_positive"] >= 0.5) == (case["truth"] == 1)
        assert (perturbed["p_positive"] >= 0.5) != (case["truth"] == 1)
        assert perturbed["success"] is True


def test_the_norms_are_measured_on_the_decoded_files_and_within_the_budget(
    written: WrittenBatch,
) -> None:
    manifest = manifest_of(written.path)
    [condition] = manifest["conditions"]
    for case in manifest["cases"]:
        original, perturbed = (pixels_of(written.path, file) for file in files_of(case))
        measured = measure(original, perturbed)
        assert case["perturbed"][0]["measured"] == vars(measured)
        assert 0 < measured.linf <= Decimal(condition["epsilon"])


def test_the_images_carry_nothing_but_pixels(written: WrittenBatch) -> None:
    for path in (written.path / "images").iterdir():
        stored, chunks, at = path.read_bytes(), set(), 8
        while at < len(stored):
            chunks.add(stored[at + 4 : at + 8])
            at += 12 + int.from_bytes(stored[at : at + 4], "big")
        assert chunks == {b"IHDR", b"IDAT", b"IEND"}


def test_a_case_is_the_patch_its_source_names(written: WrittenBatch, workplace: Any) -> None:
    for case in manifest_of(written.path)["cases"]:
        source = case["source"]
        assert source["data_set"] == workplace.data.name
        with Image.open(workplace.data / f"{source['index']}.png") as image:
            patch = np.asarray(image)
        assert np.array_equal(pixels_of(written.path, case["original"]), patch)


def test_the_seed_chooses_the_cases_and_never_the_names(workplace: Any, tmp_path: Path) -> None:
    def chosen(name: str, seed: int) -> tuple[list[int], set[str]]:
        batch = write_batch(workplace.attack, tmp_path / name, count=2, seed=seed)
        manifest = manifest_of(batch.path)
        return (
            [case["source"]["index"] for case in manifest["cases"]],
            {file["file"] for case in manifest["cases"] for file in files_of(case)},
        )

    (first, names), (again, other_names) = chosen("first", 1), chosen("again", 1)
    assert len(first) == 2
    assert first == again
    assert not names & other_names
    assert any(chosen(f"other {seed}", seed)[0] != first for seed in (2, 3, 4))


def test_what_is_not_proven_on_disk_is_left_out(
    workplace: Any, tmp_path: Path, attack_with: Callable[[Shard], Path]
) -> None:
    [shard] = read_results(workplace.attack).shards()
    unproven = shard.perturbed.copy()
    unproven[0] = shard.originals[0]
    batch = write_batch(attack_with(replace(shard, perturbed=unproven)), tmp_path / "batch")
    sources = [case["source"]["index"] for case in manifest_of(batch.path)["cases"]]
    assert shard.rows[0].index not in sources
    assert batch.proven == len(sources) < batch.attacked
    assert len(list((batch.path / "images").iterdir())) == 2 * batch.cases


def test_two_patches_with_the_same_pixels_are_one_case(
    workplace: Any, tmp_path: Path, attack_with: Callable[[Shard], Path]
) -> None:
    [shard] = read_results(workplace.attack).shards()
    twice = Shard(
        rows=shard.rows * 2,
        originals=np.concatenate([shard.originals] * 2),
        perturbed=np.concatenate([shard.perturbed] * 2),
    )
    once = write_batch(workplace.attack, tmp_path / "once")
    assert write_batch(attack_with(twice), tmp_path / "twice").cases == once.cases
    assert len(list((tmp_path / "twice" / "images").iterdir())) == 2 * once.cases


def test_fewer_proven_than_asked_for_is_an_error_that_leaves_nothing(
    workplace: Any, tmp_path: Path
) -> None:
    with pytest.raises(MlError, match=r"Only \d+ of \d+ attacks are proven on disk, not 1000"):
        write_batch(workplace.attack, tmp_path / "batch", count=1000)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_place_is_refused(workplace: Any, tmp_path: Path) -> None:
    for name in ("folder", "file.zip"):
        (tmp_path / name).mkdir()
        with pytest.raises(MlError, match="exists already"):
            write_batch(workplace.attack, tmp_path / name)
        assert list((tmp_path / name).iterdir()) == []


def test_a_zip_holds_what_the_folder_would(workplace: Any, tmp_path: Path) -> None:
    batch = write_batch(workplace.attack, tmp_path / "new" / "batch.zip", name="Zipped")
    with zipfile.ZipFile(batch.path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
        entries = archive.namelist()
    manifest = manifest_of(tmp_path / "unpacked")
    assert manifest["name"] == "Zipped"
    named = [file["file"] for case in manifest["cases"] for file in files_of(case)]
    assert sorted(entries) == sorted([*named, "batch.json"])
    assert list((tmp_path / "new").iterdir()) == [batch.path]


def test_another_network_than_the_attacked_one_is_refused(workplace: Any, tmp_path: Path) -> None:
    card = load_card(workplace.network)
    other = tmp_path / "other.safetensors"
    save_network(
        build_network("none", seed=9), other, lambda sha256: replace(card, file_sha256=sha256)
    )
    with pytest.raises(MlError, match="not the network that was attacked"):
        write_batch(workplace.attack, tmp_path / "batch", network_file=other)


def test_a_moved_network_can_be_named(workplace: Any, tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(workplace.network.with_suffix(suffix), tmp_path / f"moved{suffix}")
    batch = write_batch(
        workplace.attack, tmp_path / "batch", network_file=tmp_path / "moved.safetensors"
    )
    assert batch.cases > 0


@pytest.mark.parametrize("part", ["attack.json", "results.csv", "shards/00000.npz"])
def test_a_damaged_attack_is_refused(workplace: Any, tmp_path: Path, part: str) -> None:
    attack = tmp_path / "attack"
    shutil.copytree(workplace.attack, attack)
    (attack / part).write_text("{}")
    with pytest.raises(MlError, match="attack again"):
        write_batch(attack, tmp_path / "batch")
    (attack / part).unlink()
    with pytest.raises(MlError, match=r"attack again|give the folder of a finished attack"):
        write_batch(attack, tmp_path / "batch")
