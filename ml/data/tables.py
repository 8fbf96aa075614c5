"""Image folders with a labels table."""

import csv
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ml.data.candidates import Candidate, Folder, wanted_tissue
from ml.data.patches import ReadMask, Source, label_by_rule
from ml.errors import MlError

GROUP_COLUMNS = ("patient", "slide", "tile")
MICROMETRES_PER_PIXEL = 0.25
PANNUKE_NEOPLASTIC = 1
CONSEP_EPITHELIUM = 3


def open_table(path: Path, tissue: str | None) -> Folder:
    rows = _read_table(path / "labels.csv")
    if tissue is not None and "organ" not in rows[0]:
        raise MlError(f"{path}/labels.csv has no column organ to find {tissue} in; add it.")
    wanted = wanted_tissue(path, (row.get("organ", "") for row in rows), tissue)
    candidates = tuple(
        _table_candidate(path, number, row)
        for number, row in enumerate(rows)
        if wanted(row.get("organ", ""))
    )
    return Folder(path.resolve().name, MICROMETRES_PER_PIXEL, candidates)


def _read_table(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, restval="", restkey="beyond the header"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MlError(f"{table} cannot be read ({error}); save it as CSV in UTF-8.") from None
    if not rows:
        raise MlError(f"{table} lists no patch; add one line a patch.")
    missing = [name for name in ("file", "label", "n_tumour_nuclei") if name not in rows[0]]
    if missing:
        raise MlError(f"{table} lacks the column {' and '.join(missing)}; add it.")
    twice = [file for file, n in Counter(row["file"] for row in rows).items() if n > 1]
    if twice:
        raise MlError(f"{table} lists {twice[0]} more than once; keep one line a patch.")
    return rows


def _table_candidate(folder: Path, number: int, row: dict[str, str]) -> Candidate:
    file = folder / row["file"]
    try:
        label, tumour_nuclei = int(row["label"]), int(row["n_tumour_nuclei"])
        index = int(row.get("fold_index") or number)
    except ValueError as error:
        raise MlError(f"{folder}/labels.csv, {row['file']}: {error}; correct this line.") from None
    by_rule = int(label_by_rule(np.array(tumour_nuclei)))
    if label not in {-1, 0, 1} or (tumour_nuclei >= 0 and label != by_rule):
        raise MlError(
            f"{folder}/labels.csv gives {row['file']} label {label} with {tumour_nuclei} tumour "
            f"nuclei, where the rule gives {by_rule}; correct this line."
        )
    if not file.is_file():
        raise MlError(f"{file} is listed in labels.csv but missing; add it or drop its line.")
    group = next((f"{c} {row[c]}" for c in GROUP_COLUMNS if row.get(c)), row["file"])
    source = Source(folder.resolve().name, row.get("fold", ""), index)
    read_mask = _tumour_mask_reader(folder, row, file, tumour_nuclei)
    return Candidate(
        source, group, partial(_read_png, file), lambda: (label, tumour_nuclei), read_mask
    )


def _tumour_mask_reader(
    folder: Path, row: dict[str, str], image: Path, tumour_nuclei: int
) -> ReadMask | None:
    if not row.get("nuclei"):
        return None
    code = _tumour_code(folder, row)
    return partial(_read_tumour_mask, folder / row["nuclei"], image, code, tumour_nuclei)


def _tumour_code(folder: Path, row: dict[str, str]) -> int | None:
    """Green of a tumour nucleus; None if no nucleus of this patch is one.

    CoNSeP tells epithelium (3) and, for the whole tile, whether that is tumour; PanNuke's first
    class is neoplastic.
    """
    if "tumour_code" in row:
        try:
            return int(row["tumour_code"])
        except ValueError as error:
            told = f"{folder}/labels.csv, {row['file']}: {error}; correct this line."
            raise MlError(told) from None
    if "tile_epithelium" in row:
        return CONSEP_EPITHELIUM if row["tile_epithelium"] == "tumour" else None
    return PANNUKE_NEOPLASTIC


def _read_tumour_mask(
    file: Path, image: Path, code: int | None, tumour_nuclei: int
) -> NDArray[np.bool_]:
    """Red tells which nucleus, green of which class."""
    outlines = _read_png(file)
    with Image.open(image) as opened:
        width, height = opened.size
    if outlines.shape[:2] != (height, width):
        raise MlError(
            f"{file} is {outlines.shape[1]} x {outlines.shape[0]} pixels, but {image} "
            f"{width} x {height}; give outlines of the same size."
        )
    of_class = np.zeros(outlines.shape[:2], np.bool_) if code is None else outlines[..., 1] == code
    mask = np.asarray(of_class & (outlines[..., 0] > 0))
    outlined = len(np.unique(outlines[..., 0][mask]))
    if tumour_nuclei not in {-1, outlined}:
        raise MlError(
            f"{file} outlines {outlined} tumour nuclei, but labels.csv counts {tumour_nuclei}; "
            "correct one of them, or give the class code as tumour_code."
        )
    return mask


def _read_png(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as opened:
            # Pillow shows 16-bit RGB as RGB too; only the raw mode of the file tells them apart.
            if opened.format != "PNG" or opened.tile[0].args != "RGB":
                raise MlError(f"{path} is not an 8-bit RGB PNG; convert it.")
            return np.array(opened)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise MlError(f"{path} cannot be read ({error}); replace it by an RGB PNG.") from None
