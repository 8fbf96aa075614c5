"""Generated tissue is PanNuke-shaped, the same for the same seed, and follows the rule."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.data import load_patches
from ml.errors import MlError
from ml.phantom import write_phantom

ROOT = Path(__file__).parents[2]
WRITE_ELSEWHERE = """
import sys
from pathlib import Path
from ml.phantom import write_phantom
write_phantom(Path(sys.argv[1]), patches_per_fold=4, folds=2, size=64, seed=5)
"""


def small_phantom(out: Path, *, seed: int = 0, patches: int = 4, size: int = 64) -> Path:
    write_phantom(out, patches_per_fold=patches, folds=2, size=size, seed=seed)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_one_seed_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    here = small_phantom(tmp_path / "here", seed=5)
    elsewhere = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-c", WRITE_ELSEWHERE, elsewhere], cwd=ROOT, check=True)
    assert len(digests(here)) == 7
    assert digests(here) == digests(elsewhere)


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    first, second = (
        load_patches(small_phantom(tmp_path / str(seed), seed=seed)) for seed in (0, 1)
    )
    assert first.digest != second.digest


def test_no_two_patches_are_alike(tmp_path: Path) -> None:
    patches = load_patches(small_phantom(tmp_path / "out", patches=8))
    assert len({image.tobytes() for image in patches.images(range(len(patches)))}) == len(patches)


def test_half_of_the_patches_are_tumour_and_a_few_are_left_out(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out", patches=34)
    patches = load_patches(folder)
    assert np.bincount(patches.labels).tolist() == [32, 32]
    assert patches.folds.tolist() == ["1"] * 32 + ["2"] * 32
    counts = [
        len(np.unique(mask[..., 0])) - 1
        for fold in (1, 2)
        for mask in np.load(folder / f"Fold {fold}/masks/fold{fold}/masks.npy")
    ]
    assert [n for n in counts if n == 0 or n >= 5] == patches.tumour_nuclei.tolist()
    assert sum(1 <= n <= 4 for n in counts) == 4


def test_every_class_of_nucleus_occurs_and_no_two_overlap(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out", patches=16)
    masks = np.load(folder / "Fold 1/masks/fold1/masks.npy")
    assert (masks.max(axis=(0, 1, 2)) > 0).all()
    assert ((masks > 0).sum(axis=-1) == 1).all()
    assert set(np.unique(masks[..., 5]).tolist()) == {0, 1}


def test_an_id_means_one_nucleus_of_one_class(tmp_path: Path) -> None:
    masks = np.load(small_phantom(tmp_path / "out", patches=8) / "Fold 2/masks/fold2/masks.npy")
    for mask in masks:
        ids = [set(np.unique(mask[..., channel]).tolist()) - {0} for channel in range(5)]
        together = set().union(*ids)
        assert sum(map(len, ids)) == len(together)
        assert together == set(range(1, len(together) + 1))


def test_nuclei_are_dark_where_the_masks_have_them(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out", patches=8, size=128)
    images = np.load(folder / "Fold 1/images/fold1/images.npy").mean(axis=-1)
    background = np.load(folder / "Fold 1/masks/fold1/masks.npy")[..., 5] == 1
    for image, outside in zip(images, background, strict=True):
        assert image[~outside].mean() < image[outside].mean() - 30


def test_tumour_nuclei_are_larger_than_benign_ones(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out", patches=16, size=128)
    masks = np.load(folder / "Fold 1/masks/fold1/masks.npy")
    areas = [
        np.median(
            [
                np.bincount(mask[..., c].ravel())[1:].max(initial=0)
                for mask in masks
                if mask[..., c].any()
            ]
        )
        for c in (0, 4)
    ]
    assert areas[0] > 1.5 * areas[1]


def test_the_mean_colour_does_not_give_the_class_away(tmp_path: Path) -> None:
    """No threshold on any one channel's mean tells more than four patches in five."""
    write_phantom(tmp_path / "out", patches_per_fold=64, folds=1, size=64)
    patches = load_patches(tmp_path / "out")
    means = patches.images(range(len(patches))).mean(axis=(1, 2))
    for channel in means.T:
        right = [((channel < cut) == (patches.labels == 1)).mean() for cut in channel]
        assert max(*right, *(1 - share for share in right)) < 0.8


@pytest.mark.parametrize("size", [64, 128, 200])
def test_the_field_of_view_is_the_same_at_every_size(tmp_path: Path, size: int) -> None:
    write_phantom(tmp_path / "out", patches_per_fold=3, folds=1, size=size)
    patches = load_patches(tmp_path / "out")
    assert patches.image(0).shape == (size, size, 3)
    assert patches.micrometres_per_pixel * size == pytest.approx(64)


def test_it_says_that_it_is_generated_and_how(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out", seed=3)
    said = json.loads((folder / "phantom.json").read_text())
    assert "Generated tissue" in said["about"]
    assert {name: said[name] for name in ("seed", "patches_per_fold", "folds", "size")} == {
        "seed": 3,
        "patches_per_fold": 4,
        "folds": 2,
        "size": 64,
    }
    assert said["code_version"]
    assert {source.data_set for source in load_patches(folder).sources} == {"Phantom"}


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    folder = small_phantom(tmp_path / "out")
    (folder / "phantom.json").write_text("{}")
    with pytest.raises(MlError, match=r"phantom\.json cannot be read"):
        load_patches(folder)


def test_progress_is_told_for_every_patch(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_phantom(
        tmp_path / "out",
        patches_per_fold=3,
        folds=2,
        size=64,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 6) for n in range(1, 7)]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(MlError, match="not empty"):
        write_phantom(tmp_path, patches_per_fold=3, folds=1, size=64)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert len(load_patches(small_phantom(tmp_path / "out"))) == 6


def test_what_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt(done, total)

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "out", patches_per_fold=3, folds=1, size=64, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"size": 32}, {"patches_per_fold": 2}, {"folds": 0}])
def test_too_small_a_phantom_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(MlError, match="at least"):
        write_phantom(tmp_path / "out", **wrong)  # type: ignore[arg-type]
