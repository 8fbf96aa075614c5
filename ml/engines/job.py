"""One independent piece of work, and how it is done wherever it was sent."""

import pickle
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Listener = Callable[[int], None]
_listener: ContextVar[Listener] = ContextVar("listener", default=lambda _units: None)


@dataclass(frozen=True)
class Job:
    """`function` is at the top of a module, `arguments` can be pickled; no job needs another's.

    It writes whole files into a folder that all workers share, `done` last, and may do so twice.
    Progress counts a job as `size`. `device` "cuda" asks for a GPU of its own where the engine
    hands them out (Ray), and "auto" does if the cluster has any.
    """

    title: str
    function: Callable[..., object]
    arguments: dict[str, Any]
    done: Path
    size: int = 1
    device: str = "cpu"


def report(units: int) -> None:
    """Called within a job: so many of its `size` are done. On Ray nobody hears it."""
    _listener.get()(units)


def perform(job: Job, listener: Listener) -> None:
    token = _listener.set(listener)
    try:
        job.function(**job.arguments)
    finally:
        _listener.reset(token)


def outcome_of(job: Job, listener: Listener = lambda _units: None) -> Exception | None:
    """The error as a value that can be pickled, with what led to it as a note."""
    try:
        perform(job, listener)
    except Exception as error:  # noqa: BLE001 - told again by the one who sent the job
        told = traceback.format_exc()
        error.add_note(told)
        return error if _survives_pickling(error) else RuntimeError(told)
    return None


def _survives_pickling(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever goes wrong, it cannot be sent
        return False
    return True
