"""Jobs in several processes of this machine.

Not a `ProcessPoolExecutor`: that gives up all its workers when one is killed, and leaves them
running when it is killed itself.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

from ml.engines.job import Job, outcome_of
from ml.engines.tally import Tally
from ml.errors import MlError

ATTEMPTS = 3
SECONDS_TO_STOP = 5.0


@dataclass
class _Worker:
    process: SpawnProcess
    connection: "Connection[Job, int | Exception | None]"
    job: Job


def run_in_workers(jobs: Sequence[Job], count: int, tally: Tally) -> None:
    """A killed worker is replaced and its job done again; the others go on."""
    waiting, kills = deque(jobs), Counter[Path]()
    team: dict[object, _Worker] = {}
    threads = max(1, (os.cpu_count() or 1) // count)
    try:
        while waiting or team:
            while waiting and len(team) < count:
                worker = _hire(threads, waiting.popleft())
                team[worker.connection] = worker
            for connection in wait([worker.connection for worker in team.values()]):
                _listen(team, team[connection], waiting, kills, tally)
    finally:
        _dismiss(list(team.values()))


def _hire(threads: int, job: Job) -> _Worker:
    # A thread that waits by spinning slows the others down; see ml/cli.py.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, threads), daemon=True)
    process.start()
    theirs.close()
    worker = _Worker(process, ours, job)
    _give(worker, job)
    return worker


def _give(worker: _Worker, job: Job) -> None:
    worker.job = job
    with suppress(BrokenPipeError):  # It was killed; listening to it will tell so.
        worker.connection.send(job)


def _listen(
    team: dict[object, _Worker],
    worker: _Worker,
    waiting: deque[Job],
    kills: Counter[Path],
    tally: Tally,
) -> None:
    job = worker.job
    try:
        told = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        del team[worker.connection]
        worker.process.join()
        _after_kill(job, waiting, kills, tally)
        return
    match told:
        case int():
            tally.hear(job, told)
        case Exception():
            raise told
        case None:
            tally.finish(job)
            if waiting:
                _give(worker, waiting.popleft())
            else:
                del team[worker.connection]
                worker.connection.close()


def _after_kill(job: Job, waiting: deque[Job], kills: Counter[Path], tally: Tally) -> None:
    if job.done.exists():
        tally.finish(job)
        return
    kills[job.done] += 1
    if kills[job.done] == ATTEMPTS:
        raise MlError(
            f"The process that did {job.title} was killed {ATTEMPTS} times, which the system does "
            "when memory runs out; give fewer workers, and run the same again."
        )
    tally.hear(job, 0)
    waiting.appendleft(job)


def _dismiss(team: list[_Worker]) -> None:
    for worker in team:
        worker.process.terminate()
    for worker in team:
        worker.process.join(SECONDS_TO_STOP)
        worker.process.kill()
        worker.process.join()


def _work(connection: "Connection[int | Exception | None, Job]", threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who hired us.
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _share_cores(threads)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(outcome_of(job, connection.send))


def _share_cores(threads: int) -> None:
    """torch reads the variable when it is loaded, which the caller's main module may have done."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """So that what is half-written is tidied away."""
    sys.exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
