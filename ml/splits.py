"""Parts patches into those to learn from and those to judge by; no group is ever parted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ml.data import Patches, natural_order
from ml.errors import MlError

Indices = NDArray[np.int64]
ATTEMPTS = 50
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
            advice = "add patches of other groups, or ask for fewer folds"
        case "own":
            own = _own_folds(patches)
            if len(own) < 2 or "" in patches.folds:
                raise MlError(
                    f"{patches.name} has no folds of its own that hold all of its patches; "
                    'set crossval.scheme to "stratified".'
                )
            parts = [(1, [np.asarray(patches.folds == name) for name in own])]
            advice = 'set crossval.scheme to "stratified"'
    drawn = []
    for run, masks in parts:
        for fold, held in enumerate(masks, start=1):
            _require_sound_split(patches, held, advice)
            drawn.append(Fold(run, fold, np.flatnonzero(~held), np.flatnonzero(held)))
    return tuple(drawn)


def _own_folds(patches: Patches) -> list[str]:
    return sorted(set(patches.folds.tolist()) - {""}, key=natural_order)


def _draw_folds(patches: Patches, run: int, folds: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which patches each fold holds out.

    Where few groups of unequal size leave a fold without a class, groups are dealt out in random
    order instead, until none is.
    """
    first, *others = np.random.SeedSequence([seed, run]).generate_state(ATTEMPTS).tolist()
    fold_of = _stratified(patches, folds, first)
    for drawn_by in others:
        if _holds_both_classes_everywhere(fold_of, patches, folds):
            break
        fold_of = _deal_groups(patches, folds, drawn_by)
    return [np.asarray(fold_of == fold) for fold in range(folds)]


def _stratified(patches: Patches, folds: int, seed: int) -> Indices:
    """The fold that holds out each patch, by scikit-learn's splitters."""
    grouped = len(set(patches.groups.tolist())) < len(patches)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    groups = patches.groups if grouped else None
    fold_of = np.zeros(len(patches), dtype=np.int64)
    parts = splitter.split(np.zeros(len(patches)), patches.labels, groups)
    for fold, (_, held_out) in enumerate(parts):
        fold_of[held_out] = fold
    return fold_of


def _holds_both_classes_everywhere(fold_of: Indices, patches: Patches, folds: int) -> bool:
    return len(set(zip(fold_of.tolist(), patches.labels.tolist(), strict=True))) == 2 * folds


def _deal_groups(patches: Patches, folds: int, seed: int) -> Indices:
    """Each group goes where both classes end up most even."""
    member, shares = _shares_of_groups(patches)
    held, fold_of = np.zeros((folds, 2)), np.zeros(len(shares), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(shares)):
        fold_of[group] = np.argmin(((held + shares[group]) ** 2 - held**2).sum(axis=1))
        held[fold_of[group]] += shares[group]
    return np.asarray(fold_of[member])


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
    member, shares = _shares_of_groups(patches)
    held = np.zeros(len(shares), dtype=np.bool_)
    missing = np.full(2, share)
    for group in np.random.default_rng(seed).permutation(len(shares)):
        after = missing - shares[group]
        if after @ after < missing @ missing:
            held[group], missing = True, after
    return np.asarray(held[member], dtype=np.bool_)


def _shares_of_groups(patches: Patches) -> tuple[Indices, NDArray[np.float64]]:
    """The number of each patch's group; (groups, 2), the share of each class that a group holds."""
    groups, member = np.unique(patches.groups, return_inverse=True)
    counts = np.zeros((len(groups), 2))
    np.add.at(counts, (member, patches.labels), 1)
    return member, counts / np.maximum(counts.sum(axis=0), 1)


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
