"""Counts what is done of several jobs."""

import time
from collections.abc import Sequence

from ml.data import Progress
from ml.engines.job import Job
from ml.errors import MlError

SECONDS_UNTIL_SHARED = 60.0
"""A shared folder (NFS) may show a new file that much later to another machine."""


class Tally:
    """Tells the progress in units of the jobs' sizes."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.progress = progress
        self.total = sum(job.size for job in jobs)
        self.units = {job.done: job.size if job.done.exists() else 0 for job in jobs}
        self.tell()

    def tell(self) -> None:
        self.progress(sum(self.units.values()), self.total)

    def hear(self, job: Job, units: int) -> None:
        self.units[job.done] = min(units, job.size)
        self.tell()

    def finish(self, job: Job, *, patience: float = 0.0) -> None:
        """MlError if what the job should have written is not there after `patience` seconds."""
        until = time.monotonic() + patience
        while not job.done.exists():
            if time.monotonic() >= until:
                raise MlError(
                    f"{job.title} is done, but {job.done} is not there; "
                    "give a folder that all machines share under the same path."
                )
            time.sleep(0.2)
        self.hear(job, job.size)
