"""An attack from the files of a network and its patches to a folder of results, shard by shard."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ml.attacks.results import (
    RECORD,
    TABLE,
    AttackRecord,
    Condition,
    Figures,
    Row,
    Success,
    forget_shards,
    join_tables,
    read_results,
    rows_path,
    seconds_of_shard,
    tidy_shards,
)
from ml.attacks.shards import attack_shard
from ml.attacks.targets import find_targets, load_patches_of
from ml.data import Patches
from ml.devices import choose_device
from ml.errors import MlError
from ml.evaluation import predicted_class
from ml.experiment import AttackSettings, Experiment
from ml.jobs import Job, check_engine, run_jobs
from ml.networks import NetworkCard, PixelNetwork, load_network
from ml.progress import stage
from ml.provenance import provenance, utc_now
from ml.quantize import whole_budget
from ml.steps import once, write_json

TARGETS = "targets"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which patches to attack: without `limit` all that are classified correctly."""

    truths: Literal["positive", "both"] = "positive"
    limit: int | None = None
    include_training: bool = False
    other_data: bool = False
    tissue: str | None = None


def run_attack(
    network_file: Path,
    data: Path,
    out: Path,
    experiment: Experiment,
    choice: Choice,
    *,
    engine: str = "local",
    device: str = "auto",
    fresh: bool = False,
) -> AttackRecord:
    """Goes on with what `out` holds of the same attack; refuses another one unless `fresh`.

    Each shard is a job of `ml.jobs.run_jobs`. `out` holds targets.json (what is attacked), then the
    shards, then results.csv, and last attack.json.
    """
    settings = experiment.attack
    _refuse_impossible(settings)
    check_engine(engine)
    # On a cluster the device is that of the workers; the one here may have less.
    here = "auto" if engine.startswith("ray") else device
    network, card = load_network(network_file, choose_device(here))
    patches = load_patches_of(
        card, data.absolute(), other_data=choice.other_data, tissue=choice.tissue
    )
    if fresh:
        _forget(out)
    targets = _find_once(out, network, card, patches, experiment, choice)
    if (out / RECORD).is_file():
        return read_results(out).record
    chosen = patches.subset(targets["indices"])
    jobs = _jobs(network_file, card, chosen, out, experiment, device)
    with stage("attacking") as update:
        run_jobs(jobs, engine, progress=update)
    rows = join_tables(out, len(jobs))
    seconds = targets["seconds"] + sum(seconds_of_shard(out, i) for i in range(len(jobs)))
    record = AttackRecord(
        created_at=utc_now(),
        condition=_condition(settings, experiment.seed),
        network=str(network_file.resolve()),
        network_sha256=card.file_sha256,
        data_name=patches.name,
        data_sha256=patches.digest,
        micrometres_per_pixel=patches.micrometres_per_pixel,
        included_training=choice.include_training,
        figures=_figures(targets, rows, seconds),
        settings=asdict(settings),
        provenance=provenance(),
    )
    tidy_shards(out)
    write_json(out / RECORD, asdict(record))
    return record


def _refuse_impossible(settings: AttackSettings) -> None:
    epsilon = settings.epsilon_grey_levels
    match settings.norm:
        case "linf":
            whole_budget(epsilon)
        case "l0" if epsilon > 1:
            raise MlError(
                f"Epsilon of l0 is a share of the pixels, but {epsilon} is above 1; "
                'give one such as "0.01".'
            )
        case "l0" | "l1" | "l2" if epsilon == 0:
            raise MlError("With epsilon 0 nothing may change; give a larger one.")
        case _:
            pass


def _forget(out: Path) -> None:
    """The targets after the shards, so that these are never taken for those of other targets."""
    (out / RECORD).unlink(missing_ok=True)
    (out / TABLE).unlink(missing_ok=True)
    forget_shards(out)
    (out / f"{TARGETS}.json").unlink(missing_ok=True)


def _find_once(
    out: Path,
    network: PixelNetwork,
    card: NetworkCard,
    patches: Patches,
    experiment: Experiment,
    choice: Choice,
) -> dict[str, Any]:
    """targets.json: what is attacked, kept so that going on does not ask the network again."""
    if (out / RECORD).is_file() and not (out / f"{TARGETS}.json").is_file():
        raise MlError(f"{out} holds an attack already; choose another folder, or give --fresh.")

    def find() -> dict[str, Any]:
        forget_shards(out)
        found = find_targets(
            network,
            card,
            patches,
            truths=choice.truths,
            limit=choice.limit,
            seed=experiment.seed,
            include_training=choice.include_training,
        )
        return asdict(found)

    identity = {
        **asdict(experiment.attack),
        **asdict(choice),
        "seed": experiment.seed,
        "network_sha256": card.file_sha256,
        "data_sha256": patches.digest,
    }
    return once(out, TARGETS, identity, find)


def _jobs(
    network_file: Path,
    card: NetworkCard,
    chosen: Patches,
    out: Path,
    experiment: Experiment,
    device: str,
) -> list[Job]:
    size = experiment.attack.shard_size
    parts = [range(i, min(i + size, len(chosen))) for i in range(0, len(chosen), size)]
    return [
        Job(
            title=f"shard {number + 1} of {len(parts)}",
            function=attack_shard,
            arguments={
                "network_file": network_file,
                "network_sha256": card.file_sha256,
                "patches": chosen.subset(part),
                "settings": experiment.attack,
                "seed": experiment.seed,
                "number": number,
                "device": device,
                "out": out,
            },
            done=rows_path(out, number),
            size=len(part),
            device=device,
        )
        for number, part in enumerate(parts)
    ]


def _condition(settings: AttackSettings, seed: int) -> Condition:
    epsilon = None if settings.norm == "none" else settings.epsilon
    return Condition(
        id="-".join(["pgd", settings.norm, *([epsilon] if epsilon else [])]),
        attack="pgd",
        norm=settings.norm,
        epsilon=epsilon,
        steps=settings.steps,
        step_size=settings.step_size_text,
        confidence_target=settings.confidence_target,
        seed=seed,
    )


def _figures(targets: dict[str, Any], rows: list[Row], seconds: float) -> Figures:
    truths = np.array([row.truth for row in rows])

    def success(probability: Callable[[Row], float]) -> Success:
        wrong = predicted_class(np.array([probability(row) for row in rows])) != truths
        return Success(count=int(wrong.sum()), rate=float(wrong.mean()))

    def mean(of: Callable[[Row], float]) -> float:
        return float(np.mean([of(row) for row in rows]))

    return Figures(
        considered=targets["considered"],
        correct=targets["correct"],
        attacked=len(rows),
        success_float=success(lambda row: row.p_float),
        success_rounded=success(lambda row: row.p_rounded),
        success_8bit=success(lambda row: row.p_8bit),
        mean_steps=mean(lambda row: row.steps),
        mean_finish_steps=mean(lambda row: row.finish_steps),
        linf_max=max(row.linf for row in rows),
        mean_l0_fraction=mean(lambda row: row.l0_fraction),
        mean_l1_mad=mean(lambda row: row.l1_mad),
        mean_l1_total=mean(lambda row: row.l1_total),
        mean_l2_rmsd=mean(lambda row: row.l2_rmsd),
        mean_l2_total=mean(lambda row: row.l2_total),
        seconds=seconds,
    )
