"""PanNuke folds, as unpacked: `Fold N/images/foldN/...` and `Fold N/masks/foldN/...`."""

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.candidates import Candidate, Folder, wanted_tissue
from ml.data.patches import Source, label_by_rule, natural_order
from ml.errors import MlError

PANNUKE_MICROMETRES_PER_PIXEL = 0.25


@dataclass(frozen=True)
class _Rows:
    """A .npy file read row by row.

    Rows are read by offset instead of mapped, because the pages of a mapped file count as memory
    in use, and a fold's masks are 8 GB.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    def row(self, i: int) -> NDArray[Any]:
        count = int(np.prod(self.shape[1:]))
        offset = self.offset + i * count * self.dtype.itemsize
        flat = np.fromfile(self.path, dtype=self.dtype, count=count, offset=offset)
        return flat.reshape(self.shape[1:])


@dataclass(frozen=True)
class _Fold:
    number: str
    images: _Rows
    masks: _Rows
    tissues: tuple[str, ...]


def find_folds(path: Path) -> dict[str, Path]:
    """Fold number to folder: `Fold 1`, `fold1`, and `Fold 1/Fold 1` as unpacked from the zips."""
    found = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        match = re.fullmatch(r"fold[ _-]?(\d+)", folder.name, flags=re.IGNORECASE)
        if match:
            nested = folder / folder.name
            found[match[1]] = nested if nested.is_dir() else folder
    return dict(sorted(found.items(), key=lambda item: natural_order(item[0])))


def open_pannuke(path: Path, folders: dict[str, Path], tissue: str | None) -> Folder:
    folds = [_open_fold(number, folder) for number, folder in folders.items()]
    tissues = {name for fold in folds for name in fold.tissues}
    if tissue is None and "Breast" in tissues:
        tissue = "Breast"
    data_set, micrometres_per_pixel = _origin(path)
    wanted = wanted_tissue(path, tissues, tissue)
    candidates = tuple(
        Candidate(
            Source(data_set, fold.number, i),
            f"fold {fold.number} patch {i}",
            partial(_read_pixels, fold.images, i),
            partial(_read_truth, fold.masks, i),
            partial(_read_tumour_mask, fold.masks, i),
        )
        for fold in folds
        for i, name in enumerate(fold.tissues)
        if wanted(name)
    )
    return Folder(f"{data_set} {tissue or ''}".strip(), micrometres_per_pixel, candidates)


def _origin(path: Path) -> tuple[str, float]:
    """Name and micrometres per pixel; generated tissue says so in its phantom.json."""
    described = path / "phantom.json"
    if not described.is_file():
        return "PanNuke", PANNUKE_MICROMETRES_PER_PIXEL
    try:
        settings = json.loads(described.read_text("utf-8"))
        return str(settings["name"]), float(settings["micrometres_per_pixel"])
    except (ValueError, KeyError, TypeError) as error:
        raise MlError(f"{described} cannot be read ({error}); generate the phantom anew.") from None


def _open_fold(number: str, folder: Path) -> _Fold:
    images = _open_rows(folder / f"images/fold{number}/images.npy", channels=3)
    masks = _open_rows(folder / f"masks/fold{number}/masks.npy", channels=6)
    types = _load_npy(folder / f"images/fold{number}/types.npy")
    if types.ndim != 1 or types.dtype.kind != "U":
        raise MlError(f"{folder}/images/fold{number}/types.npy is no list of names; download it.")
    counts = {"images": images.shape[0], "masks": masks.shape[0], "types": len(types)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{n} {what}" for what, n in counts.items())
        raise MlError(f"{folder} holds unequal numbers ({told}); download this fold again.")
    if images.shape[1:3] != masks.shape[1:3]:
        raise MlError(
            f"In {folder} images are {images.shape[1:3]} and masks {masks.shape[1:3]} pixels; "
            "download this fold again."
        )
    return _Fold(number, images, masks, tuple(str(name) for name in types))


def _open_rows(path: Path, *, channels: int) -> _Rows:
    array = _load_npy(path)
    if array.ndim != 4 or array.shape[3] != channels:
        raise MlError(
            f"{path} has shape {array.shape}, not (n, height, width, {channels}); "
            "give PanNuke's own files."
        )
    if array.dtype.kind not in "fiu" or not array.flags.c_contiguous:
        raise MlError(f"{path} holds no plain numbers in C order; give PanNuke's own files.")
    return _Rows(path, array.shape, array.dtype, array.offset)


def _load_npy(path: Path) -> "np.memmap[Any, np.dtype[Any]]":
    """Maps the file, so that only its header is read."""
    if not path.is_file():
        raise MlError(f"{path} is missing; complete this fold, or move it out of the way.")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise MlError(f"{path} is damaged ({error}); download it again.") from None


def _read_pixels(rows: _Rows, i: int) -> NDArray[np.uint8]:
    image = _whole_numbers(rows, i, rows.row(i))
    if image.max() > 255:
        raise MlError(
            f"Image {i} of {rows.path} has values above 255; give 8-bit images (0 to 255)."
        )
    return image.astype(np.uint8)


def _read_truth(rows: _Rows, i: int) -> tuple[int, int]:
    neoplastic = _read_neoplastic(rows, i)
    tumour_nuclei = len(np.unique(neoplastic[neoplastic > 0]))
    return int(label_by_rule(np.array(tumour_nuclei))), tumour_nuclei


def _read_tumour_mask(rows: _Rows, i: int) -> NDArray[np.bool_]:
    return np.asarray(_read_neoplastic(rows, i) > 0)


def _read_neoplastic(rows: _Rows, i: int) -> NDArray[Any]:
    """Channel 0; each nucleus has an id of its own."""
    return _whole_numbers(rows, i, rows.row(i)[..., 0])


def _whole_numbers(rows: _Rows, i: int, values: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(values).all():
        raise MlError(f"Row {i} of {rows.path} holds NaN or infinity; download it again.")
    if values.min() < 0 or not np.equal(np.trunc(values), values).all():
        raise MlError(
            f"Row {i} of {rows.path} holds values that are negative or not whole; "
            "give PanNuke's own files, not scaled ones."
        )
    return values
