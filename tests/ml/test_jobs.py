"""Jobs here and in several processes; tests/ml/test_ray.py has them on a cluster."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.engines.tally import Tally
from ml.errors import MlError
from ml.files import whole_file
from ml.jobs import Job, report, run_jobs


class UnpicklableError(Exception):
    def __init__(self, told: str, lock: object) -> None:
        super().__init__(told)
        self.lock = lock


def write(number: int, path: Path) -> None:
    with whole_file(path) as beside:
        beside.write_text(str(number))


def write_process(path: Path) -> None:
    import torch

    path.write_text(f"{os.getpid()} {torch.get_num_threads()}")


def die_once(number: int, path: Path, mark: Path) -> None:
    """Killed the first time, as the system does when memory runs out."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(number, path)


def die(path: Path) -> None:
    path.with_suffix(f".{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def write_then_die(path: Path) -> None:
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def fail(kind: str) -> None:
    match kind:
        case "MlError":
            raise MlError("The data are damaged; download them again.")
        case "unpicklable":
            raise UnpicklableError("no pickle", threading.Lock())
        case _:
            raise ZeroDivisionError("one by zero")


def fail_after(others: list[Path]) -> None:
    while not all(other.exists() for other in others):
        time.sleep(0.01)
    fail("MlError")


def write_in_parts(path: Path) -> None:
    for part in range(1, 5):
        report(part)
    path.touch()


def forget(path: Path) -> None:
    """Does not write what it should."""


def sleep(path: Path) -> None:
    path.with_suffix(".began").write_text(str(os.getpid()))
    with whole_file(path) as beside:
        beside.touch()
        time.sleep(60)


def writers(folder: Path, count: int = 4) -> list[Job]:
    return [
        Job(f"file {i}", write, {"number": i, "path": folder / f"{i}"}, folder / f"{i}")
        for i in range(count)
    ]


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("engine", ["local", "local:2"])
def test_every_job_is_done(tmp_path: Path, engine: str) -> None:
    run_jobs(writers(tmp_path), engine)
    assert [(tmp_path / f"{i}").read_text() for i in range(4)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("engine", ["local", "local:2"])
def test_what_is_done_already_is_not_done_again(tmp_path: Path, engine: str) -> None:
    (tmp_path / "1").write_text("kept")
    run_jobs(writers(tmp_path), engine)
    assert (tmp_path / "1").read_text() == "kept"
    assert (tmp_path / "3").read_text() == "3"


def test_workers_are_other_processes_that_share_the_cores(tmp_path: Path) -> None:
    jobs = [
        Job(name, write_process, {"path": tmp_path / name}, tmp_path / name) for name in ("a", "b")
    ]
    run_jobs(jobs, "local:2")
    told = [(tmp_path / name).read_text().split() for name in ("a", "b")]
    assert str(os.getpid()) not in {process for process, _ in told}
    assert {threads for _, threads in told} == {str(max(1, (os.cpu_count() or 1) // 2))}


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_jobs([Job("a", write, {"number": 5, "path": Path("a")}, Path("a"))], "local:1")
    assert (tmp_path / "a").read_text() == "5"


def test_killing_a_worker_loses_nothing(tmp_path: Path) -> None:
    killed = Job(
        "the killed one",
        die_once,
        {"number": 9, "path": tmp_path / "9", "mark": tmp_path / "mark"},
        tmp_path / "9",
    )
    run_jobs([killed, *writers(tmp_path)], "local:2")
    assert (tmp_path / "mark").exists()
    assert [(tmp_path / f"{i}").read_text() for i in (0, 1, 2, 3, 9)] == list("01239")


def test_a_job_that_is_killed_each_time_ends_the_run_after_three(tmp_path: Path) -> None:
    jobs = [Job("shard 7", die, {"path": tmp_path / "x"}, tmp_path / "x")]
    with pytest.raises(MlError, match=r"did shard 7 was killed 3 times"):
        run_jobs(jobs, "local:2")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_worker_that_is_killed_after_its_last_file_has_done_its_job(tmp_path: Path) -> None:
    jobs = [Job("a", write_then_die, {"path": tmp_path / "a"}, tmp_path / "a")]
    run_jobs(jobs, "local:1")


@pytest.mark.parametrize("engine", ["local", "local:2"])
def test_the_error_of_a_job_ends_the_run_and_the_others_files_stay(
    tmp_path: Path, engine: str
) -> None:
    failing = Job("bad", fail_after, {"others": [tmp_path / "0", tmp_path / "1"]}, tmp_path / "bad")
    with pytest.raises(MlError) as raised:
        run_jobs([*writers(tmp_path, 2), failing], engine)
    assert str(raised.value) == "The data are damaged; download them again."
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


def test_an_unexpected_error_in_a_worker_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        run_jobs([Job("bad", fail, {"kind": "other"}, tmp_path / "x")], "local:1")
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="no pickle"):
        run_jobs([Job("bad", fail, {"kind": "unpicklable"}, tmp_path / "x")], "local:1")


def test_a_job_without_its_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MlError, match="shard 1 is done, but"):
        run_jobs([Job("shard 1", forget, {"path": tmp_path / "a"}, tmp_path / "a")])


def test_a_file_that_a_shared_folder_shows_late_is_waited_for(tmp_path: Path) -> None:
    job = Job("a", forget, {"path": tmp_path / "a"}, tmp_path / "a")
    tally = Tally([job], lambda _done, _total: None)
    threading.Timer(0.3, (tmp_path / "a").touch).start()
    tally.finish(job, patience=30)
    assert tally.units == {tmp_path / "a": 1}


@pytest.mark.parametrize("engine", ["local", "local:1"])
def test_progress_counts_sizes_and_hears_the_parts(tmp_path: Path, engine: str) -> None:
    (tmp_path / "0").touch()
    jobs = [
        Job(name, write_in_parts, {"path": tmp_path / name}, tmp_path / name, size=4)
        for name in ("0", "1", "2")
    ]
    heard: list[tuple[int, int]] = []
    run_jobs(jobs, engine, progress=lambda done, total: heard.append((done, total)))
    assert {total for _, total in heard} == {12}
    done = [units for units, _ in heard]
    assert done == sorted(done)
    assert set(done) == set(range(4, 13))


@pytest.mark.parametrize("engine", ["locall", "local:0", "local:", "local:x", "ray:", "ray://", ""])
def test_an_unknown_engine_is_refused(tmp_path: Path, engine: str) -> None:
    with pytest.raises(MlError, match="There is no engine"):
        run_jobs(writers(tmp_path), engine)
    assert list(tmp_path.iterdir()) == []


def start_sleeping(folder: Path) -> "subprocess.Popen[str]":
    code = (
        f"from pathlib import Path; from {__name__} import Job, run_jobs, sleep\n"
        "if __name__ == '__main__':\n"
        f"    path = Path({str(folder)!r}) / 'x'\n"
        "    run_jobs([Job('x', sleep, {'path': path}, path)], 'local:1')\n"
    )
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)


def is_running(process: str) -> bool:
    """A zombie is not."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks at /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_run(tmp_path: Path, how: signal.Signals) -> None:
    started = start_sleeping(tmp_path)
    began = tmp_path / "x.began"
    wait_for(lambda: began.exists() and began.read_text() != "")
    started.send_signal(how)
    _, told = started.communicate()
    wait_for(lambda: not is_running(began.read_text()))
    if how == signal.SIGINT:
        assert told.count("Traceback") == 1, "only that of the run itself"
        assert {path.name for path in tmp_path.iterdir()} == {"script.py", "x.began"}
