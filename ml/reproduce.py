"""The whole of the paper, and the half it recommends, from one experiment file into one folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml.baselines import run_baselines
from ml.crossval import run_crossval
from ml.curves import run_curves
from ml.defence import run_defence
from ml.errors import MlError
from ml.experiment import Experiment
from ml.explain.embedding import run_embedding
from ml.explain.landscape import run_landscape
from ml.explain.saliency import run_saliency
from ml.networks import load_card
from ml.progress import say
from ml.provenance import provenance, utc_now
from ml.report import write_report
from ml.robustness import run_natural
from ml.steps import once, write_json
from ml.universal import run_universal

NETWORKS = "folds/*/network.safetensors"
FIRST = Path("folds/run-1-fold-1/network.safetensors")
"""The network that is attacked and explained; the others are for the table and for transfer."""


@dataclass(frozen=True)
class Reproduced:
    """`failed`: what each step that could not be done said."""

    report: Path
    seconds: dict[str, float]
    failed: dict[str, str]


def run_reproduce(
    data: Path,
    out: Path,
    experiment: Experiment,
    *,
    engine: str = "local",
    device: str = "auto",
    fresh: bool = False,
) -> Reproduced:
    """Does all steps that `out` does not hold yet, then the figures and the report.

    A step that cannot be done leaves the others alone: its reason stands in provenance.json. With
    `fresh`, an earlier run in `out` is deleted first.
    """
    if fresh and (out / "run.json").is_file():
        shutil.rmtree(out)
    once(out, "run", {"experiment": asdict(experiment)}, dict)
    began_at = utc_now()
    steps = _steps(data, out, experiment, engine=engine, device=device)
    say(f"Step 1 of {len(steps) + 1}: crossval")
    run_crossval(data, out, experiment, engine=engine, device=device)
    seconds, failed = {"crossval": _seconds(out, "crossval")}, {}
    for number, (name, step) in enumerate(steps.items(), start=2):
        say(f"Step {number} of {len(steps) + 1}: {name}")
        try:
            step()
            seconds[name] = _seconds(out, name)
        except MlError as error:
            failed[name] = str(error)
            say(f"{name} could not be done: {error}")
    card = load_card(out / FIRST)
    write_json(
        out / "provenance.json",
        {
            "began_at": began_at,
            "created_at": utc_now(),
            "seed": experiment.seed,
            "data_name": card.data_name,
            "data_sha256": card.data_sha256,
            "network_sha256": card.file_sha256,
            "engine": engine,
            "device": device,
            "seconds": seconds,
            "failed": failed,
            "experiment": asdict(experiment),
            "provenance": provenance(),
        },
    )
    return Reproduced(write_report(out).path, seconds, failed)


def _steps(
    data: Path, out: Path, experiment: Experiment, *, engine: str, device: str
) -> dict[str, Callable[[], Any]]:
    """What follows the networks, by name."""

    def step(function: Callable[..., Any], **more: Any) -> Callable[[], Any]:
        return partial(function, out / FIRST, data, out, experiment, **more)

    def with_others(function: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            return step(function, other_networks=sorted(out.glob(NETWORKS)))()

        return run

    return {
        "curves": step(run_curves, engine=engine, device=device),
        "baselines": with_others(run_baselines),
        "universal": with_others(run_universal),
        "natural": step(run_natural),
        "defence": step(run_defence, engine=engine, device=device),
        "saliency": step(run_saliency),
        "embedding": step(run_embedding),
        "landscape": step(run_landscape),
    }


def _seconds(out: Path, name: str) -> float:
    """That the step took when it was done, now or before."""
    facts = json.loads((out / f"{name}.json").read_text("utf-8"))
    return float(facts["seconds"])
