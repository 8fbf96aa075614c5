import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.attacks.results import read_results
from ml.attacks.run import Choice, run_attack
from ml.errors import MlError
from ml.networks import card_path, load_card


@pytest.fixture
def network_that_held_out(workplace: Any, tmp_path: Path) -> Any:
    """The network with another list of held-out patches in its card."""

    def write(indices: list[int]) -> Path:
        path = tmp_path / "network.safetensors"
        shutil.copy(workplace.network, path)
        card = json.loads(card_path(workplace.network).read_text())
        name = card["held_out"][0]["data_set"]
        card["held_out"] = [{"data_set": name, "fold": "", "index": i} for i in indices]
        card_path(path).write_text(json.dumps(card))
        return path

    return write


def attacked_indices(folder: Path) -> list[int]:
    return [row.index for row in read_results(folder).rows]


def test_only_held_out_patches_that_are_classified_correctly_are_attacked(workplace: Any) -> None:
    held_out = {source.index for source in load_card(workplace.network).held_out}
    results = read_results(workplace.attack)
    assert {row.index for row in results.rows} <= held_out
    for row in results.rows:
        assert row.truth == row.index % 2
        assert (row.p_original >= 0.5) == (row.truth == 1)
    assert results.record.figures.considered == len(held_out)
    assert results.record.figures.attacked == results.record.figures.correct == len(results.rows)


def test_the_figures_are_those_of_the_table(workplace: Any) -> None:
    results = read_results(workplace.attack)
    figures = results.record.figures
    with (workplace.attack / "results.csv").open() as lines:
        table = list(csv.DictReader(lines))
    for column, success in (
        ("p_float", figures.success_float),
        ("p_rounded", figures.success_rounded),
        ("p_8bit", figures.success_8bit),
    ):
        wrong = [(float(row[column]) >= 0.5) != (row["truth"] == "1") for row in table]
        assert success.count == sum(wrong)
        assert success.rate == pytest.approx(np.mean(wrong))
    assert figures.success_8bit.count > 0
    assert figures.linf_max == max(int(row["linf"]) for row in table) <= 16
    assert figures.mean_steps == pytest.approx(np.mean([int(row["steps"]) for row in table]))


def test_without_more_only_tumour_patches_are_attacked(workplace: Any, tmp_path: Path) -> None:
    run_attack(workplace.network, workplace.data, tmp_path, workplace.experiment, Choice())
    assert {row.truth for row in read_results(tmp_path).rows} == {1}


def test_a_limit_draws_by_the_seed(workplace: Any, tmp_path: Path) -> None:
    def drawn(seed: int, name: str) -> list[int]:
        experiment = replace(workplace.experiment, seed=seed)
        choice = Choice(truths="both", limit=2)
        run_attack(workplace.network, workplace.data, tmp_path / name, experiment, choice)
        return attacked_indices(tmp_path / name)

    first = drawn(1, "first")
    assert len(first) == 2
    assert drawn(1, "again") == first
    assert any(drawn(seed, f"other {seed}") != first for seed in (2, 3, 4))


def test_training_patches_are_attacked_only_when_asked_for(
    workplace: Any, tmp_path: Path, network_that_held_out: Any
) -> None:
    network = network_that_held_out([1, 3])
    arguments = (workplace.data, tmp_path / "held out", workplace.experiment)
    run_attack(network, *arguments, Choice())
    assert set(attacked_indices(tmp_path / "held out")) <= {1, 3}
    record = run_attack(
        network,
        workplace.data,
        tmp_path / "all",
        workplace.experiment,
        Choice(include_training=True),
    )
    assert record.included_training
    assert len(attacked_indices(tmp_path / "all")) > 2


def test_other_data_is_refused_until_it_is_said_to_be_other(
    workplace: Any, tmp_path: Path, make_patch_folder: Any
) -> None:
    other = make_patch_folder(tmp_path / "other", count=8, seed=5)
    with pytest.raises(MlError, match="--other-data"):
        run_attack(workplace.network, other, tmp_path / "out", workplace.experiment, Choice())
    record = run_attack(
        workplace.network,
        other,
        tmp_path / "out",
        workplace.experiment,
        Choice(truths="both", other_data=True),
    )
    assert record.figures.considered == 8
    assert record.data_sha256 != load_card(workplace.network).data_sha256


def test_a_copy_of_the_data_under_another_name_has_the_same_held_out_patches(
    workplace: Any, tmp_path: Path
) -> None:
    shutil.copytree(workplace.data, tmp_path / "a copy")
    choice = Choice(truths="both")
    run_attack(
        workplace.network, tmp_path / "a copy", tmp_path / "out", workplace.experiment, choice
    )
    assert attacked_indices(tmp_path / "out") == attacked_indices(workplace.attack)


