import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from ml.cli import main
from ml.errors import MlError
from ml.experiment import Experiment, UniversalSettings
from ml.networks import load_network, save_network
from ml.universal import UniversalSummary, run_universal

COLUMNS = "epsilon,split,n,successes,rate,low,high,network"
EPSILONS = ("4", "24.5")


@pytest.fixture(scope="session")
def settings(workplace: Any) -> Experiment:
    universal = UniversalSettings(epsilons=EPSILONS, epochs=3, batch_size=4)
    experiment: Experiment = replace(workplace.experiment, universal=universal)
    return experiment


@pytest.fixture(scope="session")
def other(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network with other weights, a little."""
    network, card = load_network(workplace.network)
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            noise = torch.randn(weight.shape, generator=chance)
            weight.add_(noise, alpha=0.02 * float(weight.abs().mean()))
    path = tmp_path_factory.mktemp("run") / "fold-2" / "network.safetensors"
    save_network(network, path, lambda digest: replace(card, file_sha256=digest))
    return path


@pytest.fixture(scope="session")
def folder(
    workplace: Any, settings: Experiment, other: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("universal")
    run_universal(workplace.network, workplace.data, out, settings, (other, workplace.network))
    return out


def lines_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "universal.csv").open() as lines:
        return list(csv.DictReader(lines))


def perturbations(folder: Path) -> dict[str, NDArray[np.int8]]:
    with np.load(folder / "universal.npz") as kept:
        return dict(zip(kept["epsilons"].tolist(), kept["perturbations"], strict=True))


def judged(network_file: Path, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, height, width, 3) to classes, by nothing but the network itself."""
    network, _ = load_network(network_file)
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        classes: NDArray[np.int64] = network(pixels).argmax(dim=1).numpy()
    return classes


def images_of(workplace: Any, *, held_out: bool) -> NDArray[np.int64]:
    """Those with tumour, which are the odd ones, from the files themselves."""
    _, card = load_network(workplace.network)
    apart = {source.index for source in card.held_out}
    chosen = [i for i in range(1, 36, 2) if (i in apart) == held_out]
    read = [np.array(Image.open(workplace.data / f"{i}.png")) for i in chosen]
    return np.stack(read).astype(np.int64)


def test_the_table_has_a_line_for_each_epsilon_and_split(folder: Path) -> None:
    assert (folder / "universal.csv").read_text().splitlines()[0] == COLUMNS
    lines = [(line["epsilon"], line["split"], line["network"]) for line in lines_of(folder)]
    own = [(e, split, "network") for e in EPSILONS for split in ("train", "test")]
    assert lines == own + [(e, "transfer", "fold-2") for e in EPSILONS]


@pytest.mark.parametrize("split", ["train", "test", "transfer"])
def test_successes_are_those_of_the_images_with_the_perturbation_added(
    workplace: Any, folder: Path, other: Path, split: str
) -> None:
    """Done again from the PNG files: of training images all count, else what was correct."""
    network = other if split == "transfer" else workplace.network
    images = images_of(workplace, held_out=split != "train")
    if split != "train":
        images = images[judged(network, images) == 1]
    for line in lines_of(folder):
        if line["split"] != split:
            continue
        perturbed = np.clip(images + perturbations(folder)[line["epsilon"]], 0, 255)
        successes = int((judged(network, perturbed) == 0).sum())
        assert (int(line["n"]), int(line["successes"])) == (len(images), successes)
        assert float(line["rate"]) == successes / len(images)
        assert float(line["low"]) <= float(line["rate"]) <= float(line["high"])


def test_perturbations_stay_within_epsilon_and_more_of_it_fools_more(folder: Path) -> None:
    for epsilon, perturbation in perturbations(folder).items():
        assert perturbation.dtype == np.int8
        assert perturbation.shape == (32, 32, 3)
        assert 0 < np.abs(perturbation.astype(int)).max() <= float(epsilon)
    rates = [float(line["rate"]) for line in lines_of(folder) if line["split"] == "train"]
    assert rates == sorted(rates)
    assert rates[-1] > 0.5


def test_the_same_run_again_gives_the_same_bytes(
    workplace: Any, settings: Experiment, folder: Path, other: Path, tmp_path: Path
) -> None:
    run_universal(workplace.network, workplace.data, tmp_path, settings, (other,))
    for file in ("universal.csv", "universal.npz"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_all_classes_can_take_part(workplace: Any, settings: Experiment, tmp_path: Path) -> None:
    universal = replace(settings.universal, truths="both", epsilons=("4",), epochs=1)
    both = replace(settings, universal=universal)
    summary = run_universal(workplace.network, workplace.data, tmp_path, both)
    _, card = load_network(workplace.network)
    assert summary.found_on == 36 - len(card.held_out)
    assert [row.n for row in summary.rows] == [summary.found_on, summary.tried_on]


def test_a_finished_run_is_read_and_not_done_again(
    workplace: Any, settings: Experiment, folder: Path, other: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    again = run_universal(workplace.network, tmp_path / "gone", copy, settings, (other,))
    assert isinstance(again, UniversalSummary)
    assert [str(row.successes) for row in again.rows] == [
        line["successes"] for line in lines_of(folder)
    ]
    with pytest.raises(MlError, match="other settings"):
        run_universal(workplace.network, workplace.data, copy, settings, ())
    record = json.loads((copy / "universal.json").read_text())
    assert {"seed", "settings", "network_sha256", "seconds", "provenance"} <= record.keys()


def test_less_than_a_grey_level_is_refused_before_any_work(
    workplace: Any, settings: Experiment, tmp_path: Path
) -> None:
    below = replace(settings, universal=replace(settings.universal, epsilons=("2", "0.5")))
    with pytest.raises(MlError, match="at least 1"):
        run_universal(workplace.network, workplace.data, tmp_path, below)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_how_many_are_fooled(workplace: Any, tmp_path: Path) -> None:
    toml, out = tmp_path / "experiment.toml", tmp_path / "out"
    toml.write_text('[universal]\nepsilons = ["16"]\nepochs = 1\nbatch_size = 4\n')
    arguments = ["universal", workplace.network, toml, "--data", workplace.data, "--out", out]
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert told.exit_code == 0, told.output
    train, test = lines_of(out)
    assert f"{train['successes']} of {train['n']} training patches" in told.stdout
    assert f"{test['successes']} of {test['n']} held-out ones" in told.stdout
    again = CliRunner().invoke(main, [*(str(argument) for argument in arguments), "--json"])
    assert json.loads(again.stdout)["tried_on"] == int(test["n"])
