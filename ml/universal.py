"""One perturbation for all images, from the files of a network and its patches to a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.margin import Network
from ml.attacks.targets import correctly_classified, held_out_of, load_patches_of
from ml.attacks.universal import add_universal, find_universal
from ml.data import Patches
from ml.errors import MlError
from ml.evaluation import BATCH_SIZE, wilson
from ml.experiment import Experiment
from ml.files import whole_file
from ml.networks import PixelNetwork, attack_view, in_bf16, load_card, load_network
from ml.progress import stage
from ml.quantize import tensor_from_images, whole_budget
from ml.steps import once, read_table, write_table
from ml.transfer import by_folder, misclassified

NAME, TABLE, PERTURBATIONS = "universal", "universal.csv", "universal.npz"


@dataclass(frozen=True, kw_only=True)
class UniversalRow:
    """One line of universal.csv: of `n` images `successes` are given the wrong class.

    `train`: all images it was found on, classified correctly before or not; `test`: the held-out
    ones that the network classifies correctly (the paper's section 3.3); `transfer`: those that
    another `network` classifies correctly, which may have been trained on them.
    """

    epsilon: str
    split: Literal["train", "test", "transfer"]
    n: int
    successes: int
    rate: float
    low: float
    high: float
    network: str


@dataclass(frozen=True)
class UniversalSummary:
    """`found_on` training images, tried on `tried_on` held-out ones."""

    found_on: int
    tried_on: int
    rows: list[UniversalRow]


def run_universal(
    network_file: Path,
    data: Path,
    out: Path,
    experiment: Experiment,
    other_networks: Sequence[Path] = (),
    *,
    fresh: bool = False,
) -> UniversalSummary:
    """Writes universal.csv, universal.npz and, last, universal.json to `out`.

    universal.npz has `epsilons` (k,) as text and `perturbations` (k, height, width, 3) int8.
    Networks of the same folds may be among the others: the network itself is left out.
    """
    for epsilon in experiment.universal.epsilons:
        whole_budget(Decimal(epsilon))
    card = load_card(network_file)
    named = by_folder(other_networks)
    digests = {name: load_card(file).file_sha256 for name, file in named.items()}
    others = {name: file for name, file in named.items() if digests[name] != card.file_sha256}
    identity = {
        "settings": asdict(experiment.universal),
        "seed": experiment.seed,
        "confidence_target": experiment.attack.confidence_target,
        "search_precision": experiment.attack.search_precision,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        "other_networks": {name: digests[name] for name in others},
    }

    def work() -> dict[str, Any]:
        search = _Search(network_file, data, experiment)
        found = search.find()
        rows = search.rows(found, network_file.resolve().parent.name)
        for name, file in others.items():
            rows += search.transfer_rows(found, file, name)
        _write_perturbations(out / PERTURBATIONS, found)
        write_table(out / TABLE, UniversalRow, rows)
        return {"found_on": len(search.training), "tried_on": len(search.correct)}

    facts = once(out, NAME, identity, work, fresh=fresh)
    return UniversalSummary(
        facts["found_on"], facts["tried_on"], read_table(out / TABLE, UniversalRow)
    )


class _Search:
    """What the rows are counted on: `training`, `held_out`, and those of it that are `correct`."""

    def __init__(self, network_file: Path, data: Path, experiment: Experiment) -> None:
        self.experiment = experiment
        self.network, card = load_network(network_file)
        patches = load_patches_of(card, data)
        held_out = held_out_of(patches, card)
        of_truth = (patches.labels == 1) | (experiment.universal.truths == "both")
        self.training = patches.subset(np.flatnonzero(~held_out & of_truth))
        self.held_out = patches.subset(np.flatnonzero(held_out & of_truth))
        if len(self.training) == 0:
            raise MlError(
                f"No patch of {data} is one that the network was trained on, but a universal "
                "perturbation is found on those; give the data of its training."
            )
        self.correct = _correct(self.network, self.held_out)

    def find(self) -> dict[str, Tensor]:
        """By epsilon, from the smallest, each starting at the one before."""
        settings, attack = self.experiment.universal, self.experiment.attack
        view = attack_view(self.network)
        network: Network = in_bf16(view) if attack.search_precision == "bf16" else view
        found: dict[str, Tensor] = {}
        best: Tensor | None = None
        for epsilon in sorted(settings.epsilons, key=Decimal):
            with stage(f"searching one perturbation within {epsilon}") as update:
                best = find_universal(
                    network,
                    self.training,
                    epsilon=whole_budget(Decimal(epsilon)),
                    epochs=settings.epochs,
                    batch_size=settings.batch_size,
                    confidence_target=attack.confidence_target,
                    seed=self.experiment.seed,
                    start=best,
                    progress=update,
                ).perturbation
            found[epsilon] = best
        return found

    def rows(self, found: dict[str, Tensor], name: str) -> list[UniversalRow]:
        rows = []
        for epsilon, perturbation in found.items():
            fooled = _fooled(self.network, self.training, perturbation)
            rows.append(_row(epsilon, "train", fooled, name))
            fooled = _fooled(self.network, self.correct, perturbation)
            rows.append(_row(epsilon, "test", fooled, name))
        return rows

    def transfer_rows(self, found: dict[str, Tensor], path: Path, name: str) -> list[UniversalRow]:
        network, _ = load_network(path)
        correct = _correct(network, self.held_out)
        return [
            _row(epsilon, "transfer", _fooled(network, correct, perturbation), name)
            for epsilon, perturbation in found.items()
        ]


def _correct(network: PixelNetwork, patches: Patches) -> Patches:
    with stage("finding what is classified correctly") as update:
        correct = correctly_classified(network, patches, np.arange(len(patches)), update)
    if len(correct) == 0:
        raise MlError(
            f"A network classifies none of the {len(patches)} held-out patches correctly, so there "
            "is nothing to fool; train it for longer."
        )
    return patches.subset(correct)


def _fooled(network: PixelNetwork, patches: Patches, perturbation: Tensor) -> NDArray[np.bool_]:
    """(n,), judged on 8-bit images read from disk batch by batch."""
    parts = []
    for first in range(0, len(patches), BATCH_SIZE):
        indices = range(first, min(first + BATCH_SIZE, len(patches)))
        images = add_universal(tensor_from_images(patches.images(indices)), perturbation)
        parts.append(misclassified(network, images, patches.labels[indices.start : indices.stop]))
    return np.concatenate(parts)


def _row(
    epsilon: str,
    split: Literal["train", "test", "transfer"],
    fooled: NDArray[np.bool_],
    network: str,
) -> UniversalRow:
    successes, n = int(fooled.sum()), len(fooled)
    low, high = wilson(successes, n)
    return UniversalRow(
        epsilon=epsilon,
        split=split,
        n=n,
        successes=successes,
        rate=successes / n,
        low=low,
        high=high,
        network=network,
    )


def _write_perturbations(path: Path, found: dict[str, Tensor]) -> None:
    perturbations = torch.stack(list(found.values())).permute(0, 2, 3, 1).contiguous()
    with whole_file(path) as beside, beside.open("wb") as stream:
        np.savez_compressed(
            stream, epsilons=np.array(list(found)), perturbations=perturbations.numpy()
        )
