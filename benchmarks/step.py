"""One step of an attack against the floor."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.timing import interleaved, median_ratio
from ml.attacks.margin import Network, margin_and_gradient
from ml.networks import in_bf16

BATCH_SIZE, REPEATS = 16, 4


@dataclass(frozen=True)
class Step:
    """Ratios to the floor's time."""

    name: str
    milliseconds: float
    wall_ratio: float
    cpu_ratio: float

    def told(self) -> str:
        return (
            f"one step, {self.name}: {self.milliseconds:.1f} ms an image, {self.wall_ratio:.2f} of "
            f"the floor (CPU {self.cpu_ratio:.2f})"
        )


def floor_gradient(network: Network, pixels: Tensor, labels: Tensor) -> Tensor:
    """Of the cross-entropy, with respect to the pixels only."""
    variable = pixels.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(network(variable), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, variable)
    return gradient


def measure(subject: Subject, *, rounds: int) -> list[Step]:
    few = subject.parts(BATCH_SIZE)[0]
    pixels, grey_levels = few.pixels, few.images.to(torch.float32)

    def repeated(gradient: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(REPEATS):
                gradient()

        return run

    contestants = {
        "the floor": repeated(lambda: floor_gradient(few.network, pixels, few.labels)),
        "ours in fp32": repeated(lambda: margin_and_gradient(few.view, grey_levels, few.labels)),
        "ours in bf16": repeated(
            lambda: margin_and_gradient(in_bf16(few.view), grey_levels, few.labels)
        ),
    }
    interleaved(contestants, 1)
    timed = interleaved(contestants, 2 * rounds)
    floor = timed["the floor"]
    return [
        Step(
            name,
            1000 * statistics.median(one.wall) / (REPEATS * len(few.labels)),
            median_ratio(one.wall, floor.wall),
            median_ratio(one.cpu, floor.cpu),
        )
        for name, one in timed.items()
    ]
