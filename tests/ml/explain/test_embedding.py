import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml.attacks.margin import margin
from ml.attacks.pgd import pgd
from ml.attacks.targets import choose_targets
from ml.errors import MlError
from ml.explain.embedding import (
    EmbeddingRow,
    choose_followed,
    features_of,
    follow,
    run_embedding,
)
from ml.networks import attack_view, load_network
from ml.steps import read_table

CLEAN = ("true_negative", "true_positive")
ADVERSARIAL = ("adversarial_negative", "adversarial_positive")


@pytest.fixture(scope="module")
def finished(explainable: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("embedding")
    run_embedding(explainable.network, explainable.data, out, explainable.experiment)
    return out


def rows_of(folder: Path) -> list[EmbeddingRow]:
    return read_table(folder / "embedding.csv", EmbeddingRow)


def test_the_groups_are_the_correct_patches_and_the_fooled_ones_by_what_they_pass_for(
    explainable: Any, finished: Path
) -> None:
    targets = choose_targets(explainable.network, explainable.data, truths="both")
    rows, told = rows_of(finished), json.loads((finished / "embedding.json").read_text())
    labels = {str(entry.source.index): entry.label for entry in targets.patches.entries}
    for truth in (0, 1):
        clean = {row.case for row in rows if row.group == CLEAN[truth]}
        fooled = {row.case for row in rows if row.group == ADVERSARIAL[1 - truth]}
        assert clean == {case for case, label in labels.items() if label == truth}
        assert fooled
        assert fooled <= clean
        assert told["groups"][CLEAN[truth]]["n"] == len(clean)
        assert told["groups"][ADVERSARIAL[1 - truth]]["n"] == len(fooled)
    assert told["fooled"] <= told["attacked"] == explainable.experiment.explain.limit
    assert told["correct"] == len(labels)


def test_the_mean_shares_are_those_of_the_table(finished: Path) -> None:
    rows, told = rows_of(finished), json.loads((finished / "embedding.json").read_text())
    n_positive = sum(row.group == "true_positive" for row in rows)
    n_clean = n_positive + sum(row.group == "true_negative" for row in rows)
    for group in (*CLEAN, *ADVERSARIAL):
        shares = [row.neighbour_share or 0.0 for row in rows if row.group == group]
        assert told["groups"][group]["mean_neighbour_share"] == pytest.approx(np.mean(shares))
        of_class = n_positive if group.endswith("positive") else n_clean - n_positive
        assert told["groups"][group]["by_chance"] == pytest.approx(of_class / n_clean)


def test_the_track_goes_step_by_step_from_a_true_positive_to_where_it_fools(
    finished: Path,
) -> None:
    rows, told = rows_of(finished), json.loads((finished / "embedding.json").read_text())
    track = [row for row in rows if row.group == "track"]
    assert [row.step for row in track] == list(range(told["track"]["steps"] + 1))
    assert {row.case for row in track} == {told["track"]["case"]}
    case = track[0].case
    assert {row.group for row in rows if row.case == case} == {
        "true_positive",
        "adversarial_negative",
        "track",
    }
    assert all(row.step is None for row in rows if row.group != "track")


def test_what_is_followed_begins_at_the_original_and_ends_where_the_attack_does(
    explainable: Any,
) -> None:
    network, _ = load_network(explainable.network)
    view, settings = attack_view(network), explainable.experiment.attack
    targets = choose_targets(explainable.network, explainable.data)
    ends = []
    for place in range(len(targets.patches.entries)):
        image = torch.from_numpy(targets.patches.image(place)).permute(2, 0, 1)
        track = follow(view, image, 1, settings)
        original = features_of(view, image.unsqueeze(0))
        assert track[0] == pytest.approx(original[0], rel=1e-3, abs=1e-5)
        assert len(track) <= settings.steps + 1
        with torch.no_grad():
            predicted = view.head(torch.from_numpy(track).float()).argmax(dim=1).tolist()
            assert margin(view, image.unsqueeze(0), torch.tensor([1])) < 0
        attacked = pgd(
            view,
            image.unsqueeze(0),
            torch.tensor([1]),
            norm=settings.norm,
            epsilon=float(settings.epsilon),
            step_size=float(settings.step_size_text),
            steps=settings.steps,
            confidence_target=settings.confidence_target,
            slots=1,
        )
        assert predicted[0] == 1
        assert predicted[-1] == int(attacked.confidence.item() < 0.5)
        ends.append(predicted[-1])
    assert 0 in ends, "the attack fools the network at least once"


def test_the_first_positive_is_followed_or_else_the_first_image() -> None:
    assert choose_followed(np.array([0, 0, 1, 1])) == 2
    assert choose_followed(np.array([0, 0])) == 0


def test_the_same_seed_gives_the_same_table_byte_for_byte(
    explainable: Any, finished: Path, tmp_path: Path
) -> None:
    run_embedding(explainable.network, explainable.data, tmp_path, explainable.experiment)
    assert (tmp_path / "embedding.csv").read_bytes() == (finished / "embedding.csv").read_bytes()


def test_the_columns_are_those_of_the_plan(finished: Path) -> None:
    with (finished / "embedding.csv").open(newline="") as lines:
        assert next(csv.reader(lines)) == ["case", "group", "x", "y", "step", "neighbour_share"]


def test_a_folder_of_another_attack_is_refused(explainable: Any, finished: Path) -> None:
    attack = replace(explainable.experiment.attack, epsilon="8")
    other = replace(explainable.experiment, attack=attack)
    with pytest.raises(MlError, match="attack"):
        run_embedding(explainable.network, explainable.data, finished, other)
