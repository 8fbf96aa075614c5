"""The whole chain, small: killed and started again, and each table with the columns it promises."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PATCHES = 48
TOML = """
seed = 0
[network]
weights = "none"
architecture = "resnet18"
[training]
optimizer = "adamw"
learning_rate = 0.001
epochs = 8
batch_size = 6
[crossval]
runs = 1
folds = 2
[attack]
epsilon = "24"
steps = 8
slots = 4
[curves]
l0 = ["0.05", "0.4"]
l1 = ["1", "8"]
l2 = ["2", "16"]
linf = ["0.5", "8", "32"]
steps = 6
walk_steps = 10
limit = 6
check_limit = 2
check_steps = 4
[baselines]
linf = ["8"]
l2 = ["8"]
steps = 3
queries = 5
limit = 4
[universal]
epsilons = ["8"]
epochs = 1
[natural]
limit = 4
linf = ["8"]
l2 = ["8"]
[defence]
methods = ["free"]
[explain]
limit = 8
integration_steps = 2
grid = 3
landscape_limit = 6
"""

PROMISED = {
    "table1a.csv": "run,fold,accuracy,auc",
    "curves.csv": "norm,epsilon,n,successes,rate,low,high,method,bits",
    "minimal.csv": "case,norm,epsilon_float,epsilon_8bit,truth",
    "universal.csv": "epsilon,split,n,successes,rate",
    "natural.csv": "change,level,n,successes,rate",
    "defence.csv": "method,norm,epsilon,n,successes,rate",
    "baselines.csv": "attack,norm,epsilon,n,successes,rate",
    "transfer.csv": "norm,epsilon,network,seen,n,successes,rate",
    "sanity.csv": "check,passed,told",
    "saliency.csv": "case,truth,method,share_before,share_after,mask_share",
    "embedding.csv": "case,group,x,y,step,neighbour_share",
    "landscape.csv": "x,y,loss",
    "perceptibility.csv": "case,norm,epsilon,ssim,psnr_db",
}


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six violet nuclei on pink, or one that is no tumour; learned in seconds, and outlined."""
    folder = tmp_path_factory.mktemp("tissue")
    chance = np.random.default_rng(0)
    corners = [(row, column) for row in (2, 12, 22) for column in (2, 12, 22)]
    lines = ["file,nuclei,label,n_tumour_nuclei"]
    for i in range(PATCHES):
        label = i % 2
        pixels, nuclei = np.full((32, 32, 3), (225.0, 170.0, 200.0)), np.zeros((32, 32, 3))
        for nucleus, corner in enumerate(chance.permutation(corners)[: 6 if label else 1], start=1):
            inside = tuple(slice(start, start + 8) for start in corner)
            pixels[inside], nuclei[inside] = (110, 70, 150), (nucleus, 1 if label else 2, 0)
        noisy = np.clip(pixels + chance.normal(0, 8, pixels.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{i}.png")
        Image.fromarray(nuclei.astype(np.uint8)).save(folder / f"nuclei-{i}.png")
        lines.append(f"{i}.png,nuclei-{i}.png,{label},{6 * label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(tissue: Path, out: Path) -> list[str]:
    experiment = out.parent / "experiment.toml"
    experiment.write_text(TOML)
    program = [sys.executable, "-m", "ml.cli", "reproduce", str(experiment)]
    return [*program, "--data", str(tissue), "--out", str(out), "--json"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def whole(tissue: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        command(tissue, out), capture_output=True, text=True, env=environment(), timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out, json.loads(done.stdout)


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.csv"))}


def kill_when(there: Callable[[], bool], arguments: list[str]) -> None:
    process = subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        began = time.monotonic()
        while process.poll() is None and not there() and time.monotonic() - began < 300:
            time.sleep(0.02)
        assert there(), "it ended before the moment came"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_every_table_figure_and_fact_that_is_promised_is_there(
    whole: tuple[Path, dict[str, Any]],
) -> None:
    out, told = whole
    assert told["failed"] == {}
    for name, columns in PROMISED.items():
        header = (out / name).read_text().splitlines()[0].split(",")
        assert set(columns.split(",")) <= set(header), name
        with (out / name).open() as lines:
            assert list(csv.DictReader(lines)), f"{name} is empty"
    report = (out / "report.html").read_text()
    assert "not run" not in report.lower()
    assert len(list((out / "figures").glob("*.svg"))) == len(list((out / "figures").glob("*.png")))
    facts = json.loads((out / "provenance.json").read_text())
    assert facts["experiment"]["training"]["epochs"] == 8
    assert set(facts["seconds"]) == {
        *("crossval", "curves", "baselines", "universal", "natural", "defence"),
        *("saliency", "embedding", "landscape"),
    }


def test_killed_at_several_moments_and_started_again_every_table_has_the_same_bytes(
    tissue: Path, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    again = command(tissue, out)
    moments: list[Callable[[], bool]] = [
        (out / "folds/run-1-fold-1/log.csv").is_file,
        (out / "curves/minimal-l2-00000.csv").is_file,
        (out / "universal.json").is_file,
        (out / "defence/free/log.csv").is_file,
    ]
    for moment in moments:
        kill_when(moment, again)
    assert not (out / "provenance.json").exists()
    done = subprocess.run(again, capture_output=True, text=True, env=environment(), timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert tables(out) == tables(whole[0])


def test_what_is_done_is_not_done_again_and_another_experiment_is_refused(
    tissue: Path, whole: tuple[Path, dict[str, Any]]
) -> None:
    out, _ = whole
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.csv")}
    arguments = command(tissue, out)
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.csv")} == before
    (out.parent / "experiment.toml").write_text(TOML.replace("seed = 0", "seed = 1"))
    refused = subprocess.run(arguments, capture_output=True, text=True, env=environment())
    assert refused.returncode == 2
    assert "other settings (experiment)" in refused.stderr
    assert "Traceback" not in refused.stderr
