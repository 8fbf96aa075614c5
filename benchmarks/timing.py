"""Times things against each other on a machine that others use, too."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import click

Outcome = TypeVar("Outcome")


@dataclass
class Timed(Generic[Outcome]):
    """Seconds of each round, and what came out of the last."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        return self.outcomes[-1]


def interleaved(
    contestants: Mapping[str, Callable[[], Outcome]], rounds: int
) -> dict[str, Timed[Outcome]]:
    """Every contestant once a round, so that what slows the machine slows all of them."""
    timed: dict[str, Timed[Outcome]] = {name: Timed() for name in contestants}
    for done in range(rounds):
        for name, run in contestants.items():
            wall_began, cpu_began = time.perf_counter(), time.process_time()
            outcome = run()
            timed[name].cpu.append(time.process_time() - cpu_began)
            timed[name].wall.append(time.perf_counter() - wall_began)
            timed[name].outcomes[:] = [outcome]
            click.echo(
                f"round {done + 1} of {rounds}: {name} {timed[name].wall[-1]:.1f} s", err=True
            )
    return timed


def median_ratio(times: list[float], theirs: list[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(times, theirs, strict=True))


def fastest(times: list[list[float]]) -> list[float]:
    """The shortest time of each round."""
    return [min(round_of) for round_of in zip(*times, strict=True)]
