"""The commands end to end, each as JSON and in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ml.cli import main

EXPERIMENT = """
[attack]
epsilon = "16"
steps = 8
[explain]
integration_steps = 4
landscape_limit = 6
grid = 3
"""
OPTIONS = {
    "saliency": ("--limit", "8"),
    "embedding": ("--limit", "8"),
    "landscape": ("--patches", "4"),
}
TABLES = {
    "saliency": {"saliency.csv", "saliency.npz"},
    "embedding": {"embedding.csv"},
    "landscape": {"landscape.csv", "trajectory.csv"},
}


def run(name: str, explainable: Any, folder: Path, *options: str) -> Result:
    experiment = folder / "experiment.toml"
    experiment.write_text(EXPERIMENT)
    network, data = str(explainable.network), str(explainable.data)
    command = [name, network, str(experiment), "--data", data, "--out", str(folder / "out")]
    return CliRunner().invoke(main, [*command, *options])


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_command_writes_its_files_and_tells_once_again_what_it_found(
    explainable: Any, tmp_path: Path, name: str
) -> None:
    result = run(name, explainable, tmp_path, *OPTIONS[name], "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*TABLES[name], f"{name}.json"}
    assert told == json.loads((tmp_path / "out" / f"{name}.json").read_text())

    again = run(name, explainable, tmp_path, *OPTIONS[name])
    assert again.exit_code == 0, again.output
    [sentence] = again.stdout.splitlines()
    assert sentence.startswith(f"{tmp_path / 'out'}: ")
    assert sentence.endswith(".")


def test_other_settings_are_refused_in_one_sentence_and_fresh_replaces(
    explainable: Any, tmp_path: Path
) -> None:
    assert run("landscape", explainable, tmp_path, "--patches", "4").exit_code == 0
    other = run("landscape", explainable, tmp_path, "--patches", "5")
    assert other.exit_code == 2
    assert "--fresh" in other.stderr.splitlines()[-1]
    fresh = run("landscape", explainable, tmp_path, "--patches", "5", "--fresh", "--json")
    assert json.loads(fresh.stdout)["patches"] == 5
