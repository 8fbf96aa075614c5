"""What ml writes, app accepts: the two halves meet in a batch and nowhere else."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import torch

from app.batches.check import check_batch
from ml.attacks.run import Choice, run_attack
from ml.batch import write_batch
from ml.experiment import read_experiment

ROOT = Path(__file__).parents[2]


def plainsight_ml(folder: Path, *arguments: str) -> None:
    """With one thread: on so few images, several do nothing but wait for each other."""
    command = [sys.executable, "-m", "ml.cli", *arguments]
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """As in the commands above."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a network was trained on generated tissue, for seconds, and attacked."""
    folder = tmp_path_factory.mktemp("ml")
    experiment = str(ROOT / "experiments/phantom.toml")
    network = "network/network.safetensors"
    budget = ("--epsilon", "4", "--steps", "10", "--limit", "4", "--truths", "both")
    plainsight_ml(folder, "phantom", "tissue", "--patches-per-fold", "12", "--size", "64")
    plainsight_ml(
        folder, "train", experiment, "--data", "tissue", "--out", "network", "--epochs", "1"
    )
    plainsight_ml(folder, "attack", network, "--data", "tissue", "--out", "attack", *budget)
    return folder


def accept(batch: Path) -> None:
    checked = check_batch(batch)
    assert len(checked.manifest.cases) == 2
    assert all(image.success for case in checked.manifest.cases for image in case.perturbed)
    assert len(list(checked.images())) == 4


def test_app_accepts_a_zip_of_ml(attacked: Path) -> None:
    plainsight_ml(attacked, "batch", "attack", "--out", "batch.zip", "--count", "2")

    accept(attacked / "batch.zip")


def test_app_accepts_a_folder_of_ml_which_keeps_the_schema(attacked: Path) -> None:
    plainsight_ml(attacked, "batch", "attack", "--out", "batch", "--count", "2")

    accept(attacked / "batch")
    jsonschema.validate(
        json.loads((attacked / "batch/batch.json").read_text(encoding="utf-8")),
        json.loads((ROOT / "docs/batch.schema.json").read_text(encoding="utf-8")),
        cls=jsonschema.Draft202012Validator,
    )


def test_app_reads_the_evidence_that_ml_writes(attacked: Path) -> None:
    network = "network/network.safetensors"
    (attacked / "few.toml").write_text(
        "[curves]\nlimit = 2\nsteps = 4\ncheck_limit = 0\nwalk_steps = 4\n"
    )
    plainsight_ml(attacked, "curves", network, "few.toml", "--data", "tissue", "--out", "run")
    plainsight_ml(
        attacked, "batch", "attack", "--out", "evidence.zip", "--count", "2", "--evidence", "run"
    )

    checked = check_batch(attacked / "evidence.zip")

    assert checked.evidence is not None
    assert {each["norm"] for each in checked.evidence["minimal"]} == {
        *("none", "l0", "l1", "l2", "linf")
    }
    assert len(list(checked.saliency())) == 4


@pytest.mark.parametrize(
    ("norm", "epsilon"),
    [("none", None), ("l0", "0.3"), ("l1", "6"), ("l2", "8"), ("linf", "16")],
)
def test_app_measures_every_norm_as_ml_does(
    attacked: Path, tmp_path: Path, norm: str, epsilon: str | None
) -> None:
    network, attack = attacked / "network/network.safetensors", tmp_path / "attack"
    budget = {"attack.norm": norm, "attack.epsilon": epsilon or "1"}
    experiment = read_experiment(None, budget)
    run_attack(network, attacked / "tissue", attack, experiment, Choice(truths="both", limit=3))
    write_batch(attack, tmp_path / "batch.zip")

    checked = check_batch(tmp_path / "batch.zip")

    [condition] = checked.manifest.conditions
    assert (condition.norm, condition.epsilon) == (norm, epsilon)
    assert condition.id == "-".join(["pgd", norm, *([epsilon] if epsilon else [])])
