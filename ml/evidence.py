"""The evidence beside a batch (docs/batch-format.md, 1.1): what a run measured of its network."""

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ml.curve_jobs import MinimalRow
from ml.curves import CurvePoint
from ml.errors import MlError
from ml.evaluation import CalibrationBin
from ml.explain.maps import Method, saliency_map
from ml.files import sha256_of
from ml.matched_energy import NaturalRow
from ml.networks import NetworkCard, PixelNetwork, attack_view, card_path, load_card
from ml.steps import read_table

FOLDER = "evidence"
TABLES: dict[str, dict[str, type[Any]]] = {
    "curves": {"curves.csv": CurvePoint, "minimal.csv": MinimalRow},
    "crossval": {"calibration.csv": CalibrationBin},
    "natural": {"natural.csv": NaturalRow},
}
"""By step of a run; the first is needed, the others are told where they are missing."""
INTEGRATION_STEPS = 32
BRIGHTEST = 99
"""The percentile of both maps of a pair from which on all is as bright as can be."""


@dataclass(frozen=True)
class Run:
    """The facts of those steps that the run did; what was no number in them is None."""

    path: Path
    facts: dict[str, dict[str, Any]]

    @property
    def missing(self) -> list[str]:
        return [step for step in TABLES if step not in self.facts]

    @property
    def tables(self) -> list[Path]:
        return [self.path / name for step in self.facts for name in TABLES[step]]


def read_run(path: Path, card: NetworkCard) -> Run:
    """MlError unless it has success curves, all its tables can be read, and all is of `card`."""
    facts = {step: _facts(path / f"{step}.json") for step in TABLES if _is_done(path, step)}
    if "curves" not in facts:
        raise MlError(
            f"{path} has no success curves; make them: plainsight-ml curves NETWORK --data DATA "
            f"--out {path}"
        )
    for step, found in facts.items():
        for name, kind in TABLES[step].items():
            read_table(path / name, kind)
        _refuse_another(path, step, found, card)
    return Run(path, facts)


def _is_done(path: Path, step: str) -> bool:
    return (path / f"{step}.json").is_file()


def _facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"), parse_constant=lambda _: None)
    except ValueError as error:
        raise MlError(f"{path} cannot be read ({error}); run its step again.") from None
    if not isinstance(found, dict):
        raise MlError(f"{path} is not of a run; run its step again.")
    return found


def _refuse_another(path: Path, step: str, facts: dict[str, Any], card: NetworkCard) -> None:
    """A cross-validation is of the network if it trained it as one of its folds."""
    if facts.get("data_sha256") != card.data_sha256:
        raise MlError(
            f"{path / step}.json is of other data than the network that was attacked was trained "
            f"on ({card.data_name}); give the run of that network."
        )
    if step == "crossval":
        networks = {
            load_card(file).file_sha256
            for file in path.glob("folds/*/network.safetensors")
            if card_path(file).is_file()
        }
    else:
        networks = {str(facts.get("network_sha256"))}
    if card.file_sha256 not in networks:
        raise MlError(
            f"{path / step}.json is of another network than the one that was attacked; attack the "
            "network of this run (folds/run-1-fold-1/network.safetensors), or give its own run."
        )


def add_evidence(
    folder: Path,
    manifest: dict[str, Any],
    run: Run,
    network: PixelNetwork,
    card: NetworkCard,
    method: Method | None,
) -> None:
    """To the batch in `folder` and to its manifest, with maps of all its images by `method`."""
    files = write_tables(folder, run, card, method)
    images: list[dict[str, str]] = []
    if method is not None:
        (folder / FOLDER / "saliency").mkdir()
        view = attack_view(network)
        for case in manifest["cases"]:
            images += write_saliency(folder, view, case, method)
    manifest["format_version"] = 1.1
    manifest["evidence"] = {"files": files, "saliency": images}


def write_tables(
    folder: Path, run: Run, card: NetworkCard, method: Method | None
) -> list[dict[str, str]]:
    """Writes `folder`/evidence but for saliency; gives what the manifest says of its files."""
    out = folder / FOLDER
    out.mkdir()
    document = {
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        **_cross_validation(run.facts.get("crossval")),
        **({"saliency_method": method} if method else {}),
        "provenance": run.facts,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (out / "network.json").write_text(text + "\n", "utf-8")
    for table in run.tables:
        shutil.copyfile(table, out / table.name)
    return [_named(folder, out / name) for name in sorted(p.name for p in out.iterdir())]


def _named(folder: Path, file: Path) -> dict[str, str]:
    return {"file": file.relative_to(folder).as_posix(), "sha256": sha256_of(file)}


def _cross_validation(facts: dict[str, Any] | None) -> dict[str, Any]:
    if facts is None:
        return {}
    errors = facts["ece"]
    return {
        "cross_validation": {
            "folds": facts["n_folds"],
            "patches": facts["n_patches"],
            "positives": facts["n_positive"],
            "auc": _spread(facts["auc_mean"], facts["auc_sd"]),
            "accuracy": _spread(facts["accuracy_mean"], facts["accuracy_sd"]),
            "calibration_error": _spread(
                float(np.mean(errors)),
                float(np.std(errors, ddof=1)) if len(errors) > 1 else None,
            ),
        }
    }


def _spread(mean: float, sd: float | None) -> dict[str, float | None]:
    return {"mean": mean, "sd": sd}


def write_saliency(
    folder: Path, view: nn.Module, case: dict[str, Any], method: Method
) -> list[dict[str, str]]:
    """Where the network looks in each image of a case of the manifest, drawn on one scale."""
    images = [{"condition": "original", **case["original"]}, *case["perturbed"]]
    maps = [_map_of(view, folder / image["file"], method) for image in images]
    ceiling = float(np.percentile(np.stack(maps), BRIGHTEST))
    return [
        {
            "case": case["id"],
            "condition": image["condition"],
            **_named(folder, _draw(folder, found, ceiling)),
        }
        for image, found in zip(images, maps, strict=True)
    ]


def _map_of(view: nn.Module, file: Path, method: Method) -> NDArray[np.float64]:
    with Image.open(file) as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return saliency_map(view, pixels, method, integration_steps=INTEGRATION_STEPS)


def _draw(folder: Path, found: NDArray[np.float64], ceiling: float) -> Path:
    """Dark where nothing matters; as the figures of a run draw it."""
    share = np.clip(found / ceiling, 0, 1) if ceiling > 0 else np.zeros_like(found)
    colours = matplotlib.colormaps["magma"](share, bytes=True)[..., :3]
    file = folder / FOLDER / "saliency" / f"{secrets.token_hex(16)}.png"
    Image.fromarray(np.ascontiguousarray(colours)).save(file)
    return file
