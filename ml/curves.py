"""Success against epsilon in every norm (Fig. 4), from the smallest perturbation of each patch.

The whole curve of a norm comes from one search for each patch (`ml.attacks.minimal`), in float and
on whole grey levels; PGD at every epsilon, as the paper does it, checks a sample.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ml.attacks.targets import find_targets, load_patches_of
from ml.curve_jobs import (
    CheckedRow,
    MinimalRow,
    PerceptibilityRow,
    check_epsilon,
    examples_path,
    perceptibility_path,
    search_shard,
)
from ml.data import Patches
from ml.devices import choose_device
from ml.evaluation import wilson
from ml.experiment import CurvesSettings, Experiment, Norm
from ml.files import whole_file
from ml.jobs import Job, check_engine, run_jobs
from ml.networks import load_network
from ml.progress import stage
from ml.steps import once, read_table, write_table

BOUNDED: tuple[Norm, ...] = ("l0", "l1", "l2", "linf")
NORMS: tuple[Norm, ...] = (*BOUNDED, "none")


@dataclass(frozen=True)
class CurvePoint:
    """One line of curves.csv: `n` patches, of which `successes` are fooled within `epsilon`.

    `method` is how it was found: "minimal", or "pgd" on the sample. `bits`: on "float" images, or
    on the "8" bits of a decoded PNG.
    """

    norm: Norm
    epsilon: str
    n: int
    successes: int
    rate: float
    low: float
    high: float
    method: Literal["minimal", "pgd"]
    bits: Literal["float", "8"]


@dataclass(frozen=True)
class CheckPoint:
    """One line of checks.csv: both methods on the same sample."""

    norm: Norm
    epsilon: str
    bits: Literal["float", "8"]
    n: int
    rate_minimal: float
    rate_pgd: float
    difference: float


def run_curves(
    network_file: Path,
    data: Path,
    out: Path,
    experiment: Experiment,
    *,
    engine: str = "local",
    device: str = "auto",
    fresh: bool = False,
) -> dict[str, Any]:
    """Writes minimal.csv, curves.csv, checks.csv, perceptibility.csv, examples.npz, curves.json.

    Shards of patches and the epsilons of the check are jobs (`ml.jobs`); what is done is kept in
    `out`/curves until all is.
    """
    check_engine(engine)
    settings, parts = experiment.curves, out / "curves"
    network, card = load_network(network_file, choose_device(device))
    if fresh:
        (out / "curves.json").unlink(missing_ok=True)
        shutil.rmtree(parts, ignore_errors=True)
    identity = {
        "settings": asdict(settings),
        "slots": experiment.attack.slots,
        "shard_size": experiment.attack.shard_size,
        "search_precision": experiment.attack.search_precision,
        "seed": experiment.seed,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
    }

    def work() -> dict[str, Any]:
        patches = load_patches_of(card, data.absolute())
        truths: Literal["both", "positive"] = "both" if settings.both_directions else "positive"

        def find() -> dict[str, Any]:
            return asdict(
                find_targets(
                    network,
                    card,
                    patches,
                    truths=truths,
                    limit=settings.limit,
                    seed=experiment.seed,
                    include_training=False,
                )
            )

        targets = once(parts, "targets", identity, find)
        chosen = patches.subset(targets["indices"])
        shared = {
            "network_file": network_file,
            "network_sha256": card.file_sha256,
            "experiment": experiment,
            "device": device,
        }
        searches = _searches(chosen, parts, experiment, shared)
        checks = _checks(_sample(chosen, experiment), parts, settings, shared)
        with stage("searching the smallest perturbations") as update:
            run_jobs([*searches, *checks], engine, progress=update)
        found = [row for job in searches for row in read_table(job.done, MinimalRow)]
        checked = [row for job in checks for row in read_table(job.done, CheckedRow)]
        _write(out, settings, searches, found, checked)
        return {**targets, **_summary(found)}

    return once(out, "curves", identity, work)


def _searches(
    chosen: Patches, parts: Path, experiment: Experiment, shared: dict[str, Any]
) -> list[Job]:
    size = experiment.attack.shard_size
    shards = [range(i, min(i + size, len(chosen))) for i in range(0, len(chosen), size)]
    return [
        Job(
            title=f"{norm}, shard {number + 1} of {len(shards)}",
            function=search_shard,
            arguments={
                **shared,
                "patches": chosen.subset(shard),
                "norm": norm,
                "done": (done := parts / f"minimal-{norm}-{number:05}.csv"),
            },
            done=done,
            size=len(shard),
            device=str(shared["device"]),
        )
        for norm in NORMS
        for number, shard in enumerate(shards)
    ]


def _sample(chosen: Patches, experiment: Experiment) -> Patches:
    drawn = np.random.default_rng(experiment.seed).permutation(len(chosen))
    return chosen.subset(np.sort(drawn[: experiment.curves.check_limit]))


def _checks(
    sample: Patches, parts: Path, settings: CurvesSettings, shared: dict[str, Any]
) -> list[Job]:
    if len(sample) == 0:
        return []
    return [
        Job(
            title=f"PGD, {norm} {epsilon}",
            function=check_epsilon,
            arguments={
                **shared,
                "patches": sample,
                "norm": norm,
                "epsilon": epsilon,
                "done": (done := parts / f"pgd-{norm}-{epsilon}.csv"),
            },
            done=done,
            size=len(sample),
            device=str(shared["device"]),
        )
        for norm in BOUNDED
        for epsilon in epsilons_of(settings, norm)
    ]


def epsilons_of(settings: CurvesSettings, norm: Norm) -> Sequence[str]:
    """What is found without a budget is told by its root mean square."""
    epsilons: Sequence[str] = getattr(settings, "l2" if norm == "none" else norm)
    return epsilons


def _write(
    out: Path,
    settings: CurvesSettings,
    searches: Sequence[Job],
    found: Sequence[MinimalRow],
    checked: Sequence[CheckedRow],
) -> None:
    write_table(out / "minimal.csv", MinimalRow, found)
    seen = [row for job in searches for row in _perceptibility_of(job)]
    write_table(out / "perceptibility.csv", PerceptibilityRow, seen)
    write_table(
        out / "curves.csv",
        CurvePoint,
        [*_curve_of_minimal(found, settings, NORMS), *_curve_of_pgd(checked, settings)],
    )
    write_table(out / "checks.csv", CheckPoint, _compare(found, checked, settings))
    with whole_file(out / "examples.npz") as beside:
        linf = next(job for job in searches if job.arguments["norm"] == "linf")
        shutil.copyfile(examples_path(linf.done), beside)


def _perceptibility_of(job: Job) -> list[PerceptibilityRow]:
    return read_table(perceptibility_path(job.done), PerceptibilityRow)


def _curve_of_minimal(
    found: Sequence[MinimalRow], settings: CurvesSettings, norms: Sequence[Norm]
) -> list[CurvePoint]:
    points = []
    for norm in norms:
        rows = [row for row in found if row.norm == norm]
        in_float = [row.epsilon_float for row in rows]
        whole = [row.epsilon_8bit for row in rows]
        for epsilon in epsilons_of(settings, norm):
            points.append(_point(norm, epsilon, _within(in_float, epsilon), "minimal", "float"))
            points.append(_point(norm, epsilon, _within(whole, epsilon), "minimal", "8"))
    return points


def _curve_of_pgd(checked: Sequence[CheckedRow], settings: CurvesSettings) -> list[CurvePoint]:
    points = []
    for norm in BOUNDED if checked else ():
        for epsilon in epsilons_of(settings, norm):
            rows = [row for row in checked if (row.norm, row.epsilon) == (norm, epsilon)]
            in_float, whole = [row.fooled_float for row in rows], [row.fooled_8bit for row in rows]
            points.append(_point(norm, epsilon, in_float, "pgd", "float"))
            points.append(_point(norm, epsilon, whole, "pgd", "8"))
    return points


def _within(sizes: Sequence[float], epsilon: str) -> list[bool]:
    """With room for the rounding of fp32."""
    return [size <= float(epsilon) * (1 + 1e-6) for size in sizes]


def _point(
    norm: Norm,
    epsilon: str,
    fooled: Sequence[bool],
    method: Literal["minimal", "pgd"],
    bits: Literal["float", "8"],
) -> CurvePoint:
    n, successes = len(fooled), sum(fooled)
    rate = successes / n if n else math.nan
    return CurvePoint(norm, epsilon, n, successes, rate, *wilson(successes, n), method, bits)


def _compare(
    found: Sequence[MinimalRow], checked: Sequence[CheckedRow], settings: CurvesSettings
) -> list[CheckPoint]:
    sampled = {row.case for row in checked}
    minimal = _curve_of_minimal(
        [row for row in found if row.case in sampled], settings, BOUNDED if checked else ()
    )
    pgd = {(p.norm, p.epsilon, p.bits): p for p in _curve_of_pgd(checked, settings)}
    pairs = [(point, pgd[point.norm, point.epsilon, point.bits]) for point in minimal]
    return [
        CheckPoint(
            ours.norm, ours.epsilon, ours.bits, ours.n, ours.rate, p.rate, ours.rate - p.rate
        )
        for ours, p in pairs
    ]


def _summary(found: Sequence[MinimalRow]) -> dict[str, Any]:
    """Medians over the patches; null where more than half were not fooled."""

    def median(values: Sequence[float]) -> float | None:
        middle = float(np.median(values))
        return middle if math.isfinite(middle) else None

    by_norm = {norm: [row for row in found if row.norm == norm] for norm in NORMS}
    return {
        "median_epsilon_float": {n: median([r.epsilon_float for r in by_norm[n]]) for n in by_norm},
        "median_epsilon_8bit": {n: median([r.epsilon_8bit for r in by_norm[n]]) for n in by_norm},
    }
