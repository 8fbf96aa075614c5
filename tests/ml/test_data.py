"""Patches are loaded, labelled, checked and split as docs and PanNuke's papers say."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.data import Source, label_by_rule, load_patches
from ml.errors import MlError
from ml.phantom import write_phantom

ROOT = Path(__file__).parents[2]
SIZE = 16


def nuclei_masks(*counts: int, dtype: str = "int16") -> NDArray[Any]:
    """One patch a count, with that many one-pixel tumour nuclei and one other nucleus."""
    masks = np.zeros((len(counts), SIZE, SIZE, 6), dtype)
    for patch, count in zip(masks, counts, strict=True):
        patch[0, :count, 0] = np.arange(1, count + 1) * 3
        patch[4:8, 4:8, 4] = 200
        patch[..., 5] = patch[..., :5].max(axis=-1) == 0
    return masks


def grey_images(count: int, dtype: str = "uint8") -> NDArray[Any]:
    """Each of another grey."""
    greys = np.arange(count).reshape(-1, 1, 1, 1) + 100
    return np.broadcast_to(greys, (count, SIZE, SIZE, 3)).astype(dtype)


def write_fold(
    path: Path,
    masks: NDArray[Any],
    *,
    images: NDArray[Any] | None = None,
    types: Sequence[str] | None = None,
    number: int = 1,
    folder: str = "Fold 1",
) -> Path:
    for what in ("images", "masks"):
        (path / folder / what / f"fold{number}").mkdir(parents=True)
    of_images = path / folder / f"images/fold{number}"
    np.save(of_images / "images.npy", grey_images(len(masks)) if images is None else images)
    np.save(of_images / "types.npy", np.array(types or ["Breast"] * len(masks)))
    np.save(path / folder / f"masks/fold{number}/masks.npy", masks)
    return path


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder with labels.csv and a grey PNG for each row's file."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / "labels.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for row, image in zip(rows, grey_images(len(rows)), strict=True):
        Image.fromarray(image).save(path / str(row.get("file", "unnamed.png")))
    return path


def rows_with(*counts: int, **columns: Any) -> list[dict[str, Any]]:
    labels = label_by_rule(np.array(counts))
    return [
        {"file": f"{i}.png", "label": label, "n_tumour_nuclei": count, **columns}
        for i, (count, label) in enumerate(zip(counts, labels, strict=True))
    ]


def real_folders(tmp_path: Path, shared: Path) -> list[Path]:
    """Folders of real tissue; where these are not at hand, one of generated tissue."""
    real = [shared / "data" / name for name in ("consep_colon", "pannuke_breast")]
    if all(folder.is_dir() for folder in real):
        return real
    write_phantom(tmp_path / "phantom", patches_per_fold=12, folds=1)
    phantom = load_patches(tmp_path / "phantom")
    rows = rows_with(*phantom.tumour_nuclei.tolist())
    folder = write_table(tmp_path / "table", rows)
    for i, row in enumerate(rows):
        Image.fromarray(phantom.image(i)).save(folder / row["file"])
    return [folder]


# The rule.


def test_five_tumour_nuclei_are_a_positive_and_none_a_negative() -> None:
    assert label_by_rule(np.array([0, 5, 6, 300])).tolist() == [0, 1, 1, 1]


def test_a_patch_with_one_to_four_or_unknown_tumour_nuclei_is_left_out() -> None:
    assert label_by_rule(np.array([1, 2, 3, 4, -1])).tolist() == [-1] * 5


def test_the_rule_gives_the_numbers_of_the_paper(shared: Path) -> None:
    table = shared / "data/pannuke_counts/pannuke_nucleus_counts.csv"
    if not table.is_file():
        pytest.skip(f"PanNuke's nucleus counts are not at {table}; set PLAINSIGHT_SHARED.")
    with table.open(newline="") as lines:
        breast = [row for row in csv.DictReader(lines) if row["tissue"] == "Breast"]
    labels = label_by_rule(np.array([int(row["neoplastic"]) for row in breast]))
    folds = np.array([row["fold"] for row in breast])
    assert [
        (int((labels[folds == fold] == 1).sum()), int((labels[folds == fold] == 0).sum()))
        for fold in "123"
    ] == [(436, 285), (343, 298), (378, 295)]
    assert [int((labels == label).sum()) for label in (1, 0)] == [1157, 878]


# PanNuke folds.


@pytest.mark.parametrize("dtype", ["float64", "int16", "uint8"])
def test_counts_labels_and_sources_come_from_the_masks(tmp_path: Path, dtype: str) -> None:
    masks = nuclei_masks(0, 3, 5, 9, dtype=dtype)
    write_fold(tmp_path, masks, images=grey_images(4, "float64"))
    patches = load_patches(tmp_path)
    assert patches.tumour_nuclei.tolist() == [0, 5, 9]
    assert patches.labels.tolist() == [0, 1, 1]
    assert patches.sources == tuple(Source("PanNuke", "1", i) for i in (0, 2, 3))
    assert patches.micrometres_per_pixel == 0.25
    assert [int(patches.image(i)[3, 3, 1]) for i in range(3)] == [100, 102, 103]
    assert patches.images([2, 0]).shape == (2, SIZE, SIZE, 3)
    assert patches.images([2, 0]).dtype == np.uint8


def test_counts_of_real_breast_patches_equal_those_published(tmp_path: Path, shared: Path) -> None:
    source = shared / "data/pannuke_breast"
    if source.is_dir():
        converter = shared / "data/to_pannuke_layout.py"
        subprocess.run([sys.executable, converter, source, tmp_path], check=True)
        with (source / "labels.csv").open(newline="") as lines:
            published = [int(row["n_tumour_nuclei"]) for row in csv.DictReader(lines)]
        expected = [n for n in published if n == 0 or n >= 5]
    else:
        write_phantom(tmp_path, patches_per_fold=8, folds=1)
        masks = np.load(tmp_path / "Fold 1/masks/fold1/masks.npy")
        counts = [len(set(mask[..., 0].ravel().tolist()) - {0}) for mask in masks]
        expected = [n for n in counts if n == 0 or n >= 5]
    assert load_patches(tmp_path).tumour_nuclei.tolist() == expected


@pytest.mark.parametrize("folder", ["Fold 2", "fold2", "Fold_2", "Fold 2/Fold 2"])
def test_the_spellings_of_a_fold_are_all_understood(tmp_path: Path, folder: str) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5), number=2, folder=folder)
    assert load_patches(tmp_path).folds.tolist() == ["2", "2"]


def test_breast_is_taken_where_there_is_any(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5, 6), types=["Breast", "Colon", "Breast"])
    assert [source.index for source in load_patches(tmp_path).sources] == [0, 2]
    assert [source.index for source in load_patches(tmp_path, tissue="Colon").sources] == [1]


def test_everything_is_taken_where_there_is_no_breast(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5), types=["Lung", "Colon"])
    assert len(load_patches(tmp_path)) == 2


def test_a_tissue_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5), types=["Lung", "Colon"])
    with pytest.raises(MlError, match="no Skin patches; choose from: Colon, Lung"):
        load_patches(tmp_path, tissue="Skin")


def test_progress_is_told_for_every_patch_looked_at(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 2, 5))
    told: list[tuple[int, int]] = []
    load_patches(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


READ_AND_TELL_PEAK = """
import sys
from pathlib import Path
from ml.data import load_patches
patches = load_patches(Path(sys.argv[1]))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(len(patches), int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="The peak is read from Linux's /proc.")
def test_a_fold_of_eight_gigabytes_is_read_in_less_than_one(tmp_path: Path) -> None:
    """The files are sparse, so they take no room; one patch in eight is 1.6 GB to read.

    The peak is not asked of getrusage, which counts what the parent used before it started this.
    """
    write_fold(tmp_path, nuclei_masks(0))
    shape = (2656, 256, 256)
    for file, channels in (
        ("Fold 1/masks/fold1/masks.npy", 6),
        ("Fold 1/images/fold1/images.npy", 3),
    ):
        np.lib.format.open_memmap(tmp_path / file, "w+", np.float64, (*shape, channels))
    types = np.where(np.arange(shape[0]) % 8 == 0, "Breast", "Colon")
    np.save(tmp_path / "Fold 1/images/fold1/types.npy", types)
    told = subprocess.run(
        [sys.executable, "-c", READ_AND_TELL_PEAK, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    count, peak_megabytes = (int(word) for word in told.stdout.split())
    assert count == 332
    assert peak_megabytes < 1024


# What is wrong with a fold.


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match="no folder"):
        load_patches(tmp_path / "nowhere")


def test_a_folder_of_neither_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match=r"neither PanNuke folds .* nor a labels\.csv"):
        load_patches(tmp_path)


