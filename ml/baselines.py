"""What a reviewer asks for beside PGD: weaker and other attacks, other networks, sanity checks."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.apgd import apgd
from ml.attacks.fgsm import fgsm
from ml.attacks.margin import Network
from ml.attacks.noise import random_perturbation
from ml.attacks.pgd import pgd, random_start
from ml.attacks.rounding import round_inside
from ml.attacks.square import square
from ml.attacks.targets import choose_targets
from ml.data import Progress
from ml.evaluation import wilson
from ml.experiment import AttackSettings, BaselinesSettings, Experiment
from ml.networks import PixelNetwork, attack_view, load_card
from ml.progress import stage
from ml.quantize import tensor_from_images
from ml.sanity import Check, check_attacks, check_ends, check_network
from ml.steps import once, write_table
from ml.transfer import Transfer, by_folder, misclassified, transfer

BallNorm = Literal["l2", "linf"]
ENDS_LIMIT = 16
"""At most so many images at the ends of the scale, where each takes all steps."""


@dataclass(frozen=True)
class Baseline:
    """One line of baselines.csv. `bits`: "8", or "float" within less than one grey level (linf)."""

    attack: str
    norm: str
    epsilon: str
    n: int
    successes: int
    rate: float
    low: float
    high: float
    bits: str


@dataclass(frozen=True)
class BaselinesSummary:
    """`failed`: the sanity checks that did not pass."""

    attacked: int
    correct: int
    considered: int
    failed: tuple[str, ...]


@dataclass(frozen=True)
class _Budget:
    norm: BallNorm
    epsilon: str

    @property
    def size(self) -> float:
        return float(self.epsilon)

    @property
    def bits(self) -> str:
        return "float" if self.norm == "linf" and self.size < 1 else "8"


@dataclass(frozen=True)
class _Attacked:
    """`images` uint8 where the budget allows; `wrong` (n,) as the fp32 network judges them."""

    attack: str
    budget: _Budget
    images: Tensor
    wrong: NDArray[np.bool_]


def run_baselines(
    network_file: Path,
    data: Path,
    out: Path,
    experiment: Experiment,
    other_networks: Sequence[Path] = (),
    *,
    fresh: bool = False,
) -> BaselinesSummary:
    """Writes baselines.csv, transfer.csv, sanity.csv, and baselines.json last.

    `other_networks` may name the attacked one too, which is not shown to itself.
    """
    others = by_folder(other_networks)
    card = load_card(network_file)
    identity = {
        "settings": asdict(experiment.baselines),
        "confidence_target": experiment.attack.confidence_target,
        "both_directions": experiment.curves.both_directions,
        "seed": experiment.seed,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        "other_networks": {name: load_card(file).file_sha256 for name, file in others.items()},
    }
    facts = once(
        out,
        "baselines",
        identity,
        partial(_run, network_file, data, out, experiment, others),
        fresh=fresh,
    )
    return BaselinesSummary(
        attacked=facts["attacked"],
        correct=facts["correct"],
        considered=facts["considered"],
        failed=tuple(facts["failed"]),
    )


def _run(
    network_file: Path, data: Path, out: Path, experiment: Experiment, others: dict[str, Path]
) -> dict[str, Any]:
    settings, slots = experiment.baselines, experiment.attack.slots
    targets = choose_targets(
        network_file,
        data,
        truths="both" if experiment.curves.both_directions else "positive",
        limit=settings.limit,
        seed=experiment.seed,
    )
    images = tensor_from_images(targets.patches.images(range(len(targets.patches))))
    labels = torch.from_numpy(targets.patches.labels)
    view = attack_view(targets.network)
    with stage("attacking by other means") as update:
        attacked = _attack_all(targets.network, view, images, labels, experiment, update)
    rows = [_baseline(one) for one in attacked]
    with stage("checking the attacks themselves") as update:
        checks = check_network(targets.network, view, images, labels, slots=slots)
        update(1, 2)
        few = slice(ENDS_LIMIT)
        checks += check_ends(view, images[few], labels[few], slots=slots)
        update(2, 2)
    checks += check_attacks(rows)
    write_table(out / "baselines.csv", Baseline, rows)
    by_pgd: dict[tuple[str, str], Tensor] = {
        (one.budget.norm, one.budget.epsilon): one.images for one in attacked if one.attack == "PGD"
    }
    attacked_file = network_file.resolve()
    unknown = {name: file for name, file in others.items() if file.resolve() != attacked_file}
    write_table(out / "transfer.csv", Transfer, transfer(by_pgd, images, targets, unknown))
    write_table(out / "sanity.csv", Check, checks)
    return {
        "attacked": len(images),
        "correct": targets.correct,
        "considered": targets.considered,
        "failed": [check.check for check in checks if not check.passed],
    }


def _attack_all(
    network: PixelNetwork,
    view: Network,
    images: Tensor,
    labels: Tensor,
    experiment: Experiment,
    progress: Progress,
) -> list[_Attacked]:
    """All in float, then rounded inside the budget alike: none is finished on whole grey levels."""
    attacked = []
    budgets = _budgets(experiment.baselines)
    for budget in budgets:
        attacks = _attacks(view, images, labels, budget, experiment)
        for name, attack in attacks.items():
            perturbed = attack()
            if budget.bits == "8" and perturbed.dtype != torch.uint8:
                perturbed = round_inside(images, perturbed, budget.norm, budget.size)
            wrong = misclassified(network, perturbed, labels.numpy())
            attacked.append(_Attacked(name, budget, perturbed, wrong))
            progress(len(attacked), len(budgets) * len(attacks))
    return attacked


def _budgets(settings: BaselinesSettings) -> list[_Budget]:
    return [_Budget("linf", epsilon) for epsilon in settings.linf] + [
        _Budget("l2", epsilon) for epsilon in settings.l2
    ]


def _attacks(
    view: Network, images: Tensor, labels: Tensor, budget: _Budget, experiment: Experiment
) -> dict[str, Callable[[], Tensor]]:
    settings, seed, epsilon = experiment.baselines, experiment.seed, budget.size
    in_budget: dict[str, Any] = {
        "norm": budget.norm,
        "epsilon": epsilon,
        "slots": experiment.attack.slots,
    }
    until: dict[str, Any] = {
        **in_budget,
        "confidence_target": experiment.attack.confidence_target,
    }
    step_size = float(AttackSettings(norm=budget.norm, epsilon=budget.epsilon).step_size_text)
    climb = partial(apgd, view, images, labels, steps=settings.steps, **until)
    return {
        "random noise": lambda: _random_noise(images, budget, seed),
        "FGSM": lambda: fgsm(view, images, labels, **in_budget),
        "PGD": lambda: (
            pgd(view, images, labels, step_size=step_size, steps=settings.steps, **until).images
        ),
        "APGD-CE": lambda: climb(loss="cross-entropy").images,
        "APGD-margin": lambda: climb(loss="margin").images,
        "Square": lambda: (
            square(view, images, labels, queries=settings.queries, seed=seed, **until).images
        ),
    }


def _random_noise(images: Tensor, budget: _Budget, seed: int) -> Tensor:
    if budget.bits == "float":
        return random_start(images, budget.norm, budget.size, seed)
    return random_perturbation(images, norm=budget.norm, epsilon=budget.size, seed=seed)


def _baseline(attacked: _Attacked) -> Baseline:
    n, successes = len(attacked.wrong), int(attacked.wrong.sum())
    low, high = wilson(successes, n)
    budget = attacked.budget
    return Baseline(
        attacked.attack,
        budget.norm,
        budget.epsilon,
        n,
        successes,
        successes / n,
        low,
        high,
        budget.bits,
    )
