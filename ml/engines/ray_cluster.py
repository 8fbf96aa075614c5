"""Jobs on the machines of a Ray cluster, which share a folder (docs/scale.md)."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

from ml.engines.job import Job, outcome_of
from ml.engines.tally import SECONDS_UNTIL_SHARED, Tally
from ml.errors import MlError

ATTEMPTS = 3


def run_on_ray(jobs: Sequence[Job], address: str | None, tally: Tally) -> None:
    """One CPU a job, and a GPU if it asks; Ray does the job of a killed worker again.

    Without an address: the cluster that this machine is in, else a new one of this machine.
    """
    ray = _import_ray()
    # Ray tells of killed workers on stdout, where a command's JSON goes.
    with redirect_stdout(sys.stderr), _connection(ray, address):
        gpus = ray.cluster_resources().get("GPU", 0)
        _refuse_absent_gpus(jobs, gpus)
        remote = ray.remote(outcome_of)
        under_way = {_send(remote, job, gpus): job for job in jobs}
        while under_way:
            [reference], _ = ray.wait(list(under_way), num_returns=1)
            job = under_way.pop(reference)
            error = _outcome(ray, reference, job)
            if error is not None:
                raise error
            tally.finish(job, patience=SECONDS_UNTIL_SHARED)


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise MlError(
            "Ray is not installed; install it on all machines: pip install 'plainsight[ray]'"
        ) from None
    module: ModuleType = ray
    return module


@contextmanager
def _connection(ray: Any, address: str | None) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        first_line = str(error).partition("\n")[0]
        raise MlError(
            f"Ray did not answer at {address or 'this machine'} ({first_line}); "
            "start Ray there, with the same RAY_AUTH_MODE and token as here (docs/scale.md)."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_absent_gpus(jobs: Sequence[Job], gpus: float) -> None:
    if gpus == 0 and any(job.device == "cuda" for job in jobs):
        raise MlError("This Ray cluster has no GPU; start Ray where there is one, or --device cpu.")


def _send(remote: Any, job: Job, gpus: float) -> Any:
    wanted = 1 if job.device == "cuda" or (job.device == "auto" and gpus > 0) else 0
    options = remote.options(
        name=job.title, num_cpus=1, num_gpus=wanted, max_retries=ATTEMPTS, retry_exceptions=False
    )
    return options.remote(job)


def _outcome(ray: Any, reference: Any, job: Job) -> Exception | None:
    try:
        error: Exception | None = ray.get(reference)
    except ray.exceptions.RayError as raised:
        first_line = str(raised).partition("\n")[0]
        return MlError(
            f"Ray gave up on {job.title} ({first_line}); what is finished is kept: mend the "
            "cluster and run the same again."
        )
    return error