@pytest.mark.parametrize(
    "file", ["images/fold1/images.npy", "images/fold1/types.npy", "masks/fold1/masks.npy"]
)
def test_a_missing_or_damaged_file_of_a_fold_is_named(tmp_path: Path, file: str) -> None:
    whole = write_fold(tmp_path, nuclei_masks(0, 5)) / "Fold 1" / file
    content = whole.read_bytes()
    for damaged in (content[:-1], b"", b"<html>Not found</html>"):
        whole.write_bytes(damaged)
        with pytest.raises(MlError, match=f"{file} is damaged"):
            load_patches(tmp_path)
    whole.unlink()
    with pytest.raises(MlError, match=f"{file} is missing"):
        load_patches(tmp_path)


def test_masks_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5)[..., :5])
    with pytest.raises(MlError, match=r"masks\.npy has shape \(2, 16, 16, 5\)"):
        load_patches(tmp_path)


def test_masks_of_another_size_than_the_images_are_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5)[:, :8])
    with pytest.raises(MlError, match=r"images are \(16, 16\) and masks \(8, 16\)"):
        load_patches(tmp_path)


def test_unequal_numbers_of_images_masks_and_types_are_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(0, 5), images=grey_images(3))
    with pytest.raises(MlError, match="3 images, 2 masks, 2 types"):
        load_patches(tmp_path)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (256.0, "above 255"),
        (-1.0, "negative or not whole"),
        (0.5, "negative or not whole"),
        (np.nan, "NaN"),
        (np.inf, "NaN or infinity"),
    ],
)
def test_pixels_that_are_no_8_bit_values_are_refused(
    tmp_path: Path, value: float, complaint: str
) -> None:
    images = grey_images(2, "float64")
    images[1, 2, 3, 0] = value
    write_fold(tmp_path, nuclei_masks(0, 5), images=images)
    with pytest.raises(MlError, match=complaint):
        load_patches(tmp_path)


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
def test_masks_that_are_no_ids_are_refused(tmp_path: Path, value: float) -> None:
    masks = nuclei_masks(0, 5, dtype="float64")
    masks[1, 2, 3, 0] = value
    write_fold(tmp_path, masks)
    with pytest.raises(MlError, match=r"Row 1 of .*masks\.npy"):
        load_patches(tmp_path)


