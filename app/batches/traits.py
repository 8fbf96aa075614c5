"""What tells one delivered file from another besides what it is meant to show."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.batches.domain import Pixels
from app.batches.png import COLOUR_CHUNKS, CRITICAL, SIGNATURE, read_chunks

FILTERS = ("none", "sub", "up", "average", "Paeth")
GRID = 8
SMALLEST_FOR_GRID = 3 * GRID

Profile = NDArray[np.float64]


@dataclass(frozen=True)
class Traits:
    """`grid` tells where the steps between pixels stand out: see the function of that name."""

    file_bytes: int
    metadata: tuple[str, ...]
    colour: tuple[str, ...]
    compressor: str
    size: tuple[int, int]
    grid: Profile
    mean_colour: tuple[float, float, float]


def traits_of(content: bytes, pixels: Pixels) -> Traits:
    """Of a file that was found to be a plain PNG, and what it shows."""
    chunks = list(read_chunks(content))
    others = {chunk.kind for chunk in chunks} - CRITICAL
    height, width, _ = pixels.shape
    red, green, blue = (float(mean) for mean in pixels.mean(axis=(0, 1), dtype=np.float64))
    return Traits(
        file_bytes=len(content),
        metadata=names(others - COLOUR_CHUNKS),
        colour=names(others & COLOUR_CHUNKS),
        compressor=compressor(
            b"".join(chunk.body for chunk in chunks if chunk.kind == b"IDAT"),
            (height, 1 + 3 * width),
            is_interlaced=content[len(SIGNATURE) + 8 + 12] != 0,
        ),
        size=(width, height),
        grid=grid(pixels),
        mean_colour=(red, green, blue),
    )


def names(kinds: set[bytes]) -> tuple[str, ...]:
    return tuple(sorted(kind.decode("latin-1") for kind in kinds))


def compressor(stream: bytes, rows: tuple[int, int], *, is_interlaced: bool) -> str:
    """Level and window as the stream declares them, and the row filter used most."""
    header = stream[:2].hex()
    if is_interlaced:
        return f"zlib {header}, interlaced"
    count, length = rows
    inflated = zlib.decompressobj().decompress(stream, count * length)
    filters = np.frombuffer(inflated, np.uint8)[::length]
    most_used = int(np.argmax(np.bincount(filters, minlength=len(FILTERS))))
    return f"zlib {header}, filter {FILTERS[most_used]}"


def grid(pixels: Pixels) -> Profile:
    """How steep the steps at each phase of a grid of 8 are beside their neighbours, both ways.

    Tissue varies slowly, so its own steps do not matter; all are 1 where nothing stands out.
    """
    if min(pixels.shape[:2]) < SMALLEST_FOR_GRID:
        return np.ones((2, GRID))
    grey = pixels.sum(axis=2, dtype=np.int32)
    return np.array(
        [phases(np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)) for axis in (0, 1)]
    )


def phases(steps: Profile) -> Profile:
    beside = (steps[:-2] + steps[2:]) / 2
    relative = np.divide(steps[1:-1], beside, out=np.ones_like(beside), where=beside > 0)
    found = np.array([np.median(relative[start::GRID]) for start in range(GRID)])
    mean = found.mean()
    return found / mean if mean > 0 else np.ones(GRID)
