"""The cost of a whole curve, success against epsilon, over ten budgets."""

import copy
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import peers
from benchmarks.adapters import Attack, BallNorm, Budget
from benchmarks.race import in_parts, plain_pgd
from benchmarks.subject import Subject
from benchmarks.timing import interleaved, median_ratio
from ml.attacks.budget import size_of
from ml.attacks.minimal import minimal
from ml.attacks.pgd import pgd

SHARES_OF_MEDIAN = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0)
"""The budgets, against the median image's smallest perturbation."""
OUR_STEPS, SLOTS = 8, 8
FLIP = 0.500001
OURS, FLOOR, FMN = f"ours, {OUR_STEPS} steps", "10 x PGD-20 on the floor", "adv-lib FMN-20"
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """`furthest`: the largest difference of any point to PGD-60's curve; below it is negative."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    ours_cpu_share: float
    curve: list[float]
    furthest: float


@dataclass(frozen=True)
class Curves:
    norm: str
    epsilons: list[float]
    pgd_60: list[float]
    methods: list[Method]
    missing: dict[str, str]

    def told(self) -> str:
        lines = [
            f"curve of {self.norm} over {', '.join(f'{e:.3g}' for e in self.epsilons)} grey levels",
            f"{'PGD-60':26} {_points(self.pgd_60)}",
        ]
        lines += [
            f"{m.name:26} {_points(m.curve)}  furthest {m.furthest:+.3f}  wall "
            f"{m.wall_seconds:.1f} s, CPU {m.cpu_seconds:.1f} s; ours takes "
            f"{m.ours_cpu_share:.3f} of this CPU"
            for m in self.methods
        ]
        lines += [f"{name:26} missing: {why}" for name, why in self.missing.items()]
        return "\n".join(lines)


def _points(curve: Sequence[float]) -> str:
    return " ".join(f"{point:.2f}" for point in curve)


def measure(subject: Subject, *, rounds: int) -> list[Curves]:
    return [_measure(subject, "linf", rounds), _measure(subject, "l2", rounds)]


def _measure(subject: Subject, norm: BallNorm, rounds: int) -> Curves:
    sizes = _our_sizes(subject, norm)
    epsilons = [float(np.median(sizes)) * share for share in SHARES_OF_MEDIAN]
    found = peers.minimal(norm, 20)
    contestants: dict[str, Callable[[], Curve]] = {
        OURS: lambda: _curve(_our_sizes(subject, norm), epsilons),
        FLOOR: lambda: np.array([_floor_share(subject, norm, e) for e in epsilons]),
    }
    fmn = found.attacks.get("adv-lib FMN")
    if fmn is not None:
        theirs = replace(subject, network=copy.deepcopy(subject.network))
        contestants[FMN] = lambda: _curve(_peer_sizes(theirs, norm, fmn), epsilons)
    timed = interleaved(contestants, rounds)
    reference = _pgd_60_curve(subject, norm, epsilons)
    ours = timed[OURS]
    methods = [
        Method(
            name,
            statistics.median(one.wall),
            statistics.median(one.cpu),
            median_ratio(ours.cpu, one.cpu),
            one.outcome.tolist(),
            _furthest(one.outcome - reference),
        )
        for name, one in timed.items()
    ]
    missing = {name: why for name, why in found.missing.items() if name == "adv-lib FMN"}
    return Curves(norm, epsilons, reference.tolist(), methods, missing)


def _furthest(differences: Curve) -> float:
    return float(differences[np.abs(differences).argmax()])


def _curve(sizes: Curve, epsilons: Sequence[float]) -> Curve:
    return np.array([np.mean(sizes <= epsilon) for epsilon in epsilons])


def _our_sizes(subject: Subject, norm: BallNorm) -> Curve:
    found = minimal(
        subject.view, subject.images, subject.labels, norm=norm, steps=OUR_STEPS, slots=SLOTS
    )
    sizes: Curve = found.epsilon.double().numpy()
    return sizes


def _peer_sizes(subject: Subject, norm: BallNorm, attack: Attack) -> Curve:
    """Infinite where what it returned does not fool the network."""
    perturbed = in_parts(attack, subject) * 255
    sizes = size_of(perturbed - subject.images, norm).double().numpy()
    found: Curve = np.where(subject.confidence(perturbed) > 0.5, sizes, np.inf)
    return found


def _floor_share(subject: Subject, norm: BallNorm, epsilon: float) -> float:
    attack = plain_pgd(Budget(norm, epsilon, epsilon / 4, 20))
    return _share_wrong(subject, in_parts(attack, subject) * 255)


def _pgd_60_curve(subject: Subject, norm: BallNorm, epsilons: Sequence[float]) -> Curve:
    """Ours, as an image that has flipped need not go on, nor start again within more; not timed."""
    flipped = np.zeros(len(subject.images), dtype=np.bool_)
    points = []
    for epsilon in epsilons:
        (left,) = np.nonzero(~flipped)
        if len(left) == 0:
            points.append(1.0)
            continue
        images, labels = subject.images[left], subject.labels[left]
        found = pgd(
            subject.view,
            images,
            labels,
            norm=norm,
            epsilon=epsilon,
            step_size=epsilon / 8,
            steps=60,
            confidence_target=FLIP,
            slots=SLOTS,
        )
        judged = replace(subject, images=images, labels=labels)
        flipped[left] = judged.confidence(found.images) > 0.5
        points.append(float(flipped.mean()))
    return np.array(points)


def _share_wrong(subject: Subject, images: Tensor) -> float:
    return float(np.mean(subject.confidence(images) > 0.5))