def test_a_folder_of_which_everything_is_left_out_is_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, nuclei_masks(1, 4))
    with pytest.raises(MlError, match="left out by the rule"):
        load_patches(tmp_path)


# Folders with labels.csv.


def test_a_labels_table_gives_group_fold_and_index(tmp_path: Path) -> None:
    rows = rows_with(7, 2, 0, tile="a", fold="3", fold_index=41)
    patches = load_patches(write_table(tmp_path / "colon", rows))
    assert patches.labels.tolist() == [1, 0]
    assert patches.tumour_nuclei.tolist() == [7, 0]
    assert patches.sources[0] == Source("colon", "3", 41)
    assert patches.groups.tolist() == ["tile a"] * 2
    assert int(patches.image(1)[0, 0, 0]) == 102


def test_without_a_group_column_each_patch_is_its_own_group(tmp_path: Path) -> None:
    patches = load_patches(write_table(tmp_path, rows_with(7, 2, 0, 0)))
    assert len(set(patches.groups.tolist())) == len(patches) == 3
    assert [source.index for source in patches.sources] == [0, 2, 3]
    assert patches.folds.tolist() == ["", "", ""]


def test_a_patient_goes_before_a_tile_as_a_group(tmp_path: Path) -> None:
    rows = rows_with(7, 0, tile="a", patient="b")
    assert set(load_patches(write_table(tmp_path, rows)).groups.tolist()) == {"patient b"}


