"""Natural changes of patches beside adversarial ones of the same energy, in one table.

The paper's introduction names compression, rescanning, scanners and staining; a network that is
fooled by an attack of far less energy than those it withstands is not robust for that reason.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ml.attacks.noise import random_perturbation
from ml.attacks.single_instance import finish, search
from ml.attacks.targets import Targets, choose_targets
from ml.evaluation import wilson
from ml.experiment import Experiment
from ml.matched_energy import ATTACK, RANDOM, Matched, NaturalRow, match
from ml.natural import CHANGES, Pixels
from ml.networks import load_card
from ml.perceptibility import ssim
from ml.progress import stage
from ml.quantize import images_from_tensor, measure, tensor_from_images
from ml.steps import once, read_table, write_table
from ml.transfer import misclassified

NAME, TABLE = "natural", "natural.csv"
AT_A_TIME = 64


@dataclass(frozen=True)
class NaturalSummary:
    """`patches` were changed, both with tumour and without."""

    patches: int
    rows: list[NaturalRow]
    matched: list[Matched]


def run_natural(
    network_file: Path, data: Path, out: Path, experiment: Experiment, *, fresh: bool = False
) -> NaturalSummary:
    """Writes natural.csv and, last, natural.json to `out`.

    On held-out patches that the network classifies correctly, read from disk part by part.
    """
    card = load_card(network_file)
    identity = {
        "settings": asdict(experiment.natural),
        "attack": asdict(experiment.attack),
        "seed": experiment.seed,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
    }

    def work() -> dict[str, Any]:
        targets = choose_targets(
            network_file,
            data,
            truths="both",
            limit=experiment.natural.limit,
            seed=experiment.seed,
        )
        rows = _measure_all(targets, experiment)
        write_table(out / TABLE, NaturalRow, rows)
        return {"patches": len(targets.patches), "matched": [asdict(m) for m in match(rows)]}

    facts = once(out, NAME, identity, work, fresh=fresh)
    rows = read_table(out / TABLE, NaturalRow)
    return NaturalSummary(facts["patches"], rows, match(rows))


@dataclass(frozen=True)
class _Outcome:
    """Of one patch."""

    success: bool
    l1_mad: float
    l2_rmsd: float
    linf: float
    ssim: float


def _measure_all(targets: Targets, experiment: Experiment) -> list[NaturalRow]:
    outcomes: dict[tuple[str, float], list[_Outcome]] = {}
    total, settings = len(targets.patches), experiment.natural
    attacks = len(settings.linf) + len(settings.l2)
    versions = sum(len(change.levels) for change in CHANGES) + 2 * attacks
    done = 0
    with stage("changing patches naturally and by attack") as update:
        for first in range(0, total, AT_A_TIME):
            part = replace(
                targets, patches=targets.patches.subset(range(first, min(first + AT_A_TIME, total)))
            )
            originals = part.patches.images(range(len(part.patches)))
            for change, level, changed in _versions(part, originals, experiment, first):
                found = _outcomes(part, originals, changed)
                outcomes.setdefault((change, level), []).extend(found)
                done += len(found)
                update(done, total * versions)
    return [_row(change, level, found) for (change, level), found in outcomes.items()]


def _versions(
    part: Targets, originals: Pixels, experiment: Experiment, first: int
) -> Iterator[tuple[str, float, Pixels]]:
    """Name, level and the changed patches; those of an attack, then noise of the same RMSD."""
    for number, change in enumerate(CHANGES):
        for level in change.levels:
            chances = [
                np.random.default_rng([experiment.seed, number, int(patch.digest[:8], 16)])
                for patch in part.patches.entries
            ]
            pairs = zip(originals, chances, strict=True)
            changed = np.stack([change.apply(pixels, level, chance) for pixels, chance in pairs])
            yield change.name, float(level), changed
    images = tensor_from_images(originals)
    norms: tuple[Literal["linf", "l2"], ...] = ("linf", "l2")
    for norm in norms:
        for epsilon in getattr(experiment.natural, norm):
            perturbed = _attacked(part, images, experiment, norm, epsilon)
            yield f"{ATTACK}{norm}", float(epsilon), images_from_tensor(perturbed)
            rmsd = (perturbed.double() - images).square().mean(dim=(1, 2, 3)).sqrt()
            noise = random_perturbation(
                images, norm="l2", epsilon=rmsd, seed=experiment.seed + first
            )
            yield f"{RANDOM}{norm}", float(epsilon), images_from_tensor(noise)


def _attacked(
    part: Targets, images: Tensor, experiment: Experiment, norm: Literal["linf", "l2"], epsilon: str
) -> Tensor:
    settings = replace(
        experiment.attack, norm=norm, epsilon=epsilon, step_size=None, targeted=False
    )
    labels = torch.from_numpy(part.patches.labels)
    found = search(part.network, images, labels, settings, seed=experiment.seed)
    return finish(part.network, images, found, labels, settings).images


def _outcomes(part: Targets, originals: Pixels, changed: Pixels) -> list[_Outcome]:
    wrong = misclassified(part.network, tensor_from_images(changed), part.patches.labels)
    outcomes = []
    for original, pixels, success in zip(originals, changed, wrong, strict=True):
        size = measure(original, pixels)
        likeness = ssim(original, pixels)
        outcomes.append(
            _Outcome(bool(success), size.l1_mad, size.l2_rmsd, float(size.linf), likeness)
        )
    return outcomes


def _row(change: str, level: float, outcomes: list[_Outcome]) -> NaturalRow:
    n, successes = len(outcomes), sum(outcome.success for outcome in outcomes)
    low, high = wilson(successes, n)
    return NaturalRow(
        change=change,
        level=level,
        n=n,
        successes=successes,
        rate=successes / n,
        low=low,
        high=high,
        l1_mad=float(np.mean([outcome.l1_mad for outcome in outcomes])),
        l2_rmsd=float(np.mean([outcome.l2_rmsd for outcome in outcomes])),
        linf=float(np.mean([outcome.linf for outcome in outcomes])),
        ssim=float(np.mean([outcome.ssim for outcome in outcomes])),
    )
