"""`make demo`: from tissue to a blinded study in the browser, by the commands researchers use.

Each step leaves its result in a folder of the demo's home and is not run again; a step that was
interrupted leaves nothing that a later run would take for a result.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MARK = "plainsight-demo.json"
EMAIL = "demo@example.org"
PAIRS, QUICK_PAIRS, SETS = 20, 12, 2
EPSILONS = 3
Facts = dict[str, Any]


class DemoError(Exception):
    """One sentence that says what to do."""


def main() -> int:
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Demo(options).run()
    except DemoError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)  # noqa: T201
        return 0
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("demo"), help="where all is written")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data", type=Path, help="real patches instead of generated tissue")
    parser.add_argument("--network-file", type=Path, help="a trained network.safetensors")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs, not {PAIRS}")
    parser.add_argument("--fresh", action="store_true", help="start over")
    return parser.parse_args(arguments)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (this is a command)


class Demo:
    def __init__(self, options: argparse.Namespace) -> None:
        self.home: Path = options.home.resolve()
        self.port: int = options.port
        self.data: Path = options.data.resolve() if options.data else self.home / "tissue"
        self.is_generated = options.data is None
        self.network_file: Path | None = options.network_file and options.network_file.resolve()
        self.pairs = QUICK_PAIRS if options.quick else PAIRS
        self.fresh: bool = options.fresh

    def run(self) -> None:
        refuse_busy_port(self.port)
        self.take_home()
        network = self.train()
        attack = self.attack(network["path"])
        batch = self.batch(attack["path"], network["path"])
        study = self.study()
        self.serve(study, summary(network, attack, batch))

    # The home

    def settings(self) -> Facts:
        return {
            "data": None if self.is_generated else str(self.data),
            "network_file": str(self.network_file) if self.network_file else None,
            "pairs": self.pairs,
        }

    def take_home(self) -> None:
        """Use the home of an earlier run with the same settings, or a new one."""
        mark = self.home / MARK
        if self.home.exists() and not mark.exists() and any(self.home.iterdir()):
            raise DemoError(f"{self.home} holds something else; choose another HOME_DIR.")
        if self.fresh and mark.exists():
            shutil.rmtree(self.home)
        self.home.mkdir(parents=True, exist_ok=True)
        if mark.exists() and json.loads(mark.read_text()) != self.settings():
            raise DemoError(
                f"{self.home} holds a demo with other settings; "
                "use FRESH=1 to start over, or another HOME_DIR."
            )
        mark.write_text(json.dumps(self.settings()) + "\n")

    # The steps

    def step(self, name: str, title: str, *command: str | Path, out: Path | None = None) -> Facts:
        """Run a command that prints one JSON object; its facts are kept, and taken from there.

        `out` is what a command writes that cannot go on from where it was.
        """
        kept = self.home / f"{name}.json"
        if not kept.exists():
            say(title)
            if out:  # left by a step that was interrupted
                shutil.rmtree(out, ignore_errors=True)
            write_whole(kept, run_json(*command))
        facts: Facts = json.loads(kept.read_text())
        return facts

    def train(self) -> Facts:
        """The facts of the network; `path` is its file."""
        if self.is_generated:
            self.step(
                "tissue",
                "1/6 Generating tissue",
                *("plainsight-ml", "phantom", self.data, "--json"),
                out=self.data,
            )
        if self.network_file:
            return {**trained_elsewhere(self.network_file), "path": str(self.network_file)}
        experiment = "phantom" if self.is_generated else "real"
        facts = self.step(
            "network",
            "2/6 Training a ResNet-18",
            *("plainsight-ml", "train", ROOT / "experiments" / f"{experiment}.toml"),
            *("--data", self.data, "--out", self.home / "network", "--json"),
        )
        return {**facts, "path": str(self.home / "network" / "network.safetensors")}

    def attack(self, network: str) -> Facts:
        """With the experiment's epsilon, doubled until enough pairs are found."""
        experiment = "phantom" if self.is_generated else "real"
        facts: Facts = {}
        for attempt in range(EPSILONS):
            larger = ["--epsilon", str(2 * int(facts["epsilon"]))] if facts else []
            out = self.home / f"attack-{attempt}"
            facts = self.step(
                out.name,
                " ".join(["3/6 Attacking what it classifies correctly", *larger]),
                *("plainsight-ml", "attack", network, ROOT / f"experiments/{experiment}.toml"),
                *("--data", self.data, "--out", out, "--json"),
                *larger,
            )
            if facts["success_8bit"]["count"] >= self.pairs:
                break
        return facts

    def batch(self, attack: str, network: str) -> Facts:
        """With the evidence of a few patches; none is made for a batch that is there already."""
        run = self.home / "run"
        if not (self.home / "batch.json").exists():
            self.step(
                "curves",
                "4/6 Searching the smallest perturbations of a few patches",
                *("plainsight-ml", "curves", network, ROOT / "experiments/evidence.toml"),
                *("--data", self.data, "--out", run, "--json"),
            )
        return self.step(
            "batch",
            "5/6 Proving the attacks on 8-bit files",
            *("plainsight-ml", "batch", attack, "--out", self.home / "batch", "--evidence", run),
            *("--count", str(self.pairs), "--name", "Demo", "--json"),
            out=self.home / "batch",
        )

    def study(self) -> Facts:
        """Database, account, study and link: made in a folder aside, whole or not at all."""
        kept = self.home / "study.json"
        if not kept.exists():
            say("6/6 Making the study")
            server = self.home / "server"
            shutil.rmtree(server, ignore_errors=True)
            environment = {**os.environ, "PLAINSIGHT_HOME": str(server)}
            environment.pop("PLAINSIGHT_DATABASE_URL", None)
            write_whole(kept, make_study(self.home / "batch", environment))
        facts: Facts = json.loads(kept.read_text())
        return facts

    # The server

    def serve(self, study: Facts, measured: Sequence[str]) -> None:
        address = f"http://127.0.0.1:{self.port}"
        environment = {
            **os.environ,
            "PLAINSIGHT_HOME": str(self.home / "server"),
            "PLAINSIGHT_PUBLIC_URL": address,
        }
        environment.pop("PLAINSIGHT_DATABASE_URL", None)
        command = [str(BIN / "plainsight"), "serve", "--port", str(self.port)]
        server = subprocess.Popen(command, env=environment)
        try:
            wait_until_healthy(server, address)
            for line in measured:
                say(line)
            say(f"Reader link: {address}{study['link']}")
            say(f"Researcher page: {address}/studies/{study['study']}")
            say(f"Researcher sign-in: {EMAIL} {study['password']}")
            say("Ctrl-C stops the server; nothing is lost.")
            if server.wait():
                raise DemoError("The server stopped; its message is above.")
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def summary(network: Facts, attack: Facts, batch: Facts) -> list[str]:
    """What was measured, in two lines."""
    counts = {how: attack[f"success_{how}"]["count"] for how in ("float", "rounded", "8bit")}
    measured = (
        f"Network: AUC {network['auc']:.3f}, accuracy {network['accuracy']:.3f} "
        f"on {network['n_held_out']} held-out patches"
    )
    attacked = (
        f"Attack: Linf {attack['epsilon']} grey levels; of {attack['attacked']} correctly "
        f"classified positives {counts['float']} flipped in float, {counts['rounded']} after "
        f"rounding, {counts['8bit']} in 8 bits; {batch['cases']} pairs kept, proven on the PNG"
    )
    return [measured, attacked]