def test_a_tissue_is_chosen_by_the_column_organ(tmp_path: Path) -> None:
    rows = [*rows_with(7, organ="Colon"), *rows_with(0, organ="Skin")]
    rows[1]["file"] = "1.png"
    write_table(tmp_path, rows)
    assert load_patches(tmp_path, tissue="Skin").labels.tolist() == [0]
    assert len(load_patches(tmp_path)) == 2
    with pytest.raises(MlError, match="choose from: Colon, Skin"):
        load_patches(tmp_path, tissue="Breast")


def test_a_tissue_cannot_be_chosen_without_the_column_organ(tmp_path: Path) -> None:
    write_table(tmp_path, rows_with(7, 0))
    with pytest.raises(MlError, match="no column organ"):
        load_patches(tmp_path, tissue="Breast")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    write_table(tmp_path, [{"file": "0.png", "organ": "Colon"}])
    with pytest.raises(MlError, match="lacks the column label and n_tumour_nuclei"):
        load_patches(tmp_path)


@pytest.mark.parametrize(("label", "nuclei"), [(1, 4), (0, 1), (0, 5), (-1, 0), (2, -1)])
def test_a_label_that_contradicts_the_rule_is_refused(
    tmp_path: Path, label: int, nuclei: int
) -> None:
    rows = [{"file": "0.png", "label": label, "n_tumour_nuclei": nuclei}]
    with pytest.raises(MlError, match=rf"0\.png label {label} with {nuclei} tumour nuclei"):
        load_patches(write_table(tmp_path, rows))


@pytest.mark.parametrize("column", ["label", "n_tumour_nuclei", "fold_index"])
def test_a_cell_that_is_no_number_is_refused(tmp_path: Path, column: str) -> None:
    rows = rows_with(7, fold_index=1)
    rows[0][column] = "many"
    with pytest.raises(MlError, match=r"labels\.csv, 0\.png: .*many"):
        load_patches(write_table(tmp_path, rows))


def test_a_table_with_no_lines_or_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, rows_with(7)) / "labels.csv"
    table.write_text("file,label,n_tumour_nuclei\n")
    with pytest.raises(MlError, match="lists no patch"):
        load_patches(tmp_path)
    table.write_bytes(b"file,label,n_tumour_nuclei\n\xff.png,1,7\n")
    with pytest.raises(MlError, match="UTF-8"):
        load_patches(tmp_path)


def test_a_file_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match=r"0\.png more than once"):
        load_patches(write_table(tmp_path, rows_with(7) * 2))


def test_a_listed_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (write_table(tmp_path, rows_with(7, 0)) / "1.png").unlink()
    with pytest.raises(MlError, match=r"1\.png is listed in labels\.csv but missing"):
        load_patches(tmp_path)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_an_image_that_is_not_rgb_is_refused(tmp_path: Path, mode: str) -> None:
    write_table(tmp_path, rows_with(7, 0))
    Image.new(mode, (SIZE, SIZE)).save(tmp_path / "1.png")
    with pytest.raises(MlError, match=r"1\.png is not an 8-bit RGB PNG"):
        load_patches(tmp_path)


def test_an_image_with_lossy_compression_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, rows_with(7, 0))
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "1.png", format="JPEG")
    with pytest.raises(MlError, match=r"1\.png is not an 8-bit RGB PNG"):
        load_patches(tmp_path)


