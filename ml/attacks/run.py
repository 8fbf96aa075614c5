"""An attack from the files of a network and its patches to a folder of results."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ml.attacks.results import (
    RECORD,
    AttackRecord,
    AttackResults,
    Condition,
    Figures,
    Row,
    Success,
    write_results,
)
from ml.attacks.single_instance import Attacked, Targets, choose_targets, finish, search
from ml.data import Patches, load_patches
from ml.errors import MlError
from ml.evaluation import predicted_class
from ml.experiment import AttackSettings, Experiment
from ml.networks import NetworkCard, load_network
from ml.progress import stage
from ml.provenance import provenance, utc_now
from ml.quantize import images_from_tensor, measure, tensor_from_images, whole_budget


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
    fresh: bool = False,
) -> AttackRecord:
    """Refuses an `out` that holds results, unless `fresh`."""
    settings, seed = experiment.attack, experiment.seed
    whole_budget(settings.epsilon_grey_levels)
    if (out / RECORD).exists() and not fresh:
        raise MlError(f"{out} holds an attack already; choose another folder, or give --fresh.")
    network, card = load_network(network_file)
    patches = _load(data, card, choice)
    began = time.monotonic()
    with stage("finding what is classified correctly") as update:
        candidates = _candidates(patches, card, choice)
        targets = choose_targets(
            network, patches, candidates, limit=choice.limit, seed=seed, progress=update
        )
    chosen = patches.subset(targets.indices)
    originals = chosen.images(range(len(chosen)))
    images, labels = tensor_from_images(originals), torch.from_numpy(chosen.labels)
    with stage("attacking") as update:
        found = search(network, images, labels, settings, seed=seed, progress=update)
    with stage("finishing in 8 bits") as update:
        attacked = finish(network, images, found, labels, settings, progress=update)
    perturbed = images_from_tensor(attacked.images)
    rows = list(_rows(chosen, attacked, originals, perturbed))
    record = AttackRecord(
        created_at=utc_now(),
        condition=_condition(settings, seed),
        network=str(network_file.resolve()),
        network_sha256=card.file_sha256,
        data_name=patches.name,
        data_sha256=patches.digest,
        micrometres_per_pixel=patches.micrometres_per_pixel,
        included_training=choice.include_training,
        figures=_figures(targets, rows, time.monotonic() - began),
        settings=asdict(settings),
        provenance=provenance(),
    )
    results = AttackResults(record=record, rows=rows, originals=originals, perturbed=perturbed)
    write_results(out, results)
    return record


def _load(data: Path, card: NetworkCard, choice: Choice) -> Patches:
    tissue = choice.tissue or card.settings["data"]["tissue"]
    with stage("reading patches") as update:
        patches = load_patches(data, tissue=tissue, progress=update)
    if patches.digest != card.data_sha256 and not choice.other_data:
        raise MlError(
            f"The patches in {data} are not those that the network was trained and tested on, so "
            "none of them is known to be held out; give those, or attack these with --other-data."
        )
    return patches


def _candidates(patches: Patches, card: NetworkCard, choice: Choice) -> NDArray[np.int64]:
    """Of other data all; else the held-out ones, which a copy elsewhere has at the same places."""
    held_out = {(source.fold, source.index) for source in card.held_out}
    everything = choice.include_training or patches.digest != card.data_sha256
    allowed = [everything or (s.fold, s.index) in held_out for s in patches.sources]
    of_truth = (patches.labels == 1) | (choice.truths == "both")
    candidates = np.flatnonzero(np.array(allowed) & of_truth)
    if len(candidates) == 0:
        raise MlError("There is no patch of the truth to attack; give other data.")
    return candidates


def _condition(settings: AttackSettings, seed: int) -> Condition:
    return Condition(
        id=f"pgd-{settings.norm}-{settings.epsilon}",
        attack="pgd",
        norm=settings.norm,
        epsilon=settings.epsilon,
        steps=settings.steps,
        step_size=settings.step_size_text,
        confidence_target=settings.confidence_target,
        seed=seed,
    )


def _rows(
    chosen: Patches,
    attacked: Attacked,
    originals: NDArray[np.uint8],
    perturbed: NDArray[np.uint8],
) -> Iterable[Row]:
    for i, source in enumerate(chosen.sources):
        yield Row(
            data_set=source.data_set,
            fold=source.fold,
            index=source.index,
            truth=int(chosen.labels[i]),
            p_original=float(attacked.p_original[i]),
            p_float=float(attacked.p_float[i]),
            p_rounded=float(attacked.p_rounded[i]),
            p_8bit=float(attacked.p_8bit[i]),
            steps=int(attacked.steps[i]),
            finish_steps=int(attacked.finish_steps[i]),
            **asdict(measure(originals[i], perturbed[i])),
        )


def _figures(targets: Targets, rows: list[Row], seconds: float) -> Figures:
    truths = np.array([row.truth for row in rows])

    def success(probabilities: list[float]) -> Success:
        wrong = predicted_class(np.array(probabilities)) != truths
        return Success(count=int(wrong.sum()), rate=float(wrong.mean()))

    return Figures(
        considered=targets.considered,
        correct=targets.correct,
        attacked=len(rows),
        success_float=success([row.p_float for row in rows]),
        success_rounded=success([row.p_rounded for row in rows]),
        success_8bit=success([row.p_8bit for row in rows]),
        mean_steps=float(np.mean([row.steps for row in rows])),
        mean_finish_steps=float(np.mean([row.finish_steps for row in rows])),
        linf_max=max(row.linf for row in rows),
        mean_l2_rmsd=float(np.mean([row.l2_rmsd for row in rows])),
        seconds=seconds,
    )
