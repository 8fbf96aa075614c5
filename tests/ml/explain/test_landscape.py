import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ml.data import load_patches
from ml.errors import MlError
from ml.explain.landscape import (
    Judge,
    LandscapeRow,
    TrajectoryRow,
    axis_over,
    draw_training,
    run_landscape,
    with_batch_statistics,
)
from ml.networks import load_card, load_network
from ml.quantize import pixels_from_grey_levels, tensor_from_images
from ml.steps import read_table


@pytest.fixture(scope="module")
def finished(explainable: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("landscape")
    run_landscape(explainable.network, explainable.data, out, explainable.experiment)
    return out


def facts(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "landscape.json").read_text())
    return told


def subset(explainable: Any) -> tuple[torch.Tensor, torch.Tensor]:
    settings = explainable.experiment
    patches = load_patches(explainable.data)
    chosen = draw_training(
        patches,
        load_card(explainable.network),
        settings.explain.landscape_limit,
        settings.seed,
    )
    images = tensor_from_images(chosen.images(range(len(chosen))))
    return pixels_from_grey_levels(images), torch.from_numpy(chosen.labels)


def loss_in_train_mode(network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float(cross_entropy(network.train()(pixels), labels))


def test_the_trajectory_ends_at_the_final_weights_and_their_loss(
    explainable: Any, finished: Path
) -> None:
    rows = read_table(finished / "trajectory.csv", TrajectoryRow)
    assert [row.epoch for row in rows] == list(range(explainable.experiment.training.epochs + 1))
    assert (rows[-1].x, rows[-1].y) == pytest.approx((0, 0), abs=1e-9)
    assert abs(rows[0].x) > 1e-3
    network, _ = load_network(explainable.network)
    expected = loss_in_train_mode(network, *subset(explainable))
    assert rows[-1].loss == pytest.approx(expected, rel=1e-4)
    assert facts(finished)["final_loss"] == pytest.approx(rows[-1].loss, rel=1e-5)
    assert rows[0].loss > rows[-1].loss


def test_the_loss_is_that_of_the_network_in_train_mode_on_the_whole_subset(
    explainable: Any, finished: Path
) -> None:
    pixels, labels = subset(explainable)
    epochs = sorted((explainable.network.parent / "epochs").iterdir())
    for row in read_table(finished / "trajectory.csv", TrajectoryRow)[::3]:
        network, _ = load_network(explainable.network)
        network.load_state_dict(safetensors.torch.load_file(epochs[row.epoch]))
        expected = loss_in_train_mode(network, pixels, labels)
        assert row.loss == pytest.approx(expected, rel=1e-4)


def test_the_grid_covers_the_trajectory_with_a_margin(explainable: Any, finished: Path) -> None:
    surface = read_table(finished / "landscape.csv", LandscapeRow)
    trajectory = read_table(finished / "trajectory.csv", TrajectoryRow)
    count = explainable.experiment.explain.grid
    assert len(surface) == count**2
    for name in ("x", "y"):
        axis = sorted({getattr(row, name) for row in surface})
        way = [getattr(row, name) for row in trajectory]
        assert len(axis) == count
        assert axis[0] < min(way)
        assert axis[-1] > max(way)
    assert all(np.isfinite(row.loss) for row in surface)
    assert facts(finished)["highest_loss"] == max(row.loss for row in surface)


def test_an_axis_covers_its_positions_and_0_with_a_quarter_on_both_sides() -> None:
    assert axis_over(np.array([2.0, 4.0]), 4) == pytest.approx([-1, 1, 3, 5])
    assert axis_over(np.array([-1.0, 3.0]), 3) == pytest.approx([-2, 1, 4])


def test_the_first_two_directions_explain_most_and_the_way_of_batch_norm_is_told(
    finished: Path,
) -> None:
    told = facts(finished)
    first, second = told["variance_explained"]
    assert first >= second > 0
    assert 0.5 < first + second <= 1
    assert "whole fixed subset" in told["batch_norm"]


def test_only_training_patches_are_drawn_and_the_seed_decides_which(explainable: Any) -> None:
    patches, card = load_patches(explainable.data), load_card(explainable.network)
    held_out = {source.index for source in card.held_out}

    def drawn(seed: int, limit: int) -> list[int]:
        return [s.index for s in draw_training(patches, card, limit, seed).sources]

    assert set(drawn(0, 1000)) == set(range(len(patches))) - held_out
    assert drawn(1, 8) == drawn(1, 8)
    assert drawn(1, 8) != drawn(2, 8)


def test_judging_one_point_leaves_nothing_behind_for_the_next() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 2)
        )
        pixels, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 1] * 3)
    assert with_batch_statistics(network)
    judge = Judge(network, pixels, labels)
    here = {name: value.detach().clone() for name, value in network.named_parameters()}
    there = {name: value + 1 for name, value in here.items()}
    losses = [judge.loss(weights) for weights in (here, there, here)]
    assert losses[0] == losses[2] != losses[1]
    assert not with_batch_statistics(nn.Sequential(nn.Linear(2, 2)))


def test_the_same_seed_gives_the_same_tables_byte_for_byte(
    explainable: Any, finished: Path, tmp_path: Path
) -> None:
    run_landscape(explainable.network, explainable.data, tmp_path, explainable.experiment)
    for name in ("landscape.csv", "trajectory.csv"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_a_network_without_its_epochs_says_how_to_keep_them(
    explainable: Any, tmp_path: Path
) -> None:
    for path in (explainable.network, explainable.network.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    with pytest.raises(MlError, match="keep-epochs"):
        run_landscape(
            tmp_path / explainable.network.name,
            explainable.data,
            tmp_path / "out",
            explainable.experiment,
        )


def test_a_folder_of_another_grid_is_refused(explainable: Any, finished: Path) -> None:
    explain = replace(explainable.experiment.explain, grid=5)
    other = replace(explainable.experiment, explain=explain)
    with pytest.raises(MlError, match="explain"):
        run_landscape(explainable.network, explainable.data, finished, other)
