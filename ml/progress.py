"""Tells on stderr how far a long run is: bars on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

SECONDS_BETWEEN_LINES = 5.0


class Update(Protocol):
    """Fits wherever a function takes a progress callback of (done, total)."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def say(line: str) -> None:
    """One line, between stages."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def stage(title: str) -> Iterator[Update]:
    """What is reported first counts as the start, so that a resumed run estimates well."""
    with _bar(title) if sys.stderr.isatty() else _lines(title) as update:
        yield update


@contextmanager
def _bar(title: str) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeLeft())
    note_column = TextColumn("{task.fields[note]}")
    with Progress(*columns, note_column, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None, note="")

        def update(done: int, total: int, note: str = "") -> None:
            bars.update(task, completed=done, total=total, note=note)

        yield update


@contextmanager
def _lines(title: str) -> Iterator[Update]:
    began = last = time.monotonic()
    first: int | None = None

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal first, last
        now = time.monotonic()
        first = done if first is None else first
        if done < total and now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        told = [
            f"{title}: {done} of {total}",
            note,
            _time_left(now - began, done - first, total - done),
        ]
        print(", ".join(part for part in told if part), file=sys.stderr, flush=True)  # noqa: T201

    yield update


def _time_left(seconds: float, done: int, left: int) -> str:
    if left == 0:
        return f"took {seconds:.0f} s"
    return f"{seconds * left / done:.0f} s left" if done > 0 else ""
