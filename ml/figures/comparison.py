"""A run's numbers beside the paper's, and why they differ."""

from dataclasses import dataclass
from typing import Any

from ml.figures.evaluation import PAPER_ACCURACY, PAPER_AUC, mean_and_sd, told
from ml.figures.headlines import minimal_of, within
from ml.figures.rows import FoldScore, UniversalPoint
from ml.figures.run_folder import RunFolder
from ml.figures.words import grey_levels, ratio, telling_epsilon, universal_of

NOT_RUN = "not run"


@dataclass(frozen=True)
class Beside:
    what: str
    ours: str
    papers: str


def beside_the_paper(run: RunFolder) -> list[Beside]:
    scores = run.rows("table1a.csv", FoldScore)
    auc, accuracy = NOT_RUN, NOT_RUN
    if scores:
        auc = told(mean_and_sd([row.auc for row in scores]))
        accuracy = told(mean_and_sd([row.accuracy for row in scores]))
    linf, l0 = minimal_of(run, "linf"), minimal_of(run, "l0")
    universal = run.rows("universal.csv", UniversalPoint)
    epsilon = telling_epsilon(universal)
    return [
        Beside("AUC-ROC", auc, told(PAPER_AUC)),
        Beside("Accuracy", accuracy, told(PAPER_ACCURACY)),
        Beside(
            "Turned within L∞ 0.5 grey levels, in float",
            within(linf, 0.5, bits="float") if linf else NOT_RUN,
            "100 %",
        ),
        Beside(
            "Turned within L∞ 1 grey level, in 8 bits",
            within(linf, 1, bits="8") if linf else NOT_RUN,
            "not told",
        ),
        Beside(
            "Turned with 20 % of the pixels changed (L₀)",
            f"{within(l0, 0.2, bits='8')} in 8 bits" if l0 else NOT_RUN,
            "100 %",
        ),
        Beside(
            "One perturbation for all, training images",
            _universal(universal, "train", epsilon),
            "619 of 702 (88.2 %), budget not told",
        ),
        Beside(
            "One perturbation for all, test images",
            _universal(universal, "test", epsilon),
            "319 of 376 (84.8 %), budget not told",
        ),
    ]


def _universal(rows: list[UniversalPoint], split: str, epsilon: float | None) -> str:
    row = universal_of(rows, split, epsilon)
    return NOT_RUN if row is None else f"{ratio(row)} within L∞ {grey_levels(row.epsilon)}"


def why_they_differ(settings: dict[str, Any], data_name: str, patches: int) -> list[str]:
    """What this run does otherwise than the paper, as far as its files tell."""
    network, training = settings.get("network", {}), settings.get("training", {})
    tissue = settings.get("data", {}).get("tissue")
    reasons = []
    if network.get("weights", "imagenet") != "imagenet":
        start = "random" if network["weights"] == "none" else "other"
        reasons.append(
            f"This network started from {start} weights, the paper's from ImageNet's; without them "
            "a network learns less from so few patches, and other features."
        )
    if data_name.startswith("Phantom"):
        reasons.append("The patches are generated; no tissue was ever on a slide.")
    elif data_name and "pannuke" not in data_name.lower():
        reasons.append(
            f"The patches are those of {data_name}, not PanNuke's breast: other tissue, another "
            "scanner, other labels."
        )
    elif tissue not in (None, "Breast"):
        reasons.append(f"The tissue is {tissue}, the paper's is breast.")
    if patches and patches != 2035:
        reasons.append(f"There are {patches} patches; the paper has 2035 (1157 positive).")
    if network.get("architecture", "resnet18") != "resnet18":
        reasons.append(f"The network is {network['architecture']}, the paper's ResNet-18.")
    other = _other_training(training)
    if other:
        reasons.append(
            f"It was trained with {other}; the paper's with adadelta at 0.01 for 25 epochs."
        )
    return reasons


def _other_training(training: dict[str, Any]) -> str:
    papers = {"optimizer": "adadelta", "learning_rate": 0.01, "epochs": 25}
    ours = {key: training.get(key, value) for key, value in papers.items()}
    if ours == papers:
        return ""
    return f"{ours['optimizer']} at {ours['learning_rate']} for {ours['epochs']} epochs"
