"""Runs independent jobs: here, in several processes, or on several machines."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ml.data import Progress
from ml.engines.job import Job, perform, report
from ml.engines.tally import Tally
from ml.errors import MlError

__all__ = ["Job", "report", "run_jobs"]


def run_jobs(
    jobs: Sequence[Job],
    engine: str = "local",
    *,
    progress: Progress = lambda _done, _total: None,
) -> None:
    """Does those whose `done` is not there yet; what is finished stays, whatever happens.

    `engine`: "local" is this process, one job after the other; "local:4" four processes;
    "ray" or "ray://HOST:PORT" a Ray cluster. The first job that fails ends the run with its error.
    """
    kind, count = _understood(engine)
    jobs = [_with_absolute_paths(job) for job in jobs]
    tally = Tally(jobs, progress)
    missing = [job for job in jobs if not job.done.exists()]
    if not missing:
        return
    match kind:
        case "local":
            for job in missing:
                perform(job, partial(tally.hear, job))
                tally.finish(job)
        case "workers":
            from ml.engines.workers import run_in_workers

            run_in_workers(missing, count, tally)
        case _:
            from ml.engines.ray_cluster import run_on_ray

            run_on_ray(missing, engine if "://" in engine else None, tally)


def check_engine(engine: str) -> None:
    """MlError if there is no such engine."""
    _understood(engine)


def _understood(engine: str) -> tuple[str, int]:
    """The kind (local, workers, ray), and how many workers."""
    name, _, rest = engine.partition(":")
    if engine == "local":
        return "local", 1
    if name == "local" and rest.isdecimal() and int(rest) > 0:
        return "workers", int(rest)
    if engine == "ray" or (name == "ray" and rest.startswith("//") and len(rest) > 2):
        return "ray", 0
    raise MlError(
        f'There is no engine "{engine}"; give local, local:N (N processes), ray, or '
        "ray://HOST:PORT."
    )


def _with_absolute_paths(job: Job) -> Job:
    """Since a worker on another machine stands in another folder."""
    arguments = {
        name: value.absolute() if isinstance(value, Path) else value
        for name, value in job.arguments.items()
    }
    return replace(job, arguments=arguments, done=job.done.absolute())
