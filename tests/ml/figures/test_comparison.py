from typing import Any

import pytest

from ml.experiment import Experiment
from ml.figures.comparison import why_they_differ
from ml.figures.facts import network_facts, settings_of

PAPERS: dict[str, Any] = {
    "data": {"tissue": "Breast"},
    "network": {"architecture": "resnet18", "weights": "imagenet"},
    "training": {"optimizer": "adadelta", "learning_rate": 0.01, "epochs": 25},
}


def test_the_papers_own_run_has_no_reason_to_differ() -> None:
    assert why_they_differ(PAPERS, "PanNuke Breast", 2035) == []


@pytest.mark.parametrize(
    ("changed", "data_name", "patches", "told"),
    [
        ({"network": {"weights": "none"}}, "PanNuke Breast", 2035, "started from random weights"),
        ({"network": {"weights": "my.pt"}}, "PanNuke Breast", 2035, "started from other weights"),
        ({"network": {"architecture": "vgg11"}}, "PanNuke Breast", 2035, "The network is vgg11"),
        ({"data": {"tissue": "Colon"}}, "PanNuke Colon", 2035, "The tissue is Colon"),
        ({}, "consep_colon", 2035, "are those of consep_colon, not PanNuke's breast"),
        ({}, "Phantom Breast", 2035, "The patches are generated"),
        ({}, "PanNuke Breast", 417, "There are 417 patches; the paper has 2035"),
        ({"training": {"epochs": 3}}, "PanNuke Breast", 2035, "adadelta at 0.01 for 3 epochs"),
    ],
)
def test_each_difference_from_the_paper_is_told_alone(
    changed: dict[str, Any], data_name: str, patches: int, told: str
) -> None:
    (reason,) = why_they_differ({**PAPERS, **changed}, data_name, patches)
    assert told in reason


def test_a_section_of_the_settings_comes_from_the_first_file_that_has_it() -> None:
    facts: dict[str, dict[str, Any]] = {
        "crossval": {"training": {"epochs": 3}, "data": "a name"},
        "network": {"settings": {"training": {"epochs": 4}, "data": {"tissue": "Colon"}}},
        "universal": {"settings": {"epochs": 9}},
    }
    assert settings_of(facts) == {"training": {"epochs": 3}, "data": {"tissue": "Colon"}}


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("standard", set()),
        ("free", {"Adversarial epsilon", "Replays"}),
        ("pgd", {"Adversarial epsilon", "Pgd steps"}),
    ],
)
def test_only_settings_that_the_training_looked_at_are_shown(method: str, told: set[str]) -> None:
    training = {**vars(Experiment().training), "method": method}
    names = {name for name, _ in network_facts({"training": training}, {})}
    assert names & {"Adversarial epsilon", "Replays", "Pgd steps"} == told
