"""Writes a batch (docs/batch-format.md), each success proven on the files themselves."""

import hashlib
import json
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.attacks.results import AttackRecord, AttackResults, Row, read_results
from ml.data import CRITERION, Progress
from ml.errors import MlError
from ml.evaluation import p_positive, predicted_class
from ml.evidence import add_evidence, read_run
from ml.explain.maps import Method
from ml.files import scratch_folder, sha256_of, whole_file
from ml.networks import NetworkCard, PixelNetwork, load_network
from ml.provenance import provenance, utc_now
from ml.quantize import Measured, measure, tensor_from_images


@dataclass(frozen=True)
class WrittenBatch:
    """`proven` of `attacked` images kept their success on disk; `cases` of them are in it.

    `no_evidence_of` are the steps that the run with the evidence lacks; None without a run.
    """

    path: Path
    cases: int
    proven: int
    attacked: int
    linf_max: int
    mean_l2_rmsd: float
    no_evidence_of: list[str] | None = None


@dataclass(frozen=True)
class Decoded:
    """A PNG as it is on disk."""

    file: str
    sha256: str
    p_positive: float


@dataclass(frozen=True)
class Pair:
    """`measured` on the decoded files; `pixels` is a digest of the original's."""

    row: Row
    original: Decoded
    perturbed: Decoded
    measured: Measured
    pixels: bytes

    @property
    def proven(self) -> bool:
        before, after = predicted_class(
            np.array([self.original.p_positive, self.perturbed.p_positive])
        )
        return bool(before == self.row.truth and after != self.row.truth)


def write_batch(
    attack: Path,
    out: Path,
    *,
    network_file: Path | None = None,
    count: int | None = None,
    name: str | None = None,
    seed: int = 0,
    evidence: Path | None = None,
    saliency: Method | None = "gradient",
    progress: Progress = lambda _done, _total: None,
) -> WrittenBatch:
    """A folder, or a zip where `out` ends in .zip; `count` of the proven pairs drawn by `seed`.

    `evidence` is the folder of a run (ml.reproduce), with which come maps of `saliency`.
    """
    if out.exists():
        raise MlError(f"{out} exists already; choose another place for the batch.")
    results = read_results(attack)
    network, card = _load_attacked_network(results.record, network_file)
    run = None if evidence is None else read_run(evidence, card)
    with scratch_folder(out) as scratch:
        folder = scratch / "batch"
        (folder / "images").mkdir(parents=True)
        proven = _prove(folder, network, results, seed, progress)
        if len(proven) < (count or 1):
            raise MlError(
                f"Only {len(proven)} of {len(results.rows)} attacks are proven on disk, not "
                f"{count or 1}; attack more images, or with a larger epsilon, or lower --count."
            )
        chosen = proven[:count]
        for pair in proven[len(chosen) :]:
            _delete(folder, pair)
        manifest = _manifest(results.record, card, chosen, name, seed)
        if run is not None:
            add_evidence(folder, manifest, run, network, card, saliency)
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (folder / "batch.json").write_text(text + "\n", "utf-8")
        _put_in_place(folder, out)
    measured = [pair.measured for pair in chosen]
    return WrittenBatch(
        path=out,
        cases=len(chosen),
        proven=len(proven),
        attacked=len(results.rows),
        linf_max=max(m.linf for m in measured),
        mean_l2_rmsd=float(np.mean([m.l2_rmsd for m in measured])),
        no_evidence_of=None if run is None else run.missing,
    )


def _load_attacked_network(
    record: AttackRecord, network_file: Path | None
) -> tuple[PixelNetwork, NetworkCard]:
    path = network_file or Path(record.network)
    network, card = load_network(path)
    if card.file_sha256 != record.network_sha256:
        raise MlError(f"{path} is not the network that was attacked; give that: --network FILE.")
    return network, card


