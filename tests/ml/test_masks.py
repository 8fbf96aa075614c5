"""Patches know where their tumour nuclei are, and come in the size that is asked for."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.data import Patches, load_patches
from ml.errors import MlError
from ml.phantom import write_phantom

SIZE = 16

Nucleus = tuple[int, int, slice, slice]
"""Its id, its class code, and its rows and columns."""

TUMOUR_1: Nucleus = (7, 1, slice(0, 4), slice(0, 4))
TUMOUR_2: Nucleus = (9, 1, slice(8, 10), slice(0, 16))
EPITHELIUM: Nucleus = (3, 3, slice(12, 14), slice(4, 9))


def outlines(*nuclei: Nucleus, size: int = SIZE) -> NDArray[np.uint8]:
    drawn = np.zeros((size, size, 3), np.uint8)
    for number, code, rows, columns in nuclei:
        drawn[rows, columns] = (number, code, 0)
    return drawn


def write_outlined(path: Path, *nuclei: Nucleus, **columns: Any) -> Path:
    """A folder of one patch labelled 1 (uncounted unless `columns` say so), with its nuclei."""
    path.mkdir(parents=True, exist_ok=True)
    row = {
        "file": "0.png",
        "nuclei": "nuclei.png",
        "label": 1,
        "n_tumour_nuclei": -1,
        **columns,
    }
    with (path / "labels.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, row.keys())
        writer.writeheader()
        writer.writerow(row)
    Image.fromarray(np.full((SIZE, SIZE, 3), 150, np.uint8)).save(path / "0.png")
    Image.fromarray(outlines(*nuclei)).save(path / "nuclei.png")
    return path


def mask_of(patches: Patches, i: int = 0) -> NDArray[np.bool_]:
    mask = patches.tumour_mask(i)
    assert mask is not None
    assert mask.dtype == np.bool_
    return mask


def drawn_mask(*nuclei: Nucleus) -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    for _, _, rows, columns in nuclei:
        mask[rows, columns] = True
    return mask


def write_pannuke(path: Path, images: NDArray[np.uint8], neoplastic: NDArray[np.int16]) -> Path:
    """One fold; `neoplastic` is (n, h, w), ids of tumour nuclei."""
    masks = np.zeros((*neoplastic.shape, 6), np.int16)
    masks[..., 0], masks[..., 3] = neoplastic, 5
    for what, array in (("images", images), ("masks", masks)):
        folder = path / f"Fold 1/{what}/fold1"
        folder.mkdir(parents=True)
        np.save(folder / f"{what}.npy", array)
    np.save(path / "Fold 1/images/fold1/types.npy", np.array(["Breast"] * len(images)))
    return path


def scattered_nuclei(count: int, seed: int = 0) -> NDArray[np.int16]:
    """`count` nuclei of one pixel each, (SIZE, SIZE)."""
    flat = np.zeros(SIZE * SIZE, np.int16)
    chosen = np.random.default_rng(seed).choice(SIZE * SIZE, count, replace=False)
    flat[chosen] = np.arange(1, count + 1)
    return flat.reshape(SIZE, SIZE)


# Masks.


def test_pannukes_first_channel_is_the_mask(tmp_path: Path) -> None:
    neoplastic = np.stack([scattered_nuclei(0), scattered_nuclei(2), scattered_nuclei(6)])
    images = np.full((3, SIZE, SIZE, 3), 150, np.uint8)
    patches = load_patches(write_pannuke(tmp_path, images, neoplastic))
    for i, of_patch in enumerate(neoplastic[[0, 2]]):
        assert np.array_equal(mask_of(patches, i), of_patch > 0)


def test_code_1_is_tumour_where_the_table_says_nothing_else(tmp_path: Path) -> None:
    folder = write_outlined(tmp_path, TUMOUR_1, EPITHELIUM, TUMOUR_2)
    assert np.array_equal(mask_of(load_patches(folder)), drawn_mask(TUMOUR_1, TUMOUR_2))


def test_a_column_tumour_code_says_which_nuclei_are_tumour(tmp_path: Path) -> None:
    folder = write_outlined(tmp_path, TUMOUR_1, EPITHELIUM, tumour_code=3, tile_epithelium="normal")
    assert np.array_equal(mask_of(load_patches(folder)), drawn_mask(EPITHELIUM))


def test_consep_epithelium_is_tumour_in_a_tumour_tile_only(tmp_path: Path) -> None:
    tumour = write_outlined(tmp_path / "a", TUMOUR_1, EPITHELIUM, tile_epithelium="tumour")
    normal = write_outlined(tmp_path / "b", TUMOUR_1, EPITHELIUM, tile_epithelium="normal")
    assert np.array_equal(mask_of(load_patches(tumour)), drawn_mask(EPITHELIUM))
    assert not mask_of(load_patches(normal)).any()


def test_a_patch_without_outlines_has_no_mask(tmp_path: Path) -> None:
    assert load_patches(write_outlined(tmp_path, nuclei="")).tumour_mask(0) is None
    assert load_patches(tmp_path, size=32).tumour_mask(0) is None


def test_a_subset_keeps_its_masks(tmp_path: Path) -> None:
    neoplastic = np.stack([scattered_nuclei(n, seed=n) for n in (5, 6, 7)])
    images = np.full((3, SIZE, SIZE, 3), 150, np.uint8)
    patches = load_patches(write_pannuke(tmp_path, images, neoplastic)).subset([2, 0])
    assert np.array_equal(mask_of(patches), neoplastic[2] > 0)


def test_outlines_that_contradict_the_count_are_told_when_the_mask_is_read(tmp_path: Path) -> None:
    patches = load_patches(write_outlined(tmp_path, TUMOUR_1, TUMOUR_2, n_tumour_nuclei=5))
    with pytest.raises(MlError, match=r"nuclei\.png outlines 2 tumour nuclei, .* counts 5"):
        patches.tumour_mask(0)


def test_outlines_that_are_missing_or_of_another_size_are_told(tmp_path: Path) -> None:
    patches = load_patches(write_outlined(tmp_path))
    Image.fromarray(outlines(size=SIZE + 2)).save(tmp_path / "nuclei.png")
    with pytest.raises(MlError, match=r"nuclei\.png is 18 x 18 pixels, .*0\.png 16 x 16"):
        patches.tumour_mask(0)
    (tmp_path / "nuclei.png").unlink()
    with pytest.raises(MlError, match=r"nuclei\.png cannot be read"):
        patches.tumour_mask(0)


def test_a_tumour_code_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match=r"0\.png: .*epithelium.*; correct this line"):
        load_patches(write_outlined(tmp_path, tumour_code="epithelium"))


@pytest.mark.parametrize("name", ["pannuke_breast", "consep_colon"])
def test_real_outlines_hold_as_many_tumour_nuclei_as_are_counted(name: str, shared: Path) -> None:
    """`tumour_mask` compares the numbers itself; here they are also counted from outside."""
    folder = shared / "data" / name
    if not folder.is_dir():
        pytest.skip(f"No real tissue at {folder}; set PLAINSIGHT_SHARED.")
    with (folder / "labels.csv").open(newline="") as lines:
        nuclei = [row["nuclei"] for row in csv.DictReader(lines) if row["label"] != "-1"]
    patches = load_patches(folder)
    positives = np.flatnonzero(patches.labels == 1)[::3]
    for i in positives.tolist():
        mask = mask_of(patches, i)
        inside = np.asarray(Image.open(folder / nuclei[i]))[mask]
        assert len(np.unique(inside[:, 0])) == patches.tumour_nuclei[i] >= 5
    negative = int(np.flatnonzero(patches.labels == 0)[0])
    assert not mask_of(patches, negative).any()


def test_generated_tissue_has_masks_of_its_tumour_nuclei(tmp_path: Path) -> None:
    write_phantom(tmp_path, patches_per_fold=8, folds=1)
    patches = load_patches(tmp_path)
    for i, label in enumerate(patches.labels.tolist()):
        mask = mask_of(patches, i)
        assert mask.any() == (label == 1)


# Sizes.


def striped(period: int, size: int = 64) -> NDArray[np.uint8]:
    """Columns of dark and pale, each half a period wide; mean 150."""
    columns = np.where(np.arange(size) % period < period / 2, 50, 250)
    return np.broadcast_to(columns[None, :, None], (size, size, 3)).astype(np.uint8)


def write_image(path: Path, *images: NDArray[np.uint8]) -> Path:
    """Without outlines, all labelled 1."""
    path.mkdir(parents=True, exist_ok=True)
    lines = ["file,label,n_tumour_nuclei"]
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i}.png")
        lines.append(f"{i}.png,1,5")
    (path / "labels.csv").write_text("\n".join(lines) + "\n")
    return path


def test_a_smaller_size_shows_the_same_tissue_in_larger_pixels(tmp_path: Path) -> None:
    """A slow gradient survives resampling to within a grey level."""
    ramp = np.linspace(20, 230, 64)
    image = np.broadcast_to(ramp[:, None, None], (64, 64, 3)).round().astype(np.uint8)
    patches = load_patches(write_image(tmp_path, image), size=32)
    assert patches.image(0).shape == (32, 32, 3)
    assert patches.image(0).dtype == np.uint8
    expected = (ramp[0::2] + ramp[1::2]) / 2
    assert np.abs(patches.image(0)[:, 5, 1] - expected)[2:-2].max() <= 1
    assert patches.micrometres_per_pixel == 0.5
    assert patches.labels.tolist() == [1]
    assert patches.tumour_nuclei.tolist() == [5]


def test_stripes_too_fine_for_the_smaller_size_blur_to_grey(tmp_path: Path) -> None:
    """Without a filter, every second column would be taken, or a false pattern appear."""
    blurred = load_patches(write_image(tmp_path / "fine", striped(2)), size=32).image(0)
    kept = load_patches(write_image(tmp_path / "coarse", striped(16)), size=32).image(0)
    assert np.abs(blurred[:, 3:-3].astype(int) - 150).max() <= 2
    assert int(kept.max()) - int(kept.min()) > 190


def test_the_size_they_have_leaves_patches_and_digest_as_they_are(tmp_path: Path) -> None:
    folder = write_image(tmp_path, striped(4))
    as_it_is, asked_for = load_patches(folder), load_patches(folder, size=64)
    assert np.array_equal(as_it_is.image(0), asked_for.image(0))
    assert as_it_is.digest == asked_for.digest
    assert asked_for.micrometres_per_pixel == 0.25


def test_the_digest_is_of_the_resampled_pixels(tmp_path: Path) -> None:
    resampled = load_patches(write_image(tmp_path / "large", striped(16)), size=32)
    as_small = load_patches(write_image(tmp_path / "small", resampled.image(0)))
    assert resampled.digest == as_small.digest
    assert resampled.digest != load_patches(tmp_path / "large").digest


def test_masks_are_resampled_by_the_nearest_pixel(tmp_path: Path) -> None:
    folder = write_outlined(tmp_path, TUMOUR_1, TUMOUR_2)
    half, double = (mask_of(load_patches(folder, size=size)) for size in (8, 32))
    drawn = drawn_mask(TUMOUR_1, TUMOUR_2)
    assert np.array_equal(half, drawn[::2, ::2])
    assert np.array_equal(double, drawn.repeat(2, axis=0).repeat(2, axis=1))


def test_patches_of_several_sizes_are_not_brought_to_one(tmp_path: Path) -> None:
    folder = write_image(tmp_path, striped(4), striped(4, size=32))
    with pytest.raises(MlError, match=r"differ in size, .* different scales"):
        load_patches(folder, size=32)


def test_a_patch_that_is_not_square_is_not_resampled(tmp_path: Path) -> None:
    folder = write_image(tmp_path, striped(4)[:40])
    with pytest.raises(MlError, match="64 x 40 pixels, which cannot be resampled to 32 x 32"):
        load_patches(folder, size=32)
    assert load_patches(folder).image(0).shape == (40, 64, 3)
