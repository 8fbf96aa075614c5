"""Labelled patches: PanNuke folds, image folders with a labels table, and the labelling rule."""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ml.errors import MlError

CRITERION = "Tumour: 5 or more tumour cells. No tumour: no tumour cell."
TUMOUR_NUCLEI_OF_A_POSITIVE = 5
PANNUKE_MICROMETRES_PER_PIXEL = 0.25
GROUP_COLUMNS = ("patient", "slide", "tile")

Indices = Sequence[int] | NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """Where a patch came from; goes into batch.json as it is."""

    data_set: str
    fold: str
    index: int


@dataclass(frozen=True)
class Patch:
    """One labelled patch; `read` gives its pixels, (height, width, 3) RGB."""

    source: Source
    group: str
    label: int
    tumour_nuclei: int
    digest: str
    read: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Patches:
    """Labelled patches whose images stay on disk until asked for; the left out are not in it."""

    name: str
    micrometres_per_pixel: float
    entries: tuple[Patch, ...]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 tumour, 0 no tumour."""
        return np.array([p.label for p in self.entries], dtype=np.int64)

    @property
    def groups(self) -> NDArray[np.str_]:
        """What a split must not part: patient, slide or tile; if unknown, the patch itself."""
        return np.array([p.group for p in self.entries], dtype=np.str_)

    @property
    def folds(self) -> NDArray[np.str_]:
        """The data set's own folds, "" where it has none."""
        return np.array([p.source.fold for p in self.entries], dtype=np.str_)

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(p.source for p in self.entries)

    @property
    def tumour_nuclei(self) -> NDArray[np.int64]:
        """-1 where a labels table gives a label but no count."""
        return np.array([p.tumour_nuclei for p in self.entries], dtype=np.int64)

    @property
    def digest(self) -> str:
        """sha256 over pixels, labels and counts, in order; a copy elsewhere has the same one."""
        return hashlib.sha256("".join(p.digest for p in self.entries).encode()).hexdigest()

    def image(self, i: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB, read from disk."""
        return self.entries[i].read()

    def images(self, indices: Indices) -> NDArray[np.uint8]:
        """(n, height, width, 3) RGB, read from disk; MlError if they differ in size."""
        images = [self.image(int(i)) for i in indices]
        sizes = {image.shape for image in images}
        if len(sizes) != 1:
            told = ", ".join(f"{s[1]} x {s[0]}" for s in sorted(sizes)) or "no image at all"
            raise MlError(f"Images of one size are needed, but these are {told}; resize them.")
        return np.stack(images)

    def subset(self, indices: Indices) -> "Patches":
        entries = tuple(self.entries[int(i)] for i in indices)
        return Patches(self.name, self.micrometres_per_pixel, entries)


def label_by_rule(tumour_nuclei: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 for 5 or more, 0 for none, -1 (left out) for 1 to 4 and for an unknown count below 0."""
    positive = tumour_nuclei >= TUMOUR_NUCLEI_OF_A_POSITIVE
    return np.where(positive, 1, np.where(tumour_nuclei == 0, 0, -1)).astype(np.int64)


def load_patches(
    path: Path, *, tissue: str | None = None, progress: Progress | None = None
) -> Patches:
    """PanNuke folds (`Fold N/images/foldN/...`) or a folder with labels.csv.

    Without `tissue`, PanNuke folds give Breast if there is any, else everything; a folder with
    labels.csv gives everything. Every wanted patch is read once, to check and digest it.
    """
    folder = _open(path, tissue)
    patches: list[Patch] = []
    red_excess: list[float] = []
    for done, candidate in enumerate(folder.candidates, start=1):
        label, tumour_nuclei = candidate.read_truth()
        if label >= 0:
            image = candidate.read()
            red_excess.append(_red_absorbed_by_nuclei(image))
            patches.append(_patch(candidate, label, tumour_nuclei, image))
        if progress is not None:
            progress(done, len(folder.candidates))
    if not patches:
        raise MlError(f"Every patch of {path} is left out by the rule ({CRITERION}); add others.")
    _refuse_swapped_channels(path, np.array(red_excess))
    return Patches(folder.name, folder.micrometres_per_pixel, tuple(patches))


def split_holdout(
    patches: Patches, *, seed: int, share: float = 1 / 3
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of (training, held-out) patches; no group is parted.

    Two or more folds of its own: the last is held out. Else about `share` of each class is.
    """
    if not 0 < share < 1:
        raise MlError(f"The share held out must lie between 0 and 1, but is {share}; change it.")
    folds = sorted(set(patches.folds.tolist()) - {""}, key=_natural)
    held = patches.folds == folds[-1] if len(folds) > 1 else _draw_groups(patches, seed, share)
    _require_sound_split(patches, held)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _natural(fold: str) -> tuple[int, str]:
    """Sorts fold 10 after fold 9."""
    return (int(fold), "") if fold.isdecimal() else (-1, fold)


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


# What a folder offers, before any pixel is read.


@dataclass(frozen=True)
class _Candidate:
    """`read_truth` gives (label or -1 if left out, number of tumour nuclei)."""

    source: Source
    group: str
    read: Callable[[], NDArray[np.uint8]]
    read_truth: Callable[[], tuple[int, int]]


@dataclass(frozen=True)
class _Folder:
    name: str
    micrometres_per_pixel: float
    candidates: tuple[_Candidate, ...]


def _open(path: Path, tissue: str | None) -> _Folder:
    if not path.is_dir():
        raise MlError(f"There is no folder {path}; give the folder that holds the patches.")
    folds = _find_folds(path)
    if folds:
        return _open_pannuke(path, folds, tissue)
    if (path / "labels.csv").is_file():
        return _open_table(path, tissue)
    raise MlError(
        f"{path} holds neither PanNuke folds (Fold 1/images/fold1/images.npy) nor a labels.csv; "
        "give the folder that does."
    )


def _patch(
    candidate: _Candidate, label: int, tumour_nuclei: int, image: NDArray[np.uint8]
) -> Patch:
    facts = json.dumps([image.shape, label, tumour_nuclei]).encode()
    digest = hashlib.sha256(facts + image.tobytes()).hexdigest()
    return Patch(candidate.source, candidate.group, label, tumour_nuclei, digest, candidate.read)


def _wanted(path: Path, tissues: Iterable[str], tissue: str | None) -> Callable[[str], bool]:
    if tissue is None:
        return lambda _: True
    present = set(tissues)
    if tissue not in present:
        known = ", ".join(sorted(present))
        raise MlError(f"{path} holds no {tissue} patches; choose from: {known}.")
    return lambda name: name == tissue


# PanNuke folds.


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


def _find_folds(path: Path) -> dict[str, Path]:
    """Fold number to folder: `Fold 1`, `fold1`, and `Fold 1/Fold 1` as unpacked from the zips."""
    found = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        match = re.fullmatch(r"fold[ _-]?(\d+)", folder.name, flags=re.IGNORECASE)
        if match:
            nested = folder / folder.name
            found[match[1]] = nested if nested.is_dir() else folder
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _open_pannuke(path: Path, folders: dict[str, Path], tissue: str | None) -> _Folder:
    folds = [_open_fold(number, folder) for number, folder in folders.items()]
    tissues = {name for fold in folds for name in fold.tissues}
    if tissue is None and "Breast" in tissues:
        tissue = "Breast"
    data_set, micrometres_per_pixel = _origin(path)
    wanted = _wanted(path, tissues, tissue)
    candidates = tuple(
        _Candidate(
            Source(data_set, fold.number, i),
            f"fold {fold.number} patch {i}",
            partial(_read_pixels, fold.images, i),
            partial(_read_mask_truth, fold.masks, i),
        )
        for fold in folds
        for i, name in enumerate(fold.tissues)
        if wanted(name)
    )
    return _Folder(f"{data_set} {tissue or ''}".strip(), micrometres_per_pixel, candidates)


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


def _read_mask_truth(rows: _Rows, i: int) -> tuple[int, int]:
    """Channel 0 is neoplastic; each nucleus has an id of its own."""
    neoplastic = _whole_numbers(rows, i, rows.row(i)[..., 0])
    tumour_nuclei = len(np.unique(neoplastic[neoplastic > 0]))
    return int(label_by_rule(np.array(tumour_nuclei))), tumour_nuclei


def _whole_numbers(rows: _Rows, i: int, values: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(values).all():
        raise MlError(f"Row {i} of {rows.path} holds NaN or infinity; download it again.")
    if values.min() < 0 or not np.equal(np.trunc(values), values).all():
        raise MlError(
            f"Row {i} of {rows.path} holds values that are negative or not whole; "
            "give PanNuke's own files, not scaled ones."
        )
    return values


# Image folders with a labels table.


def _open_table(path: Path, tissue: str | None) -> _Folder:
    rows = _read_table(path / "labels.csv")
    if tissue is not None and "organ" not in rows[0]:
        raise MlError(f"{path}/labels.csv has no column organ to find {tissue} in; add it.")
    wanted = _wanted(path, (row.get("organ", "") for row in rows), tissue)
    candidates = tuple(
        _table_candidate(path, number, row)
        for number, row in enumerate(rows)
        if wanted(row.get("organ", ""))
    )
    return _Folder(path.resolve().name, PANNUKE_MICROMETRES_PER_PIXEL, candidates)


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


def _table_candidate(folder: Path, number: int, row: dict[str, str]) -> _Candidate:
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
    return _Candidate(source, group, partial(_read_png, file), lambda: (label, tumour_nuclei))


def _read_png(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as opened:
            # Pillow shows 16-bit RGB as RGB too; only the raw mode of the file tells them apart.
            if opened.format != "PNG" or opened.tile[0].args != "RGB":
                raise MlError(f"{path} is not an 8-bit RGB PNG; convert it.")
            return np.array(opened)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise MlError(f"{path} cannot be read ({error}); replace it by an RGB PNG.") from None


# Red and blue the wrong way round.


def _red_absorbed_by_nuclei(image: NDArray[np.uint8]) -> float:
    """How much more of red, against blue, the darkest tissue absorbs than the palest half.

    Haematoxylin takes out red, eosin does not, so this is positive in RGB and negative if red and
    blue are swapped: the median is 0.07 over 407 colon patches and 0.14 over 11 of PanNuke; of them
    99% and 100% are positive. Whether red is above blue overall differs between scanners.
    NaN where there is next to no tissue.
    """
    density = -np.log((image[::2, ::2].reshape(-1, 3) + 1.0) / 256)
    total = density.sum(axis=1)
    tissue = total > 0.45
    if tissue.mean() < 0.02:
        return float("nan")
    total = total[tissue]
    excess = (density[tissue, 0] - density[tissue, 2]) / total
    nuclei = total >= np.quantile(total, 0.9)
    pale = total <= np.median(total)
    return float(excess[nuclei].mean() - excess[pale].mean())


def _refuse_swapped_channels(path: Path, red_excess: NDArray[np.float64]) -> None:
    """Only where the set as a whole leaves no doubt."""
    told = red_excess[~np.isnan(red_excess)]
    if len(told) >= 5 and (told < 0).mean() > 0.9 and np.median(told) < -0.03:
        raise MlError(f"The images of {path} have red and blue swapped; swap them back to RGB.")
