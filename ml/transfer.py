"""Whether a perturbation found for one network turns the same images for others, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.targets import Targets
from ml.errors import MlError
from ml.evaluation import p_positive, predicted_class, wilson
from ml.networks import NetworkCard, PixelNetwork, load_network

Seen = Literal["yes", "no", "unknown"]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Transfer:
    """One line of transfer.csv: `n` images whose originals `network` classifies correctly.

    `seen`: whether it was trained on them; unknown where it was trained on other data.
    """

    norm: str
    epsilon: str
    network: str
    seen: Seen
    n: int
    successes: int
    rate: float
    low: float
    high: float


def by_folder(files: Sequence[Path]) -> dict[str, Path]:
    """The files of networks by the names of their folders, such as run-1-fold-2."""
    named = {file.resolve().parent.name: file for file in files}
    if len(named) < len(files):
        raise MlError(
            "Two of the other networks are in folders of the same name, which is what tells them "
            "apart in transfer.csv; rename one of the folders."
        )
    return named


def transfer(
    perturbed: Mapping[tuple[str, str], Tensor],
    originals: Tensor,
    targets: Targets,
    others: Mapping[str, Path],
) -> list[Transfer]:
    """`perturbed`, by norm and epsilon, are the `originals`, the patches of the `targets`."""
    truths = targets.patches.labels
    rows = []
    for name, file in others.items():
        network, card = load_network(file)
        correct = ~misclassified(network, originals, truths)
        groups = _groups(targets, card)
        for (norm, epsilon), images in perturbed.items():
            wrong = misclassified(network, images, truths)
            rows += [
                _row(norm, epsilon, name, seen, wrong[correct & group])
                for seen, group in groups.items()
                if (correct & group).any()
            ]
    return rows


def misclassified(network: PixelNetwork, images: Tensor, truths: NDArray[np.int64]) -> Bool:
    """(n,) as the network judges in fp32."""
    wrong: Bool = predicted_class(p_positive(network, images)) != truths
    return wrong


def _groups(targets: Targets, card: NetworkCard) -> dict[Seen, Bool]:
    """The patches by whether the network of `card` was trained on them."""
    sources = targets.patches.sources
    if card.data_sha256 != targets.card.data_sha256:
        return {"unknown": np.ones(len(sources), dtype=np.bool_)}
    held_out = {(source.fold, source.index) for source in card.held_out}
    unseen = np.array([(s.fold, s.index) in held_out for s in sources], dtype=np.bool_)
    return {"no": unseen, "yes": ~unseen}


def _row(norm: str, epsilon: str, network: str, seen: Seen, wrong: Bool) -> Transfer:
    n, successes = len(wrong), int(wrong.sum())
    low, high = wilson(successes, n)
    return Transfer(norm, epsilon, network, seen, n, successes, successes / n, low, high)
