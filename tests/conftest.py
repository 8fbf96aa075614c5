"""What tests of every part share: a small valid batch."""

import hashlib
import io
import json
import os
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def tissue(rng: np.random.Generator, size: int) -> Pixels:
    """Pink ground with darker blobs, shape (size, size, 3), values 20 to 235."""
    y, x = np.mgrid[:size, :size]
    blobs = np.zeros((size, size))
    for _ in range(12):
        row, column, radius = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(2, 6)
        blobs = np.maximum(blobs, np.exp(-((y - row) ** 2 + (x - column) ** 2) / radius**2))
    ground, nucleus = np.array([225, 170, 200]), np.array([90, 60, 130])
    colours = ground + blobs[..., None] * (nucleus - ground) + rng.normal(0, 6, (size, size, 3))
    pixels: Pixels = np.clip(colours, 20, 235).astype(np.uint8)
    return pixels


def perturb(rng: np.random.Generator, pixels: Pixels, grey_levels: int) -> Pixels:
    """Every value up or down by as many grey levels."""
    signs = rng.choice(np.array([-1, 1]), size=pixels.shape)
    perturbed: Pixels = (pixels + grey_levels * signs).astype(np.uint8)
    return perturbed


def write_image(folder: Path, rng: np.random.Generator, pixels: Pixels) -> dict[str, str]:
    """`file` and `sha256` as a manifest names them."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    file = f"images/{rng.bytes(16).hex()}.png"
    (folder / file).write_bytes(buffer.getvalue())
    return {"file": file, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}


def write_case(
    folder: Path,
    rng: np.random.Generator,
    original: Pixels,
    index: int,
    truth: int,
    budgets: list[int],
) -> dict[str, Any]:
    right, wrong = (0.9, 0.1) if truth == 1 else (0.1, 0.9)
    return {
        "id": f"c{index + 1:02d}",
        "truth": truth,
        "source": {"data_set": "generated", "fold": "test", "index": index},
        "micrometres_per_pixel": 0.25,
        "original": {**write_image(folder, rng, original), "p_positive": right},
        "perturbed": [
            {
                "condition": f"linf-{budget}",
                **write_image(folder, rng, perturb(rng, original, budget)),
                "p_positive": wrong,
                "success": True,
                "measured": {
                    "l0_fraction": 1.0,
                    "l1_mad": float(budget),
                    "l2_rmsd": float(budget),
                    "linf": budget,
                },
            }
            for budget in budgets
        ],
    }


def condition(budget: int) -> dict[str, Any]:
    return {
        "id": f"linf-{budget}",
        "attack": "pgd",
        "norm": "linf",
        "epsilon": str(budget),
        "steps": 20,
        "step_size": "0.5",
        "confidence_target": 0.9,
        "seed": 0,
    }


def write_batch(
    path: Path,
    *,
    cases: int = 4,
    conditions: int = 1,
    size: int = 64,
    truths: Sequence[int] | None = None,
    epsilon: str = "2",
    seed: int = 0,
    name: str = "A small batch",
    images: Sequence[Pixels] = (),
    evidence: bool = False,
) -> Path:
    """A valid batch in the folder `path`; its bytes depend on nothing but the arguments.

    Truths are 1, 0, 1, 0, ... unless given. The budgets of the conditions are once, twice,
    three times `epsilon`, and their ids are linf-2, linf-4, linf-6. `images` are the originals,
    instead of drawn ones. With `evidence` it is of version 1.1.
    """
    rng = np.random.default_rng(seed)
    (path / "images").mkdir(parents=True)
    budgets = [int(epsilon) * (number + 1) for number in range(conditions)]
    truths = [(index + 1) % 2 for index in range(cases)] if truths is None else truths
    manifest = {
        "format": "plainsight-batch",
        "format_version": 1,
        "name": name,
        "created_at": "2026-01-02T03:04:05Z",
        "criterion": "Tumour: five or more tumour cells. No tumour: none.",
        "network": {
            "architecture": "resnet18",
            "file_sha256": "1" * 64,
            "data": {"name": "generated", "sha256": "2" * 64},
            "metrics": {"auc": 0.98, "accuracy": 0.95, "n": 200},
        },
        "conditions": [condition(budget) for budget in budgets],
        "cases": [
            write_case(
                path, rng, images[index] if images else tissue(rng, size), index, truth, budgets
            )
            for index, truth in enumerate(truths[:cases])
        ],
        "provenance": {"code": {"version": "0.1.0", "commit": None}, "seed": seed},
    }
    if evidence:
        manifest |= {"format_version": 1.1, "evidence": write_evidence(path, rng, manifest, size)}
    (path / "batch.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


SMALLEST: dict[str, tuple[float | str, ...]] = {
    "linf": (1, 1, 2, 4, "inf"),
    "l2": (0.5, 1, 1.5, 3, 3.5),
}
CURVE_EPSILONS = (0.5, 1, 2, 4)


def write_evidence(
    path: Path, rng: np.random.Generator, manifest: dict[str, Any], size: int
) -> dict[str, Any]:
    """All that evidence may hold. The smallest perturbations of five patches are SMALLEST."""
    (path / "evidence/saliency").mkdir(parents=True)
    network = {
        "network_sha256": "1" * 64,
        "data_sha256": "2" * 64,
        "cross_validation": {
            "folds": 3,
            "patches": 300,
            "positives": 150,
            "auc": {"mean": 0.97, "sd": 0.01},
            "accuracy": {"mean": 0.94, "sd": 0.02},
            "calibration_error": {"mean": 0.05, "sd": None},
        },
        "saliency_method": "gradient",
        "provenance": {"code": {"version": "0.1.0", "commit": None}, "seed": 0},
    }
    points = [
        (norm, epsilon, *share([float(s) <= epsilon for s in sizes]), "minimal", "8")
        for norm, sizes in SMALLEST.items()
        for epsilon in CURVE_EPSILONS
    ]
    smallest = [
        (f"p{number}", norm, sizes[number] if sizes[number] != "inf" else 9, sizes[number], 1)
        for norm, sizes in SMALLEST.items()
        for number in range(5)
    ]
    natural = [
        ("jpeg", 80.0, *share([True] + 9 * [False]), 1.5, 2.5, 20.0, 0.97),
        ("blur", 1.0, *share(4 * [True] + 6 * [False]), 3.0, 4.5, 60.0, 0.91),
        ("pgd_linf", 2.0, *share(9 * [True] + [False]), 1.0, 1.2, 2.0, 0.99),
    ]
    bins = [(0, 0.0, 0.5, 5, 0.2, 0.2), (1, 0.5, 1.0, 0, "", "")]
    rate = "n,successes,rate,low,high"
    texts = {
        "network.json": json.dumps(network, indent=2) + "\n",
        "curves.csv": table(f"norm,epsilon,{rate},method,bits", points),
        "minimal.csv": table("case,norm,epsilon_float,epsilon_8bit,truth", smallest),
        "natural.csv": table(f"change,level,{rate},l1_mad,l2_rmsd,linf,ssim", natural),
        "calibration.csv": table("bin,low,high,n,mean_p,share_positive", bins),
    }
    files = []
    for name, text in texts.items():
        (path / "evidence" / name).write_text(text, encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        files.append({"file": f"evidence/{name}", "sha256": sha256})
    saliency = [
        {"case": case["id"], "condition": image, **write_saliency(path, rng, size)}
        for case in manifest["cases"]
        for image in ("original", *(each["condition"] for each in case["perturbed"]))
    ]
    return {"files": files, "saliency": saliency}


def share(fooled: list[bool]) -> tuple[int, int, float, float, float]:
    """n, successes, rate and an interval around it."""
    rate = sum(fooled) / len(fooled)
    return len(fooled), sum(fooled), rate, max(0.0, rate - 0.2), min(1.0, rate + 0.2)


def table(header: str, rows: Sequence[Sequence[object]]) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def write_saliency(folder: Path, rng: np.random.Generator, size: int) -> dict[str, str]:
    grey = rng.integers(0, 256, (size, size, 1), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(grey, 3, axis=2)).save(buffer, "PNG")
    file = f"evidence/saliency/{rng.bytes(16).hex()}.png"
    (folder / file).write_bytes(buffer.getvalue())
    return {"file": file, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real tissue and oracles: beside the checkout, or where PLAINSIGHT_SHARED says, or absent."""
    beside = Path(__file__).parents[2] / "shared"
    return Path(os.environ.get("PLAINSIGHT_SHARED", beside)).resolve()


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Path]:
    """`make_batch(path, cases=4, ...)` writes a batch: see `write_batch`."""
    return write_batch


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """`make_run(path, name="drawn", ...)` writes a run folder: see tests/sample_run.py."""
    write_run: Callable[..., Path] = runpy.run_path(str(Path(__file__).with_name("sample_run.py")))[
        "write_run"
    ]
    return write_run


@pytest.fixture(scope="session")
def drawn_run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with figures and report, whose data have a name to be escaped; read only."""
    from ml.report import write_report

    run = make_run(tmp_path_factory.mktemp("drawn") / "run", name='<b>colon & "co"</b>')
    write_report(run)
    return run