def _prove(
    folder: Path, network: PixelNetwork, results: AttackResults, seed: int, progress: Progress
) -> list[Pair]:
    """Writes every pair and keeps the files of the proven ones, in an order drawn by the seed.

    Of originals with the same pixels the first in that order is kept.
    """
    proven: dict[int, Pair] = {}
    for i, (row, *images) in enumerate(_images(results)):
        pair = _write_pair(folder, network, row, images)
        if pair.proven:
            proven[i] = pair
        else:
            _delete(folder, pair)
        progress(i + 1, len(results.rows))
    kept: dict[bytes, Pair] = {}
    for i in np.random.default_rng(seed).permutation(len(results.rows)):
        if i in proven and kept.setdefault(proven[i].pixels, proven[i]) is not proven[i]:
            _delete(folder, proven[i])
    return list(kept.values())


def _images(
    results: AttackResults,
) -> Iterator[tuple[Row, NDArray[np.uint8], NDArray[np.uint8]]]:
    for shard in results.shards():
        yield from zip(shard.rows, shard.originals, shard.perturbed, strict=True)


def _write_pair(
    folder: Path, network: PixelNetwork, row: Row, images: list[NDArray[np.uint8]]
) -> Pair:
    files = [_write_png(folder, image) for image in images]
    pixels = [_decode(folder, file) for file in files]
    probabilities = p_positive(network, tensor_from_images(np.stack(pixels)))
    original, perturbed = (
        Decoded(file, sha256_of(folder / file), float(p))
        for file, p in zip(files, probabilities, strict=True)
    )
    digest = hashlib.sha256(pixels[0].tobytes()).digest()
    return Pair(row, original, perturbed, measure(*pixels), digest)


def _write_png(folder: Path, pixels: NDArray[np.uint8]) -> str:
    """Nothing but pixels; the name says neither the case nor the arm."""
    file = f"images/{secrets.token_hex(16)}.png"
    Image.fromarray(pixels).save(folder / file)
    return file


def _decode(folder: Path, file: str) -> NDArray[np.uint8]:
    with Image.open(folder / file) as image:
        return np.array(image)


def _delete(folder: Path, pair: Pair) -> None:
    for image in (pair.original, pair.perturbed):
        (folder / image.file).unlink()


def _manifest(
    record: AttackRecord, card: NetworkCard, pairs: list[Pair], name: str | None, seed: int
) -> dict[str, Any]:
    condition = asdict(record.condition)
    return {
        "format": "plainsight-batch",
        "format_version": 1,
        "name": name or f"{record.data_name}, {record.condition.id}",
        "created_at": utc_now(),
        "criterion": CRITERION,
        "network": {
            "architecture": card.architecture,
            "file_sha256": card.file_sha256,
            "data": {"name": card.data_name, "sha256": card.data_sha256},
            "metrics": card.metrics,
        },
        "conditions": [condition],
        "cases": [
            _case(f"case-{number:04}", pair, record) for number, pair in enumerate(pairs, start=1)
        ],
        "provenance": {
            **provenance(),
            "seed": seed,
            "network": {"settings": card.settings, "provenance": card.provenance},
            "attack": {
                "settings": record.settings,
                "data": {"name": record.data_name, "sha256": record.data_sha256},
                "included_training": record.included_training,
                "provenance": record.provenance,
            },
        },
    }


def _case(case_id: str, pair: Pair, record: AttackRecord) -> dict[str, Any]:
    row, original, perturbed = pair.row, pair.original, pair.perturbed
    return {
        "id": case_id,
        "truth": row.truth,
        "source": {"data_set": row.data_set, "fold": row.fold, "index": row.index},
        "micrometres_per_pixel": record.micrometres_per_pixel,
        "original": {
            "file": original.file,
            "sha256": original.sha256,
            "p_positive": original.p_positive,
        },
        "perturbed": [
            {
                "condition": record.condition.id,
                "file": perturbed.file,
                "sha256": perturbed.sha256,
                "p_positive": perturbed.p_positive,
                "success": pair.proven,
                "measured": asdict(pair.measured),
            }
        ],
    }


def _put_in_place(folder: Path, out: Path) -> None:
    if out.suffix != ".zip":
        folder.rename(out)
        return
    with whole_file(out) as beside, zipfile.ZipFile(beside, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
