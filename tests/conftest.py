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
) -> Path:
    """A valid batch in the folder `path`; its bytes depend on nothing but the arguments.

    Truths are 1, 0, 1, 0, ... unless given. The budgets of the conditions are once, twice,
    three times `epsilon`, and their ids are linf-2, linf-4, linf-6. `images` are the originals,
    instead of drawn ones.
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
    (path / "batch.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


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
