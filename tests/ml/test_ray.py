"""Jobs on a cluster of two workers on this machine.

In a network namespace of its own with nothing but loopback (`unshare --net`) where that is
permitted, because Ray uses the machine's own address even if told to use 127.0.0.1.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.errors import MlError
from ml.jobs import run_jobs

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="without Ray")

SCRIPT = """
import os, signal, sys
from pathlib import Path

import ray

from ml.attacks.run import Choice, run_attack
from ml.errors import MlError
from ml.experiment import read_experiment
from ml.jobs import Job, run_jobs

import jobs_of_the_test as work

folder, network, data = (Path(argument) for argument in sys.argv[1:])
ray.init(
    num_cpus=2,
    num_gpus=0,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
    object_store_memory=100_000_000,
    _node_ip_address="127.0.0.1",
)

# Killed in the middle: the two jobs wait for each other, so they are under way together.
meet = [
    Job(name, work.kill_one, {"name": name, "folder": folder}, folder / name)
    for name in ("first", "second")
]
heard = []
run_jobs(meet, "ray", progress=lambda done, total: heard.append((done, total)))
assert heard[0] == (0, 2) and heard[-1] == (2, 2), heard

try:
    run_jobs([Job("failing", work.fail, {"folder": folder}, folder / "x")], "ray")
except MlError as error:
    print(error)

try:
    run_jobs([Job("cards", work.fail, {"folder": folder}, folder / "x", device="cuda")], "ray")
except MlError as error:
    print(error)

overrides = {"attack.epsilon": "16", "attack.steps": 4, "attack.shard_size": 2}
experiment = read_experiment(None, overrides)
choice = Choice(truths="both", limit=5)
run_attack(network, data, folder / "ray", experiment, choice, engine="ray", device="cpu")
"""

JOBS = """
import os, signal, time
from ml.errors import MlError

def kill_one(name, folder):
    \"\"\"Each says that it is there; the first is killed when both are, once.\"\"\"
    (folder / f"{name} began").touch()
    until = time.monotonic() + 30
    while not ((folder / "first began").exists() and (folder / "second began").exists()):
        assert time.monotonic() < until
        time.sleep(0.02)
    if name == "first" and not (folder / "killed").exists():
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / name).write_text(str(os.getpid()))

def fail(folder):
    raise MlError("The data are damaged; download them again.")
"""


def alone(command: list[str]) -> list[str]:
    """The command with loopback as its only network, if the system permits that."""
    up = 'ip link set lo up && exec "$@"'
    within = ["unshare", "--net", "sh", "-c", up, "sh"]
    if shutil.which("unshare") and shutil.which("ip"):
        tried = subprocess.run([*within, "true"], capture_output=True)
        if tried.returncode == 0:
            return [*within, *command]
    return command


@pytest.fixture(scope="module")
def cluster_run(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the script above did its jobs, and what it said."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "jobs_of_the_test.py").write_text(JOBS)
    (folder / "script.py").write_text(SCRIPT)
    arguments = (folder / "script.py", folder, workplace.network, workplace.data)
    done = subprocess.run(
        alone([sys.executable, *map(str, arguments)]),
        env={
            **os.environ,
            "HOME": str(folder),  # Ray leaves the token of its cluster there.
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "said").write_text(done.stdout)
    return folder


def test_killing_one_of_two_workers_loses_nothing(cluster_run: Path) -> None:
    killed = (cluster_run / "killed").read_text()
    pids = {(cluster_run / name).read_text() for name in ("first", "second")}
    assert killed not in pids


def test_errors_are_told_as_everywhere_and_nothing_else_on_stdout(cluster_run: Path) -> None:
    """Ray itself told on stdout that a worker was killed, where a command's JSON goes."""
    failed, no_gpu = (cluster_run / "said").read_text().splitlines()
    assert failed == "The data are damaged; download them again."
    assert no_gpu.startswith("This Ray cluster has no GPU")


def test_an_attack_on_the_cluster_gives_the_files_of_one_done_here(
    cluster_run: Path, workplace: Any, tmp_path: Path
) -> None:
    from ml.attacks.run import Choice, run_attack
    from ml.experiment import read_experiment

    overrides = {"attack.epsilon": "16", "attack.steps": 4, "attack.shard_size": 2}
    run_attack(
        workplace.network,
        workplace.data,
        tmp_path,
        read_experiment(None, overrides),
        Choice(truths="both", limit=5),
    )
    here, there = tmp_path, cluster_run / "ray"
    assert (there / "results.csv").read_bytes() == (here / "results.csv").read_bytes()
    names = [path.relative_to(here) for path in sorted(here.rglob("*.*"))]
    assert names == [path.relative_to(there) for path in sorted(there.rglob("*.*"))]


def test_without_ray_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ml.jobs import Job

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MlError, match=r"pip install 'plainsight\[ray\]'"):
        run_jobs([Job("a", print, {}, tmp_path / "a")], "ray")
