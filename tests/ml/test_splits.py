"""Splits part no group, leave both classes on both sides, and depend on the seed alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.data import Patch, Patches, Source, load_patches
from ml.errors import MlError
from ml.splits import Fold, folds_of, split_holdout


def no_pixels() -> NDArray[np.uint8]:
    raise AssertionError("A split needs no pixels.")


def patch(i: int, label: int, group: str, fold: str) -> Patch:
    return Patch(Source("drawn", fold, i), group, label, 9 * label, f"{i:064}", no_pixels)


def patches_in_groups(groups: dict[str, tuple[int, int]], fold: str = "") -> Patches:
    """Group name to its numbers of tumour and of no-tumour patches."""
    members = [
        (label, group)
        for group, (tumour, none) in groups.items()
        for label in [1] * tumour + [0] * none
    ]
    entries = tuple(patch(i, label, group, fold) for i, (label, group) in enumerate(members))
    return Patches("drawn", 0.25, entries)


def single_patches(labels: list[int], folds: str | None = None) -> Patches:
    """Each its own group; `folds` holds one letter a patch."""
    entries = tuple(
        patch(i, label, f"patch {i}", folds[i] if folds else "") for i, label in enumerate(labels)
    )
    return Patches("drawn", 0.25, entries)


def stratified(patches: Patches, **settings: Any) -> tuple[Fold, ...]:
    defaults: dict[str, Any] = {"scheme": "stratified", "runs": 1, "folds": 3, "seed": 0}
    return folds_of(patches, **{**defaults, **settings})


def parts(folds: tuple[Fold, ...], run: int) -> set[frozenset[int]]:
    return {frozenset(fold.held_out.tolist()) for fold in folds if fold.run == run}


# One third held out.


def test_own_folds_are_kept_and_the_last_is_held_out() -> None:
    entries = tuple(patch(i, i % 2, str(i), "9" if i < 2 else "10") for i in range(4))
    patches = Patches("drawn", 0.25, entries)
    train, held_out = split_holdout(patches, seed=0)
    assert patches.folds[train].tolist() == ["9", "9"]
    assert patches.folds[held_out].tolist() == ["10", "10"]


def test_without_folds_a_third_of_each_class_is_held_out() -> None:
    patches = single_patches([0] * 30 + [1] * 12)
    for seed in range(5):
        train, held_out = split_holdout(patches, seed=seed)
        assert sorted([*train, *held_out]) == list(range(42))
        assert np.bincount(patches.labels[held_out]).tolist() == [10, 4]


def test_a_split_depends_on_its_seed_alone() -> None:
    patches = single_patches([0, 1] * 15)
    splits = [split_holdout(patches, seed=seed)[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_no_group_is_parted() -> None:
    patches = patches_in_groups({f"t{i}": (4, 1) if i % 3 == 0 else (0, 5) for i in range(12)})
    for seed in range(10):
        train, held_out = split_holdout(patches, seed=seed)
        assert not set(patches.groups[train].tolist()) & set(patches.groups[held_out].tolist())
        assert 0.2 < len(held_out) / len(patches) < 0.5
        assert set(patches.labels[train].tolist()) == set(patches.labels[held_out].tolist())


def test_a_class_that_lies_in_one_group_cannot_be_split() -> None:
    patches = patches_in_groups({"a": (4, 0), "b": (0, 4), "c": (0, 4)})
    with pytest.raises(MlError, match="leaves tumour patches on one side only; add patches"):
        split_holdout(patches, seed=0)


def test_a_class_that_is_missing_in_a_fold_is_told() -> None:
    with pytest.raises(MlError, match="leaves no-tumour patches on one side only"):
        split_holdout(single_patches([0, 1, 1, 1], "1122"), seed=0)


def test_a_group_that_lies_in_two_folds_is_told() -> None:
    entries = tuple(patch(i, i % 2, "slide s", "1" if i < 2 else "2") for i in range(4))
    with pytest.raises(MlError, match="Group slide s lies in several folds"):
        split_holdout(Patches("drawn", 0.25, entries), seed=0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_a_share_of_nothing_or_everything_is_refused(share: float) -> None:
    with pytest.raises(MlError, match="between 0 and 1"):
        split_holdout(single_patches([1, 0, 1, 0]), seed=0, share=share)


# Cross-validation.


@st.composite
def grouped_patches(draw: st.DrawFn) -> Patches:
    """From 9 to 30 groups of up to 4 patches, every third of tumour, some of both."""
    count = draw(st.integers(9, 30))
    sizes = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    others = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    return patches_in_groups(
        {
            f"g{i}": (size, other) if i % 3 == 0 else (0, size)
            for i, (size, other) in enumerate(zip(sizes, others, strict=True))
        }
    )


@given(patches=grouped_patches(), folds=st.integers(2, 3), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=60)
def test_each_run_holds_out_every_patch_once_and_parts_no_group(
    patches: Patches, folds: int, seed: int
) -> None:
    drawn = folds_of(patches, scheme="stratified", runs=2, folds=folds, seed=seed)
    assert [(fold.run, fold.fold) for fold in drawn] == [
        (run, fold) for run in (1, 2) for fold in range(1, folds + 1)
    ]
    for run in (1, 2):
        held = [i for fold in drawn if fold.run == run for i in fold.held_out.tolist()]
        assert sorted(held) == list(range(len(patches)))
    for fold in drawn:
        assert sorted([*fold.training, *fold.held_out]) == list(range(len(patches)))
        groups = [set(patches.groups[part].tolist()) for part in (fold.training, fold.held_out)]
        assert not groups[0] & groups[1]
        for label in (0, 1):
            assert (patches.labels[fold.training] == label).any()
            assert (patches.labels[fold.held_out] == label).any()


@given(
    tumour=st.integers(3, 40),
    none=st.integers(3, 40),
    folds=st.integers(2, 3),
    seed=st.integers(0, 2**31 - 1),
)
@settings(deadline=None, max_examples=60)
def test_single_patches_are_dealt_out_to_within_one_of_each_class(
    tumour: int, none: int, folds: int, seed: int
) -> None:
    patches = single_patches([1] * tumour + [0] * none)
    for fold in folds_of(patches, scheme="stratified", runs=2, folds=folds, seed=seed):
        for label, count in ((1, tumour), (0, none)):
            held = int((patches.labels[fold.held_out] == label).sum())
            assert abs(held - count / folds) < 1


def test_groups_of_one_size_are_dealt_out_to_within_one_group_of_each_class() -> None:
    patches = patches_in_groups({f"t{i}": (4, 0) if i % 2 else (0, 4) for i in range(20)})
    for fold in stratified(patches, runs=10):
        counts = np.bincount(patches.labels[fold.held_out]) / 4
        assert (abs(counts - 10 / 3) < 1).all()


def test_tiles_of_real_tissue_keep_their_class_shares(shared: Path) -> None:
    folder = shared / "data/consep_colon"
    if not folder.is_dir():
        pytest.skip(f"CoNSeP is not at {folder}; set PLAINSIGHT_SHARED.")
    patches = load_patches(folder)
    share = patches.labels.mean()
    for fold in stratified(patches, runs=5):
        assert abs(len(fold.held_out) / len(patches) - 1 / 3) < 0.03
        assert abs(patches.labels[fold.held_out].mean() - share) < 0.05


@pytest.mark.parametrize("grouped", [False, True])
def test_other_seeds_and_other_runs_give_other_folds(grouped: bool) -> None:
    tiles = {f"t{i}": (2, 0) if i % 2 else (0, 2) for i in range(24)}
    patches = patches_in_groups(tiles) if grouped else single_patches([0, 1] * 24)
    first, again, other = (stratified(patches, runs=2, seed=seed) for seed in (0, 0, 1))
    assert parts(first, 1) == parts(again, 1)
    assert len({frozenset(parts(folds, run)) for folds in (first, other) for run in (1, 2)}) == 4


def test_more_runs_leave_the_folds_of_the_first_as_they_are() -> None:
    patches = single_patches([0, 1] * 24)
    few, many = (stratified(patches, runs=runs) for runs in (1, 3))
    assert parts(few, 1) == parts(many, 1)
    assert [fold.held_out.tolist() for fold in few] == [fold.held_out.tolist() for fold in many[:3]]


def test_own_folds_are_held_out_once_each_in_their_own_order() -> None:
    names = ["10", "9", "10", "9", "11", "11"]
    entries = tuple(patch(i, i // 2 % 2 ^ i % 2, str(i), name) for i, name in enumerate(names))
    folds = folds_of(Patches("drawn", 0.25, entries), scheme="own", runs=5, folds=3, seed=0)
    assert [(fold.run, fold.fold) for fold in folds] == [(1, 1), (1, 2), (1, 3)]
    assert [fold.held_out.tolist() for fold in folds] == [[1, 3], [0, 2], [4, 5]]
    assert folds[0].training.tolist() == [0, 2, 4, 5]


def test_the_only_way_to_part_a_few_unequal_groups_is_found() -> None:
    """b and c must share a fold; scikit-learn's splitter does not see it with any of 20 seeds."""
    patches = patches_in_groups({"a": (2, 2), "b": (1, 0), "c": (0, 1), "d": (1, 2)})
    for seed in range(5):
        held = [patches.groups[fold.held_out].tolist() for fold in stratified(patches, seed=seed)]
        assert sorted("".join(sorted(set(groups))) for groups in held) == ["a", "bc", "d"]


