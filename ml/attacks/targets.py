"""Which patches are attacked: held out, and classified correctly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.data import Patches, Progress, load_patches
from ml.errors import MlError
from ml.evaluation import p_positive_of_patches, predicted_class
from ml.networks import NetworkCard, PixelNetwork, load_network
from ml.progress import stage


@dataclass(frozen=True)
class Targets:
    """`patches` to attack, `correct` of `considered` patches could have been."""

    network: PixelNetwork
    card: NetworkCard
    patches: Patches
    correct: int
    considered: int


def choose_targets(
    network_file: Path,
    data: Path,
    *,
    truths: Literal["positive", "both"] = "positive",
    limit: int | None = None,
    seed: int = 0,
    include_training: bool = False,
    other_data: bool = False,
    tissue: str | None = None,
) -> Targets:
    """All held-out patches that are classified correctly, or `limit` of them drawn by the seed."""
    network, card = load_network(network_file)
    patches = load_patches_of(card, data, other_data=other_data, tissue=tissue)
    found = find_targets(
        network,
        card,
        patches,
        truths=truths,
        limit=limit,
        seed=seed,
        include_training=include_training,
    )
    return Targets(network, card, patches.subset(found.indices), found.correct, found.considered)


@dataclass(frozen=True)
class Found:
    """`indices` of the patches to attack, in ascending order."""

    indices: list[int]
    correct: int
    considered: int


def find_targets(
    network: PixelNetwork,
    card: NetworkCard,
    patches: Patches,
    *,
    truths: Literal["positive", "both"],
    limit: int | None,
    seed: int,
    include_training: bool,
) -> Found:
    candidates = _candidates(patches, card, truths, include_training)
    with stage("finding what is classified correctly") as update:
        correct = correctly_classified(network, patches, candidates, update)
    if len(correct) == 0:
        raise MlError(
            f"The network classifies none of the {len(candidates)} patches correctly, so there is "
            "nothing to attack; train it for longer."
        )
    drawn = np.sort(np.random.default_rng(seed).permutation(correct)[:limit])
    return Found(drawn.tolist(), len(correct), len(candidates))


def correctly_classified(
    network: PixelNetwork,
    patches: Patches,
    indices: NDArray[np.int64],
    progress: Progress = lambda _done, _total: None,
) -> NDArray[np.int64]:
    probabilities = p_positive_of_patches(network, patches, indices, progress)
    right = predicted_class(probabilities) == patches.labels[indices]
    return np.asarray(indices[right], dtype=np.int64)


def load_patches_of(
    card: NetworkCard, data: Path, *, other_data: bool = False, tissue: str | None = None
) -> Patches:
    """The patches that the network of `card` was trained and tested on, at the size it takes."""
    settings = card.settings["data"]
    with stage("reading patches") as update:
        patches = load_patches(
            data,
            tissue=tissue or settings["tissue"],
            size=settings.get("size"),
            progress=update,
        )
    if patches.digest != card.data_sha256 and not other_data:
        raise MlError(
            f"The patches in {data} are not those that the network was trained and tested on, so "
            "none of them is known to be held out; give those, or attack these with --other-data."
        )
    return patches


def held_out_of(patches: Patches, card: NetworkCard) -> NDArray[np.bool_]:
    """(n,) true for what the network has not learned from: all of it, where data are other ones."""
    if patches.digest != card.data_sha256:
        return np.ones(len(patches), dtype=np.bool_)
    held_out = {(source.fold, source.index) for source in card.held_out}
    return np.array([(s.fold, s.index) in held_out for s in patches.sources], dtype=np.bool_)


def _candidates(
    patches: Patches,
    card: NetworkCard,
    truths: Literal["positive", "both"],
    include_training: bool,
) -> NDArray[np.int64]:
    allowed = held_out_of(patches, card) | include_training
    of_truth = (patches.labels == 1) | (truths == "both")
    candidates = np.flatnonzero(allowed & of_truth)
    if len(candidates) == 0:
        raise MlError("There is no patch of the truth to attack; give other data.")
    return candidates
