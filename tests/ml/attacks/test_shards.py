"""An attack in parts: killed at any moment, it goes on and ends the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.attacks.results import images_path, read_results, rows_path
from ml.attacks.run import Choice, run_attack
from ml.attacks.shards import attack_shard
from ml.data import load_patches
from ml.errors import MlError
from ml.experiment import Experiment, read_experiment
from ml.networks import load_card

BOTH = Choice(truths="both", limit=7)
EXPERIMENT = """
[attack]
epsilon = "16"
steps = 4
confidence_target = 0.999
restarts = 2
shard_size = 2
"""


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    settings = {"epsilon": "16", "steps": 4, "confidence_target": 0.999, "restarts": 2}
    overrides = {f"attack.{name}": value for name, value in settings.items()}
    return read_experiment(None, {**overrides, "attack.shard_size": 2})


@pytest.fixture(scope="module")
def whole(workplace: Any, experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The attack that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    run_attack(workplace.network, workplace.data, out, experiment, BOTH)
    return out


def table(folder: Path) -> bytes:
    return (folder / "results.csv").read_bytes()


def start_command(workplace: Any, out: Path, folder: Path) -> "subprocess.Popen[str]":
    file = folder / "experiment.toml"
    file.write_text(EXPERIMENT)
    command = ["attack", workplace.network, file, "--data", workplace.data, "--out", out]
    return subprocess.Popen(
        [sys.executable, "-m", "ml.cli", *map(str, command), "--truths", "both", "--limit", "7"],
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def kill_when(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_again_and_again_it_ends_with_the_same_table(
    workplace: Any, experiment: Experiment, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def kill_at(reached: Callable[[], bool]) -> None:
        kill_when(start_command(workplace, out, tmp_path), reached)
        assert not (out / "attack.json").exists()

    def first_sight_of(pattern: str) -> Callable[[], bool]:
        return lambda: any((out / "shards").glob(pattern))

    kill_at((out / "targets.json").exists)
    chosen = (out / "targets.json").read_bytes()
    kill_at(rows_path(out, 0).exists)
    done = rows_path(out, 0).stat().st_mtime_ns
    kill_at(first_sight_of("*00002.npz*"))
    run_attack(workplace.network, workplace.data, out, experiment, BOTH)

    assert table(out) == table(whole)
    assert (out / "targets.json").read_bytes() == chosen
    assert rows_path(out, 0).stat().st_mtime_ns == done
    assert {path.name for path in (out / "shards").iterdir()} == {
        path.name for path in (whole / "shards").iterdir()
    }


@pytest.mark.parametrize("left", ["shards/00001.csv", "shards/00001.npz", "results.csv"])
def test_whatever_was_not_written_yet_is_made_the_same(
    workplace: Any, experiment: Experiment, whole: Path, tmp_path: Path, left: str
) -> None:
    """As after a kill between any two files, of which attack.json is the last."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "attack.json").unlink()
    (out / "results.csv").unlink()
    (out / left).unlink(missing_ok=True)
    if left.endswith(".npz"):
        (out / left).with_suffix(".csv").unlink()
    (out / "shards" / ".00003.csv.4711").write_text("half a li")
    run_attack(workplace.network, workplace.data, out, experiment, BOTH)
    assert table(out) == table(whole)
    assert not list((out / "shards").glob(".*"))


def test_several_processes_make_the_same_table(
    workplace: Any, experiment: Experiment, whole: Path, tmp_path: Path
) -> None:
    run_attack(workplace.network, workplace.data, tmp_path, experiment, BOTH, engine="local:2")
    assert table(tmp_path) == table(whole)


def test_without_the_targets_old_shards_are_not_taken_for_new_ones(
    workplace: Any, experiment: Experiment, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_attack(workplace.network, workplace.data, out, experiment, replace(BOTH, limit=3))
    for name in ("targets.json", "attack.json"):
        (out / name).unlink()
    run_attack(workplace.network, workplace.data, out, experiment, BOTH)
    assert table(out) == table(whole)


def test_shards_join_to_the_whole(whole: Path) -> None:
    results = read_results(whole)
    shards = list(results.shards())
    assert len(shards) > 2
    assert [row for shard in shards for row in shard.rows] == results.rows
    assert all(len(shard.rows) == 2 for shard in shards[:-1])
    last = len(results.rows) - 1
    originals, perturbed = results.images([last, 0, 3])
    assert np.array_equal(originals[1], shards[0].originals[0])
    assert np.array_equal(perturbed[0], shards[-1].perturbed[-1])
    assert np.array_equal(perturbed[2], shards[1].perturbed[1])


def test_each_shard_starts_at_random_points_of_its_own(
    workplace: Any, experiment: Experiment, tmp_path: Path
) -> None:
    """Else the same patch in two shards would be perturbed alike."""
    settings = replace(experiment.attack, random_start=True, steps=1, restarts=1)
    patches = load_patches(workplace.data).subset([1, 3])
    for number in (0, 1):
        attack_shard(
            network_file=workplace.network,
            network_sha256=load_card(workplace.network).file_sha256,
            patches=patches,
            settings=settings,
            seed=0,
            number=number,
            device="cpu",
            out=tmp_path,
        )
    with np.load(images_path(tmp_path, 0)) as first, np.load(images_path(tmp_path, 1)) as second:
        assert np.array_equal(first["originals"], second["originals"])
        assert not np.array_equal(first["perturbed"], second["perturbed"])


def test_a_damaged_shard_is_told_when_its_images_are_asked_for(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    images_path(out, 1).write_bytes(images_path(out, 1).read_bytes()[:-100])
    results = read_results(out)
    results.images([0])
    with pytest.raises(MlError, match="attack again"):
        list(results.shards())
