"""Parts patches into those to learn from and those to judge by."""

import numpy as np
from numpy.typing import NDArray

from ml.data import Patches, natural_order
from ml.errors import MlError


def split_holdout(
    patches: Patches, *, seed: int, share: float = 1 / 3
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of (training, held-out) patches; no group is parted.

    Two or more folds of its own: the last is held out. Else about `share` of each class is.
    """
    if not 0 < share < 1:
        raise MlError(f"The share held out must lie between 0 and 1, but is {share}; change it.")
    folds = sorted(set(patches.folds.tolist()) - {""}, key=natural_order)
    held = patches.folds == folds[-1] if len(folds) > 1 else _draw_groups(patches, seed, share)
    _require_sound_split(patches, held)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _draw_groups(patches: Patches, seed: int, share: float) -> NDArray[np.bool_]:
    """Takes groups in random order, each if it brings both classes nearer to their share."""
    groups, member = np.unique(patches.groups, return_inverse=True)
    counts = np.zeros((len(groups), 2))
    np.add.at(counts, (member, patches.labels), 1)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    held = np.zeros(len(groups), dtype=np.bool_)
    missing = np.full(2, share)
    for group in np.random.default_rng(seed).permutation(len(groups)):
        after = missing - shares[group]
        if after @ after < missing @ missing:
            held[group], missing = True, after
    return np.asarray(held[member], dtype=np.bool_)


def _require_sound_split(patches: Patches, held: NDArray[np.bool_]) -> None:
    for label, name in ((1, "tumour"), (0, "no-tumour")):
        of_class = held[patches.labels == label]
        if of_class.all() or not of_class.any():
            raise MlError(
                f"A split of {patches.name} leaves {name} patches on one side only; "
                "add patches of other groups, or change the share or the seed."
            )
    parted = set(patches.groups[held].tolist()) & set(patches.groups[~held].tolist())
    if parted:
        raise MlError(f"Group {min(parted)} lies in several folds; put each group in one fold.")
