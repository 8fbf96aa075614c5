from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import MlError
from ml.experiment import DataSettings, Experiment, read_experiment

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def refusal(tmp_path: Path, toml: str) -> str:
    path = tmp_path / "experiment.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(MlError) as refused:
        read_experiment(path, {})
    return str(refused.value)


def test_without_a_file_the_experiment_is_the_papers_on_patches_as_they_are() -> None:
    papers = read_experiment(EXPERIMENTS / "paper.toml", {})
    assert papers.data.size == 224
    assert replace(papers, data=DataSettings()) == read_experiment(None, {})
    assert read_experiment(None, {}) == Experiment()


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_published_experiment_can_be_read(path: Path) -> None:
    read_experiment(path, {})


def test_an_unknown_key_is_refused_by_name_with_the_known_ones(tmp_path: Path) -> None:
    told = refusal(tmp_path, "[training]\nepochz = 3")
    assert "training.epochz" in told
    assert "learning_rate, " in told


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    assert "attak is unknown; known here are: seed, data, " in refusal(tmp_path, "[attak]")


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[training]\nepochs = 0", "training.epochs is 0"),
        ('[training]\nepochs = "3"', "training.epochs is '3'"),
        ("[training]\naugmentation = 1", "training.augmentation is 1"),
        ("[training]\nlearning_rate = -0.1", "training.learning_rate is -0.1"),
        ('[training]\noptimizer = "sgd"', "training.optimizer is 'sgd'"),
        ("[attack]\nepsilon = 2", "attack.epsilon is 2"),
        ('[attack]\nepsilon = "two"', "attack.epsilon is 'two'"),
        ("[attack]\nconfidence_target = 1.0", "attack.confidence_target is 1.0"),
        ("seed = -1", "seed is -1"),
        ("training = 3", "training is 3"),
    ],
)
def test_a_value_of_the_wrong_kind_or_range_is_refused(
    tmp_path: Path, toml: str, named: str
) -> None:
    assert named in refusal(tmp_path, toml)


def test_a_file_that_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    assert "is not TOML" in refusal(tmp_path, "[training")
    with pytest.raises(MlError, match="There is no experiment file"):
        read_experiment(tmp_path / "none.toml", {})


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text("seed = 1\n[training]\nepochs = 3\nbatch_size = 4", "utf-8")
    experiment = read_experiment(path, {"training.epochs": 5, "seed": 2})
    assert (experiment.seed, experiment.training.epochs) == (2, 5)
    assert experiment.training.batch_size == 4


@pytest.mark.parametrize(
    ("epsilon", "step_size"), [("2", "0.5"), ("1.5", "0.375"), ("40", "10"), ("0.01", "0.0025")]
)
def test_a_step_is_a_quarter_of_epsilon_unless_given(epsilon: str, step_size: str) -> None:
    settings = read_experiment(None, {"attack.epsilon": epsilon}).attack
    assert settings.step_size_text == step_size
    given = read_experiment(None, {"attack.epsilon": epsilon, "attack.step_size": "3"}).attack
    assert given.step_size_text == "3"