def trained_elsewhere(network_file: Path) -> Facts:
    """AUC and accuracy from the file beside a network."""
    sidecar = network_file.with_suffix(".json")
    if not network_file.exists() or not sidecar.exists():
        raise DemoError(f"{network_file} and {sidecar.name} beside it are needed; check the path.")
    metrics = json.loads(sidecar.read_text())["metrics"]
    return {**metrics, "n_held_out": metrics["n"]}


def make_study(batch: Path, environment: dict[str, str]) -> Facts:
    def plainsight(*words: str | Path) -> Facts:
        return run_json("plainsight", *words, "--json", environment=environment)

    subprocess.run(
        [str(BIN / "plainsight"), "db", "upgrade"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    account = plainsight("researcher", "add", EMAIL)
    imported = plainsight("batch", "import", batch)
    study = plainsight(
        *("study", "create", "--batch", str(imported["batch"]), "--sets", str(SETS)),
        *("--title", "Demo study", "--demo"),
    )
    link = plainsight("study", "invite", str(study["study"]))
    return {
        "study": study["study"],
        "link": "/r/" + link["url"].rpartition("/")[2],
        "password": account["password"],
    }


def run_json(
    program: str | Path, *words: str | Path, environment: dict[str, str] | None = None
) -> Facts:
    """What a command prints as JSON; its progress goes to our own standard error."""
    command = [str(BIN / program), *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode in {130, -signal.SIGINT}:
        raise KeyboardInterrupt
    if done.returncode:
        raise DemoError(f"{program} {words[0]} did not finish; its message is above.")
    facts: Facts = json.loads(done.stdout)
    return facts


def write_whole(path: Path, facts: Facts) -> None:
    """Private, since a reader link and a password are in it; never half-written."""
    aside = path.with_suffix(".partial")
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(facts, indent=2) + "\n")
    aside.replace(path)


def refuse_busy_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(f"Port {port} cannot be used; choose one with PORT=8123.") from error


def wait_until_healthy(server: subprocess.Popen[bytes], address: str) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise DemoError("The server did not start; its message is above.")
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise DemoError("The server does not answer.")


if __name__ == "__main__":
    sys.exit(main())
