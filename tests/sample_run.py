"""A small run folder with every table that the steps of a run leave, drawn by chance."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.evaluation import wilson

COLUMNS = {
    "table1a.csv": "fold,run,accuracy,auc",
    "predictions.csv": "run,fold,data_set,source_fold,index,truth,p_positive",
    "roc.csv": "run,fold,false_positive_rate,true_positive_rate",
    "calibration.csv": "bin,low,high,n,mean_p,share_positive",
    "confusion.csv": "run,fold,true_positive,false_negative,true_negative,false_positive",
    "curves.csv": "norm,epsilon,n,successes,rate,low,high,method,bits",
    "minimal.csv": "case,norm,epsilon_float,epsilon_8bit",
    "baselines.csv": "attack,norm,epsilon,n,successes,rate,low,high,bits",
    "transfer.csv": "norm,epsilon,network,seen,n,successes,rate,low,high",
    "sanity.csv": "check,passed,told",
    "universal.csv": "epsilon,split,n,successes,rate,low,high,network",
    "natural.csv": "change,level,n,successes,rate,low,high,l1_mad,l2_rmsd,linf,ssim",
    "defence.csv": "method,norm,epsilon,n,successes,rate,low,high,bits,"
    "clean_accuracy,clean_auc,robust_accuracy",
    "saliency.csv": "case,truth,method,share_before,share_after,mask_share",
    "embedding.csv": "case,group,x,y,step,neighbour_share",
    "landscape.csv": "x,y,loss",
    "trajectory.csv": "epoch,x,y,loss",
    "perceptibility.csv": "case,norm,epsilon,ssim,psnr_db,ciede2000_mean,ciede2000_max,lpips",
}
STEPS = (
    "crossval",
    "curves",
    "baselines",
    "universal",
    "natural",
    "defence",
    "saliency",
    "embedding",
    "landscape",
)
EPSILONS = {
    "l0": (0.001, 0.01, 0.05, 0.2),
    "l1": (0.05, 0.2, 0.5, 1.0),
    "l2": (0.1, 0.3, 1.0, 3.0),
    "linf": (0.25, 0.5, 1.0, 2.0, 4.0),
}
CASES = 24
OF_STEPS: dict[str, dict[str, Any]] = {
    "curves": {"considered": 40, "correct": 30},
    "landscape": {"variance_explained": [0.7, 0.2], "batch_norm": "Batch norm was seen to."},
    "saliency": {
        "before_and_after": {
            "gradient": {
                "n": 10,
                "mean_difference": -0.2,
                "low": -0.22,
                "high": -0.18,
                "permutation_p": 0.002,
            },
            "grad_cam": None,
        }
    },
}
Row = Sequence[object]


def write_run(folder: Path, *, size: int = 48, seed: int = 0, name: str = "drawn") -> Path:
    """`name` is that of the data, of a network and of a check: something to be escaped."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    tables = {
        **_crossval(chance),
        **_curves(chance),
        **_others(name),
        **_natural(),
        **_explanations(chance),
    }
    for table, rows in tables.items():
        _write(folder / table, COLUMNS[table], rows)
    _write_arrays(folder, chance, size)
    for step in STEPS:
        facts = {**_facts(name), **OF_STEPS.get(step, {})}
        (folder / f"{step}.json").write_text(json.dumps(facts), "utf-8")
    return folder


def _write(path: Path, columns: str, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns.split(","))
        writer.writerows(rows)


def _of(successes: int, n: int) -> tuple[int, int, float, float, float]:
    return n, successes, successes / n, *wilson(successes, n)


