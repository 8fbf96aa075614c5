"""Labelled patches and the labelling rule."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError

CRITERION = "Tumour: 5 or more tumour cells. No tumour: no tumour cell."
TUMOUR_NUCLEI_OF_A_POSITIVE = 5

Indices = Sequence[int] | NDArray[np.int64]
Progress = Callable[[int, int], None]
ReadPixels = Callable[[], NDArray[np.uint8]]
ReadMask = Callable[[], NDArray[np.bool_]]


@dataclass(frozen=True)
class Source:
    """Where a patch came from; goes into batch.json as it is."""

    data_set: str
    fold: str
    index: int

    @property
    def case(self) -> str:
        """Names the patch within its data set: fold and index, or the index alone."""
        return f"{self.fold}/{self.index}" if self.fold else str(self.index)


@dataclass(frozen=True)
class Patch:
    """One labelled patch; `read` gives its pixels, (height, width, 3) RGB.

    `read_tumour_mask` gives (height, width), true inside tumour nuclei, where these are outlined.
    """

    source: Source
    group: str
    label: int
    tumour_nuclei: int
    digest: str
    read: ReadPixels
    read_tumour_mask: ReadMask | None = None


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

    def tumour_mask(self, i: int) -> NDArray[np.bool_] | None:
        """(height, width), true inside tumour nuclei; None where nobody outlined them."""
        read = self.entries[i].read_tumour_mask
        return None if read is None else read()

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


def natural_order(fold: str) -> tuple[int, str]:
    """Sorts fold 10 after fold 9."""
    return (int(fold), "") if fold.isdecimal() else (-1, fold)
