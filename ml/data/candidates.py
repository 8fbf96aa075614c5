"""What a folder offers, before any pixel is read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ml.data.patches import ReadMask, ReadPixels, Source
from ml.errors import MlError


@dataclass(frozen=True)
class Candidate:
    """`read_truth` gives (label or -1 if left out, number of tumour nuclei).

    `read_tumour_mask` is None where nuclei are not outlined.
    """

    source: Source
    group: str
    read: ReadPixels
    read_truth: Callable[[], tuple[int, int]]
    read_tumour_mask: ReadMask | None


@dataclass(frozen=True)
class Folder:
    name: str
    micrometres_per_pixel: float
    candidates: tuple[Candidate, ...]


def wanted_tissue(path: Path, tissues: Iterable[str], tissue: str | None) -> Callable[[str], bool]:
    """Whether a tissue of this name is asked for; refuses one that no patch has."""
    if tissue is None:
        return lambda _: True
    present = set(tissues)
    if tissue not in present:
        known = ", ".join(sorted(present))
        raise MlError(f"{path} holds no {tissue} patches; choose from: {known}.")
    return lambda name: name == tissue
