"""Parts patches into those to learn from and those to judge by; no group is ever parted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ml.data import Patches, natural_order
from ml.errors import MlError

Indices = NDArray[np.int64]
CLASSES = ((1, "tumour"), (0, "no-tumour"))


@dataclass(frozen=True)
class Fold:
    """Run and fold count from 1; indices of the patches to learn from and of those to judge by."""

    run: int
    fold: int
    training: Indices
    held_out: Indices


def split_holdout(
    patches: Patches, *, seed: int, share: float = 1 / 3
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of (training, held-out) patches; no group is parted.

    Two or more folds of its own: the last is held out. Else about `share` of each class is.
    """
    if not 0 < share < 1:
        raise MlError(f"The share held out must lie between 0 and 1, but is {share}; change it.")
    folds = _own_folds(patches)
    held = patches.folds == folds[-1] if len(folds) > 1 else _draw_groups(patches, seed, share)
    _require_sound_split(patches, held, "add patches of other groups, or change the share or seed")
    return np.flatnonzero(~held), np.flatnonzero(held)


def folds_of(
    patches: Patches, *, scheme: Literal["stratified", "own"], runs: int, folds: int, seed: int
) -> tuple[Fold, ...]:
    """`runs` times `folds` folds with about equal shares of both classes; each run draws anew.

    Scheme "own" takes the data set's folds instead, in one run, each held out once.
    """
    match scheme:
        case "stratified":
            _require_enough_groups(patches, folds)
            parts = [(run, _draw_folds(patches, run, folds, seed)) for run in range(1, runs + 1)]
            advice = "ask for fewer folds, or change the seed"
        case "own":
            own = _own_folds(patches)
            if len(own) < 2 or "" in patches.folds:
                raise MlError(
                    f"{patches.name} has no folds of its own that hold all of its patches; "
                    'set crossval.scheme to "stratified".'
                )
            parts = [(1, iter([patches.folds == name for name in own]))]
            advice = 'set crossval.scheme to "stratified"'
    drawn = []
    for run, masks in parts:
        for fold, held in enumerate(masks, start=1):
            _require_sound_split(patches, held, advice)
            drawn.append(Fold(run, fold, np.flatnonzero(~held), np.flatnonzero(held)))
    return tuple(drawn)


def _own_folds(patches: Patches) -> list[str]:
    return sorted(set(patches.folds.tolist()) - {""}, key=natural_order)


def _draw_folds(patches: Patches, run: int, folds: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Which patches each fold holds out."""
    grouped = len(set(patches.groups.tolist())) < len(patches)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    drawn_by = int(np.random.SeedSequence([seed, run]).generate_state(1)[0])
    splitter = kind(folds, shuffle=True, random_state=drawn_by)
    groups = patches.groups if grouped else None
    for _, held_out in splitter.split(np.zeros(len(patches)), patches.labels, groups):
        held = np.zeros(len(patches), dtype=np.bool_)
        held[held_out] = True
        yield held


def _require_enough_groups(patches: Patches, folds: int) -> None:
    for label, name in CLASSES:
        groups = len(set(patches.groups[patches.labels == label].tolist()))
        if groups < folds:
            raise MlError(
                f"Only {groups} groups of {patches.name} hold {name} patches, too few for {folds} "
                "folds; add patches of other groups, or ask for fewer folds."
            )


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


def _require_sound_split(patches: Patches, held: NDArray[np.bool_], advice: str) -> None:
    for label, name in CLASSES:
        of_class = held[patches.labels == label]
        if of_class.all() or not of_class.any():
            raise MlError(
                f"A split of {patches.name} leaves {name} patches on one side only; {advice}."
            )
    parted = set(patches.groups[held].tolist()) & set(patches.groups[~held].tolist())
    if parted:
        raise MlError(f"Group {min(parted)} lies in several folds; put each group in one fold.")