# What cannot be split.


def test_too_few_groups_of_a_class_are_refused_with_their_number() -> None:
    patches = patches_in_groups({"a": (4, 0), "b": (4, 2), "c": (0, 4), "d": (0, 4)})
    with pytest.raises(MlError, match="Only 2 groups of drawn hold tumour patches, too few for 3"):
        stratified(patches)
    assert len(stratified(patches, folds=2)) == 2
    with pytest.raises(MlError, match="Only 2 groups of drawn hold no-tumour patches"):
        stratified(single_patches([1, 1, 1, 0, 0]))


@pytest.mark.parametrize("folds", ["", "1111", "11 2"])
def test_a_set_without_folds_of_its_own_is_refused(folds: str) -> None:
    entries = tuple(patch(i, i % 2, str(i), folds[i : i + 1].strip()) for i in range(4))
    with pytest.raises(MlError, match=r'no folds of its own .* "stratified"'):
        folds_of(Patches("drawn", 0.25, entries), scheme="own", runs=1, folds=3, seed=0)


def test_an_own_fold_of_one_class_is_refused() -> None:
    with pytest.raises(MlError, match="leaves no-tumour patches on one side only; set"):
        folds_of(
            single_patches([0, 1, 1, 1, 0, 1], "112211"), scheme="own", runs=1, folds=3, seed=0
        )
