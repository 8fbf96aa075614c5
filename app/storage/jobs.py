"""Threads of the server that work off what waits in the database, one job after another."""

import fcntl
import os
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError

LOOK_AGAIN_SECONDS = 2.0
TELL_SECONDS = 0.5
Progress = Callable[[int, int], None]


class StoppedError(Exception):
    """The server stops; the next one goes on."""


TRY_AGAIN = (StoppedError, OperationalError, InterfaceError)


@dataclass
class Jobs(ABC):
    """At most one of a kind works in a data folder, of however many servers."""

    stopping: threading.Event = field(default_factory=threading.Event, kw_only=True)
    news: threading.Event = field(default_factory=threading.Event, kw_only=True)
    thread: threading.Thread | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def lock(self) -> Path:
        """The file by which the servers of a data folder know that one works."""

    @abstractmethod
    def work_off(self) -> None:
        """Every job that waits, and those that a killed server left in the middle."""

    def tidy(self) -> None:  # noqa: B027 (not every kind has something to tidy)
        """Before the first job."""

    def start(self) -> None:
        self.thread = threading.Thread(target=self.work, name=self.lock.stem)
        self.thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self.stopping.set()
        self.news.set()
        if self.thread is not None:
            self.thread.join()

    def wake(self) -> None:
        """There may be something to do."""
        self.news.set()

    def work(self) -> None:
        """Until the server stops. What fails is tried again: no job is forgotten."""
        while not self.stopping.is_set():
            try:
                with alone(self.lock) as is_alone:
                    if is_alone:
                        self.tidy()
                    while is_alone and not self.stopping.is_set():
                        self.work_off()
                        self.pause()
            except StoppedError:
                return
            except Exception:  # noqa: BLE001 (such as a database that does not answer)
                traceback.print_exc()
            self.pause()

    def pause(self) -> None:
        self.news.wait(LOOK_AGAIN_SECONDS)
        self.news.clear()


@dataclass
class Sparingly:
    """Passes progress on, but not more often than a person can read it."""

    tell: Progress
    at: float = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self.at:
            self.tell(done, total)
            self.at = time.monotonic() + TELL_SECONDS


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Whether no other process works here. The system gives the place free, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
