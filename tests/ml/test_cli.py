import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ml.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def outcome(*arguments: object) -> Any:
    """The one JSON object on stdout of a command that succeeded."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_from_tissue_to_batch(tmp_path: Path) -> None:
    tissue, out = tmp_path / "tissue", tmp_path / "network"
    generated = outcome("phantom", tissue, "--patches-per-fold", 8, "--size", 64)
    assert generated["patches"] == 24
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(
        '[training]\noptimizer = "adamw"\nlearning_rate = 0.001\nbatch_size = 4\n'
        '[attack]\nepsilon = "32"\n'
    )
    command = ("train", experiment, "--data", tissue, "--out", out, "--weights", "none")
    trained = outcome(*command, "--epochs", 6)
    assert {"auc", "accuracy", "n_held_out", "seconds", "epochs"} <= trained.keys()
    assert (trained["reused"], trained["epochs"]) == (False, 6)
    assert outcome(*command, "--epochs", 6) == {**trained, "reused": True}

    network = trained["network"]
    attack = outcome("attack", network, experiment, "--data", tissue, "--out", tmp_path / "a")
    assert attack["attacked"] > 0
    assert attack["epsilon"] == "32"
    assert {"success_float", "success_rounded", "mean_steps", "seconds"} <= attack.keys()
    proven = attack["success_8bit"]["count"]

    out = tmp_path / "batch.zip"
    batch = outcome("batch", tmp_path / "a", "--out", out, "--count", 1, "--name", "First")
    assert (batch["cases"], batch["proven"], batch["path"]) == (1, proven, str(out))
    assert 0 < batch["linf_max"] <= 32
    with zipfile.ZipFile(out) as archive:
        assert json.loads(archive.read("batch.json"))["name"] == "First"


def test_other_settings_need_another_folder_or_fresh(workplace: Any) -> None:
    folder = workplace.network.parent
    result = run("train", "--data", workplace.data, "--out", folder, "--weights", "none")
    assert result.exit_code == 2
    assert "--fresh" in result.stderr


def test_options_win_over_the_experiment(workplace: Any, tmp_path: Path) -> None:
    told = outcome(
        *("attack", workplace.network, "--data", workplace.data, "--out", tmp_path / "a"),
        *("--epsilon", "3", "--steps", 2, "--step-size", "1.5", "--confidence", 0.6),
        *("--limit", 1, "--seed", 7),
    )
    assert told["attacked"] == 1
    condition = json.loads((tmp_path / "a" / "attack.json").read_text())["condition"]
    assert condition == {
        "id": "pgd-linf-3",
        "attack": "pgd",
        "norm": "linf",
        "epsilon": "3",
        "steps": 2,
        "step_size": "1.5",
        "confidence_target": 0.6,
        "seed": 7,
    }


def test_norm_restarts_and_target_are_options_of_the_attack(workplace: Any, tmp_path: Path) -> None:
    told = outcome(
        *("attack", workplace.network, "--data", workplace.data, "--out", tmp_path / "a"),
        *("--norm", "l2", "--epsilon", "0.5", "--restarts", 2, "--targeted", "--steps", 1),
        *("--limit", 1),
    )
    assert (told["norm"], told["epsilon"], told["reused"]) == ("l2", "0.5", False)
    assert 0 < told["mean_l2_rmsd"] <= 0.5
    written = json.loads((tmp_path / "a" / "attack.json").read_text())
    assert (written["settings"]["restarts"], written["settings"]["targeted"]) == (2, True)


def test_the_same_attack_is_told_again_and_not_done_again(workplace: Any) -> None:
    experiment = workplace.attack.parent / "experiment.toml"
    experiment.write_text('[attack]\nepsilon = "16"\nsteps = 10\n')
    command = ("attack", workplace.network, experiment, "--data", workplace.data)
    told = outcome(*command, "--out", workplace.attack, "--truths", "both")
    written = json.loads((workplace.attack / "attack.json").read_text())
    assert told["reused"] is True
    assert {name: told[name] for name in written["figures"]} == written["figures"]


@pytest.mark.parametrize(
    ("norm", "said"),
    [
        ("none", "without a budget"),
        ("l0", "within a share of 1 of the pixels"),
        ("l1", "within 1 grey levels on average"),
    ],
)
def test_the_budget_is_told_in_its_own_words(
    workplace: Any, tmp_path: Path, norm: str, said: str
) -> None:
    result = run(
        *("attack", workplace.network, "--data", workplace.data, "--out", tmp_path / "a"),
        *("--norm", norm, "--epsilon", "1", "--steps", 1, "--limit", 1),
    )
    assert said in result.stdout


def test_too_few_patches_to_attack_is_said(workplace: Any, tmp_path: Path) -> None:
    result = run(
        *("attack", workplace.network, "--data", workplace.data, "--out", tmp_path / "a"),
        *("--limit", 1000, "--steps", 1),
    )
    assert result.exit_code == 0
    assert "of the 1000 patches asked for could be attacked" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "nowhere", "--out", "out"),
        ("train", "nowhere.toml", "--data", "nowhere", "--out", "out"),
        ("attack", "nowhere.safetensors", "--data", "nowhere", "--out", "out"),
        ("attack", "nowhere.safetensors", "--data", "x", "--out", "out", "--epsilon", "0.5"),
        ("attack", "nowhere.safetensors", "--data", "x", "--out", "out", "--epsilon", "-2"),
        ("attack", "nowhere.safetensors", "--data", "x", "--out", "out", "--engine", "local:0"),
        ("batch", "nowhere", "--out", "out"),
    ],
)
def test_every_failure_is_one_sentence_on_stderr(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_one_sentence(workplace: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("batch", workplace.attack, "--out", tmp_path / "file" / "batch")
    assert result.exit_code == 2
    [sentence] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert str(tmp_path / "file") in sentence


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.partition("Example")[2].splitlines()]
    [example] = [line[2:] for line in lines if line[:2] == ["plainsight-ml", name]]
    main.commands[name].make_context(name, example).close()


def test_every_option_of_the_example_in_the_main_help_exists() -> None:
    lines = run("--help").output.splitlines()
    examples = [line.split() for line in lines if line.strip().startswith("plainsight-ml ")]
    assert [example[1] for example in examples] == ["phantom", "train", "attack", "batch"]
    for _, name, *arguments in examples:
        assert isinstance(main.commands[name].make_context(name, arguments), click.Context)


def test_help_does_not_load_torch() -> None:
    asked = "import sys; from ml.cli import main; main(['train', '--help'], standalone_mode=False)"
    told = f"{asked}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True).returncode == 0


def test_ctrl_c_ends_with_130_and_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    tissue, out = tmp_path / "tissue", tmp_path / "network"
    outcome("phantom", tissue, "--patches-per-fold", 8, "--size", 64)
    command = ["train", "--data", tissue, "--out", out, "--weights", "none", "--epochs", "3"]
    started = subprocess.Popen(
        [sys.executable, "-m", "ml.cli", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (out / "unfinished.pt").exists():
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, told = started.communicate()
    assert started.returncode == 130
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("Interrupted; ")
    assert outcome(*command)["epochs"] == 3
