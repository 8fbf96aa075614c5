"""The same result by each: confidence 0.9 in the wrong class, on 8-bit images within Linf."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.adapters import Attack, Budget, total
from benchmarks.step import floor_gradient
from benchmarks.subject import Subject
from benchmarks.timing import Timed, fastest, interleaved, median_ratio
from ml.attacks.lattice import finish
from ml.attacks.pgd import pgd
from ml.networks import in_bf16

CONFIDENCE, SLOTS, BATCH_SIZE = 0.9, 8, 16
HEADING = "   ours is faster: fp32 wall, CPU; bf16 wall, CPU"
WHOLE_STEP = 1.0
"""Of ours, since what moves by whole grey levels loses nothing when it is rounded."""
FINISH_STEPS = 2
"""Of the steps that each image has, these are kept for the 8-bit image."""


@dataclass(frozen=True)
class Runner:
    """`reached`: the share of the images at the confidence; `wrong`: in the wrong class at all.

    Both on the 8-bit images, as the fp32 network judges them.
    """

    name: str
    wall_seconds: float
    cpu_seconds: float
    reached: float
    wrong: float
    ours_faster_wall: float
    ours_faster_cpu: float
    bf16_faster_wall: float | None
    bf16_faster_cpu: float | None


@dataclass(frozen=True)
class Race:
    """`best_peer`: how many times faster ours is than the fastest peer of each round."""

    epsilon: float
    steps: int
    runners: list[Runner]
    missing: dict[str, str]
    best_peer: dict[str, float]

    def told(self) -> str:
        lines = [
            f"to confidence {CONFIDENCE} within Linf {self.epsilon:g}, at most {self.steps} steps",
            f"{'':24}{'wall s':>8}{'CPU s':>8}{'reached':>9}{'wrong':>7}{HEADING}",
        ]
        for r in self.runners:
            bf16 = (
                ""
                if r.bf16_faster_wall is None
                else f"; {r.bf16_faster_wall:.2f}, {r.bf16_faster_cpu:.2f}"
            )
            lines.append(
                f"{r.name:24}{r.wall_seconds:8.1f}{r.cpu_seconds:8.1f}{r.reached:9.2f}"
                f"{r.wrong:7.2f}   {r.ours_faster_wall:.2f}, {r.ours_faster_cpu:.2f}{bf16}"
            )
        lines += [f"{name:24} missing: {why}" for name, why in self.missing.items()]
        lines += [f"{name}: {ratio:.2f} x" for name, ratio in self.best_peer.items()]
        return "\n".join(lines)


def measure(
    subject: Subject,
    *,
    epsilon: float,
    steps: int,
    rounds: int,
    bf16: bool,
    checkouts: peers.Checkouts,
) -> Race:
    budget = Budget("linf", epsilon, epsilon / 4, steps)
    found = peers.bounded(budget, checkouts)
    contestants: dict[str, Callable[[], Tensor]] = {
        "ours fp32": lambda: ours(subject, budget, bf16=False),
        **({"ours bf16": lambda: ours(subject, budget, bf16=True)} if bf16 else {}),
        "floor, all steps": lambda: in_8_bits(in_parts(plain_pgd(budget), subject)),
        **{name: _peer(attack, subject) for name, attack in found.attacks.items()},
    }
    timed = interleaved(contestants, rounds)
    return Race(
        epsilon,
        steps,
        [_runner(name, timed, subject) for name in contestants],
        found.missing,
        _against_the_best(timed, list(found.attacks)),
    )


def _peer(attack: Attack, subject: Subject) -> Callable[[], Tensor]:
    """On a copy of the network, since some libraries change its mode."""
    theirs = replace(subject, network=copy.deepcopy(subject.network))

    def run() -> Tensor:
        theirs.network.eval()
        return in_8_bits(in_parts(attack, theirs))

    return run


def ours(subject: Subject, budget: Budget, *, bf16: bool) -> Tensor:
    """As `plainsight-ml attack` does it: search, round inside the budget, finish in fp32."""
    kept = min(FINISH_STEPS, budget.steps - 1)
    searched = pgd(
        in_bf16(subject.view) if bf16 else subject.view,
        subject.images,
        subject.labels,
        epsilon=budget.epsilon,
        step_size=WHOLE_STEP,
        steps=budget.steps - kept,
        confidence_target=CONFIDENCE,
        slots=SLOTS,
    )
    return finish(
        subject.view,
        subject.images,
        searched.images,
        subject.labels,
        norm="linf",
        epsilon=budget.epsilon,
        steps=kept,
        confidence_target=CONFIDENCE,
        slots=SLOTS,
    ).images


def plain_pgd(budget: Budget) -> Attack:
    """A library at its best: all steps on all images, each a floor step."""

    def attack(network: torch.nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        epsilon = total(budget.epsilon, budget.norm, pixels[0].numel())
        step_size = total(budget.step_size, budget.norm, pixels[0].numel())
        perturbed = pixels
        for _ in range(budget.steps):
            gradient = floor_gradient(network, perturbed, labels)
            if budget.norm == "linf":
                moved = perturbed + step_size * gradient.sign()
                shift = (moved - pixels).clamp(-epsilon, epsilon)
            else:
                moved = perturbed + step_size * gradient / _length(gradient)
                shift = (moved - pixels) * (epsilon / _length(moved - pixels)).clamp(max=1)
            perturbed = (pixels + shift).clamp(0, 1)
        return perturbed

    return attack


def _length(values: Tensor) -> Tensor:
    return values.flatten(1).square().sum(dim=1).sqrt().clamp(min=1e-12).view(-1, 1, 1, 1)


def in_parts(attack: Attack, subject: Subject) -> Tensor:
    """The perturbed pixels; in batches of a size that suits the cache."""
    return torch.cat(
        [attack(subject.network, part.pixels, part.labels) for part in subject.parts(BATCH_SIZE)]
    )


def in_8_bits(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8)


def _runner(name: str, timed: dict[str, Timed[Tensor]], subject: Subject) -> Runner:
    one, fp32, bf16 = timed[name], timed["ours fp32"], timed.get("ours bf16")
    confidence = subject.confidence(one.outcome)
    return Runner(
        name,
        statistics.median(one.wall),
        statistics.median(one.cpu),
        float(np.mean(confidence >= CONFIDENCE)),
        float(np.mean(confidence > 0.5)),
        median_ratio(one.wall, fp32.wall),
        median_ratio(one.cpu, fp32.cpu),
        None if bf16 is None else median_ratio(one.wall, bf16.wall),
        None if bf16 is None else median_ratio(one.cpu, bf16.cpu),
    )


def _against_the_best(timed: dict[str, Timed[Tensor]], names: list[str]) -> dict[str, float]:
    if not names:
        return {}
    wall, cpu = fastest([timed[n].wall for n in names]), fastest([timed[n].cpu for n in names])
    return {
        f"{ours_name} against the fastest peer, {kind}": median_ratio(theirs, ours_times)
        for ours_name in ("ours fp32", "ours bf16")
        if ours_name in timed
        for kind, theirs, ours_times in (
            ("wall", wall, timed[ours_name].wall),
            ("CPU", cpu, timed[ours_name].cpu),
        )
    }