def test_an_epsilon_below_one_grey_level_is_refused_before_any_work(
    workplace: Any, tmp_path: Path
) -> None:
    settings = replace(workplace.experiment.attack, epsilon="0.5")
    experiment = replace(workplace.experiment, attack=settings)
    with pytest.raises(MlError, match="at least 1"):
        run_attack(tmp_path / "none", tmp_path, tmp_path, experiment, Choice())


def test_an_attack_that_is_there_is_not_done_again(workplace: Any, tmp_path: Path) -> None:
    arguments = (workplace.network, workplace.data, tmp_path, workplace.experiment)
    record = run_attack(*arguments, Choice())
    assert run_attack(*arguments, Choice()) == record


def test_an_attack_of_other_settings_is_replaced_only_when_asked_for(
    workplace: Any, tmp_path: Path
) -> None:
    arguments = (workplace.network, workplace.data, tmp_path)
    run_attack(*arguments, workplace.experiment, Choice())
    fewer = replace(workplace.experiment, attack=replace(workplace.experiment.attack, steps=1))
    with pytest.raises(MlError, match=r"other settings \(steps\).*--fresh"):
        run_attack(*arguments, fewer, Choice())
    with pytest.raises(MlError, match=r"other settings \(limit\)"):
        run_attack(*arguments, workplace.experiment, Choice(limit=1))
    run_attack(*arguments, fewer, Choice(), fresh=True)
    assert {row.steps for row in read_results(tmp_path).rows} <= {0, 1}


def test_an_attack_of_an_older_version_is_left_alone(workplace: Any, tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_text("{}")
    arguments = (workplace.network, workplace.data, tmp_path, workplace.experiment, Choice())
    with pytest.raises(MlError, match="holds an attack already"):
        run_attack(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["attack.json"]
    run_attack(*arguments, fresh=True)


def test_the_same_seed_gives_the_same_attack(workplace: Any, tmp_path: Path) -> None:
    choice = Choice(truths="both")
    run_attack(workplace.network, workplace.data, tmp_path, workplace.experiment, choice)
    [first], [again] = read_results(workplace.attack).shards(), read_results(tmp_path).shards()
    assert np.array_equal(first.perturbed, again.perturbed)
    assert first.rows == again.rows


@pytest.mark.parametrize(
    ("norm", "epsilon", "size"),
    [
        ("none", "2", None),
        ("l0", "0.2", "l0_fraction"),
        ("l1", "4", "l1_mad"),
        ("l2", "8", "l2_rmsd"),
        ("linf", "16", "linf"),
    ],
)
def test_every_norm_keeps_its_budget_in_8_bits(
    workplace: Any, tmp_path: Path, norm: Any, epsilon: str, size: str | None
) -> None:
    settings = replace(workplace.experiment.attack, norm=norm, epsilon=epsilon, restarts=2)
    experiment = replace(workplace.experiment, attack=settings)
    record = run_attack(workplace.network, workplace.data, tmp_path, experiment, Choice())
    results = read_results(tmp_path)
    assert record.figures.success_8bit.count > 0
    assert record.condition.epsilon == (None if norm == "none" else epsilon)
    [shard] = results.shards()
    for row, original, perturbed in zip(shard.rows, shard.originals, shard.perturbed, strict=True):
        change = np.abs(perturbed.astype(int) - original.astype(int))
        assert row.l1_total == change.sum()
        assert row.l2_total == pytest.approx(np.sqrt((change**2).sum()), rel=1e-12)
        assert row.l1_mad == pytest.approx(change.mean())
        if size:
            assert getattr(row, size) <= float(epsilon) * (1 + 1e-9)


@pytest.mark.parametrize(("norm", "epsilon"), [("l0", "2"), ("l1", "0"), ("l2", "0"), ("l0", "0")])
def test_an_impossible_budget_is_refused_before_any_work(
    tmp_path: Path, workplace: Any, norm: Any, epsilon: str
) -> None:
    settings = replace(workplace.experiment.attack, norm=norm, epsilon=epsilon)
    experiment = replace(workplace.experiment, attack=settings)
    with pytest.raises(MlError, match="give"):
        run_attack(tmp_path / "none", tmp_path, tmp_path, experiment, Choice())


def test_targeted_at_the_other_of_two_classes_is_the_same_attack(
    workplace: Any, tmp_path: Path
) -> None:
    settings = replace(workplace.experiment.attack, targeted=True)
    experiment = replace(workplace.experiment, attack=settings)
    run_attack(workplace.network, workplace.data, tmp_path, experiment, Choice(truths="both"))
    aimed, left = read_results(tmp_path), read_results(workplace.attack)
    assert aimed.record.figures.success_8bit == left.record.figures.success_8bit