def test_a_damaged_image_is_refused(tmp_path: Path) -> None:
    damaged = write_table(tmp_path, rows_with(7, 0)) / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.raises(MlError, match=r"1\.png cannot be read"):
        load_patches(tmp_path)


# Red and blue.


def swap_red_and_blue(source: Path, out: Path) -> Path:
    """A copy, of at most a hundred patches."""
    out.mkdir()
    with (source / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows = rows[:: len(rows) // 100 + 1]
    with (out / "labels.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        (out / row["file"]).parent.mkdir(exist_ok=True)
        swapped = np.asarray(Image.open(source / row["file"]))[..., ::-1]
        Image.fromarray(np.ascontiguousarray(swapped)).save(out / row["file"], compress_level=1)
    return out


def test_real_tissue_is_taken_for_rgb_and_refused_if_swapped(tmp_path: Path, shared: Path) -> None:
    for number, folder in enumerate(real_folders(tmp_path, shared)):
        assert len(load_patches(folder)) > 0
        swapped = swap_red_and_blue(folder, tmp_path / f"swapped {number}")
        with pytest.raises(MlError, match="red and blue swapped"):
            load_patches(swapped)


def test_generated_tissue_is_refused_if_red_and_blue_are_swapped(tmp_path: Path) -> None:
    write_phantom(tmp_path / "phantom", patches_per_fold=12, folds=1)
    file = tmp_path / "phantom/Fold 1/images/fold1/images.npy"
    np.save(file, np.ascontiguousarray(np.load(file)[..., ::-1]))
    with pytest.raises(MlError, match="red and blue swapped"):
        load_patches(tmp_path / "phantom")


# The digest, subsets and stacks.


def test_a_copy_elsewhere_in_another_type_has_the_same_digest(tmp_path: Path) -> None:
    masks = nuclei_masks(0, 3, 5)
    small = write_fold(tmp_path / "small", masks)
    large = write_fold(
        tmp_path / "large", masks.astype("float64"), images=grey_images(3, "float64")
    )
    assert load_patches(small).digest == load_patches(large).digest
    assert len(load_patches(small).digest) == 64


def test_one_pixel_or_one_nucleus_changes_the_digest(tmp_path: Path) -> None:
    images = grey_images(2)
    images[1, 3, 3, 2] += 1
    folders = [
        write_fold(tmp_path / "a", nuclei_masks(0, 5)),
        write_fold(tmp_path / "b", nuclei_masks(0, 5), images=images),
        write_fold(tmp_path / "c", nuclei_masks(0, 6)),
        write_fold(tmp_path / "d", nuclei_masks(5, 0)),
    ]
    assert len({load_patches(folder).digest for folder in folders}) == 4


def test_a_left_out_patch_does_not_change_the_digest(tmp_path: Path) -> None:
    images = grey_images(3)
    write_fold(tmp_path / "a", nuclei_masks(0, 5), images=images[:2])
    write_fold(tmp_path / "b", nuclei_masks(0, 5, 2), images=images)
    assert load_patches(tmp_path / "a").digest == load_patches(tmp_path / "b").digest


def test_a_subset_keeps_everything_about_its_patches(tmp_path: Path) -> None:
    patches = load_patches(write_table(tmp_path, rows_with(7, 0, 9, 0)))
    subset = patches.subset([2, 1])
    assert subset.tumour_nuclei.tolist() == [9, 0]
    assert [source.index for source in subset.sources] == [2, 1]
    assert int(subset.image(0)[0, 0, 0]) == 102
    assert subset.digest == patches.subset(np.array([2, 1])).digest
    assert subset.digest != patches.digest


def test_images_of_unequal_size_are_not_stacked(tmp_path: Path) -> None:
    write_table(tmp_path, rows_with(7, 0))
    Image.new("RGB", (SIZE + 4, SIZE)).save(tmp_path / "1.png")
    with pytest.raises(MlError, match="16 x 16, 20 x 16; resize"):
        load_patches(tmp_path).images([0, 1])