def _crossval(chance: np.random.Generator) -> dict[str, list[Row]]:
    folds = [(run, fold) for run in (1, 2) for fold in (1, 2, 3)]
    curve = np.linspace(0, 1, 11)
    scores = chance.uniform(0.01, 0.05, (6, 2)).round(4)
    return {
        "table1a.csv": [
            (fold, run, 0.9 - a, 0.97 - b)
            for (run, fold), (a, b) in zip(folds, scores, strict=True)
        ],
        "predictions.csv": [
            (run, fold, "drawn", "", 8 * fold + i, i % 2, 0.2 + 0.6 * (i % 2))
            for run, fold in folds
            for i in range(8)
        ],
        "roc.csv": [(run, fold, x, x ** (0.1 + 0.02 * fold)) for run, fold in folds for x in curve],
        "calibration.csv": [
            (i, i / 10, (i + 1) / 10, *((0, "", "") if i == 4 else (10, i / 10 + 0.04, i / 10)))
            for i in range(10)
        ],
        "confusion.csv": [(run, fold, 3, 1, 4, 0) for run, fold in folds],
    }


def _curves(chance: np.random.Generator) -> dict[str, list[Row]]:
    minimal: list[Row] = []
    points: list[Row] = []
    seen: list[Row] = []
    for norm, epsilons in EPSILONS.items():
        middle = epsilons[len(epsilons) // 2]
        in_float = middle * chance.lognormal(-0.8, 0.5, CASES)
        in_8_bits = np.maximum(np.ceil(in_float), 1) if norm == "linf" else in_float * 1.1
        in_8_bits[0] = np.inf
        for i in range(CASES):
            minimal.append((f"drawn-{i}", norm, float(in_float[i]), float(in_8_bits[i])))
            seen.append((f"drawn-{i}", norm, middle * (1 + i), 0.999, 52.5, 0.2, 1.5, ""))
        for epsilon in epsilons:
            for bits, found in (("float", in_float), ("8", in_8_bits)):
                successes = int((found <= epsilon).sum())
                points.append((norm, epsilon, *_of(successes, CASES), "minimal", bits))
                checked = int((found[:8] <= epsilon).sum())
                points.append((norm, epsilon, *_of(checked, 8), "pgd", bits))
    return {"curves.csv": points, "minimal.csv": minimal, "perceptibility.csv": seen}


def _others(name: str) -> dict[str, list[Row]]:
    attacks = {"random noise": 1, "FGSM": 12, "PGD": 20, "APGD-CE": 21, "Square": 15}
    return {
        "baselines.csv": [
            (attack, norm, epsilon, *_of(min(successes + i, 24), 24), "8")
            for attack, successes in attacks.items()
            for norm, epsilons in (("linf", (1.0, 2.0)), ("l2", (0.5, 1.0)))
            for i, epsilon in enumerate(epsilons)
        ],
        "transfer.csv": [
            ("linf", 2.0, network, "no", *_of(successes, 24))
            for network, successes in ((name, 9), ("run 1 fold 2", 11))
        ],
        "sanity.csv": [
            ("success at epsilon 0", True, "0 of 24 at epsilon 0."),
            (f"gradients of {name}", False, "3 of 24 gradients are zero."),
        ],
        "universal.csv": [
            (epsilon, split, *_of(int(n * min(1.0, epsilon / (10 if n > 50 else 14))), n), network)
            for epsilon in (1, 2, 4, 8)
            for split, n, network in (
                ("train", 60, "run-1-fold-1"),
                ("test", 30, "run-1-fold-1"),
                ("transfer", 25, "run-1-fold-2"),
                ("transfer", 26, name),
            )
        ],
        "defence.csv": [
            (method, norm, epsilon, *_of(int(24 * rate), 24), bits, clean, clean + 0.05, robust)
            for method, clean, factor in (("standard", 0.9, 1.0), ("free", 0.85, 0.4))
            for norm in ("linf", "l2")
            for epsilon in (1.0, 2.0, 4.0)
            for bits in ("float", "8")
            for rate in [min(1.0, factor * epsilon / 2)]
            for robust in [clean * (1 - rate)]
        ],
    }


def _natural() -> dict[str, list[Row]]:
    changes = {
        "jpeg": (0.5, 3, (90, 60, 30)),
        "blur": (1.0, 5, (0.5, 1, 2)),
        "stain": (3.0, 4, (0.02, 0.05, 0.1)),
        "random_as_pgd_linf": (0.6, 0, (1, 2, 4)),
        "random_as_pgd_l2": (0.5, 0, (0.5, 1, 2)),
        "pgd_linf": (0.6, 16, (1, 2, 4)),
        "pgd_l2": (0.5, 15, (0.5, 1, 2)),
    }
    return {
        "natural.csv": [
            (change, level, *_of(min(24, most * (i + 1) // 2), 24), energy, energy * 2**i, 9, 0.97)
            for change, (energy, most, levels) in changes.items()
            for i, level in enumerate(levels)
        ]
    }


def _explanations(chance: np.random.Generator) -> dict[str, list[Row]]:
    places = {
        "true_positive": (0, 0),
        "true_negative": (6, 1),
        "adversarial_positive": (1, 4),
        "adversarial_negative": (5, 0),
    }
    grid = np.linspace(-1, 1, 7)
    return {
        "embedding.csv": [
            *(
                (
                    f"drawn-{i}",
                    group,
                    x + chance.normal(0, 0.4),
                    y + chance.normal(0, 0.4),
                    "",
                    0.75,
                )
                for group, (x, y) in places.items()
                for i in range(12)
            ),
            *(("drawn-0", "track", step, step / 4, step, "") for step in range(6)),
        ],
        "landscape.csv": [(x, y, 0.02 + x * x + 2 * y * y) for x in grid for y in grid],
        "trajectory.csv": [(e, 0.9 - 0.3 * e, 0.5 - 0.2 * e, 1.4 / (e + 1)) for e in range(4)],
        "saliency.csv": [
            (f"drawn-{i}", 1, method, 0.5 + 0.01 * i, 0.3 + 0.01 * i, 0.25)
            for method in ("gradient", "integrated_gradients", "grad_cam")
            for i in range(10)
        ],
    }


def _write_arrays(folder: Path, chance: np.random.Generator, size: int) -> None:
    originals = chance.integers(60, 200, (3, size, size, 3), dtype=np.uint8)
    perturbed = (originals + chance.integers(-2, 3, originals.shape)).astype(np.uint8)
    mask = np.zeros((3, size, size), dtype=bool)
    mask[:, size // 4 : size // 2, size // 4 : size // 2] = True
    maps: dict[str, Any] = {
        f"{method}_{side}": chance.random((3, size, size)).astype(np.float32)
        for method in ("gradient", "integrated_gradients", "grad_cam")
        for side in ("before", "after")
    }
    p: dict[str, Any] = {
        "p_original": np.array([0.98, 0.9, 0.03]),
        "p_perturbed": np.array([0.04, 0.1, 0.91]),
    }
    np.savez(folder / "examples.npz", originals=originals, perturbed=perturbed, **p)
    np.savez(folder / "saliency.npz", image=originals, perturbed=perturbed, mask=mask, **maps)
    np.savez(
        folder / "universal.npz",
        epsilons=np.array(["1", "2", "4", "8"]),
        perturbations=np.stack(
            [chance.integers(-e, e + 1, (size, size, 3)).astype(np.int8) for e in (1, 2, 4, 8)]
        ),
    )


def _facts(name: str) -> dict[str, Any]:
    return {
        "seed": 7,
        "network_sha256": "1" * 64,
        "data_sha256": "2" * 64,
        "data_name": name,
        "settings": {"network": {"architecture": "resnet18", "weights": "none"}},
        "created_at": "2026-01-02T03:04:05Z",
        "seconds": 12.5,
        "provenance": {
            "code": {"version": "0.1.0", "commit": "a" * 40, "dirty": False},
            "libraries": {"numpy": "2.2", "torch": "2.14.1"},
            "python": "3.11.7",
            "platform": "Linux",
            "threads": 2,
        },
    }
