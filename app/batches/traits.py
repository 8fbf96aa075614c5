"""What tells one delivered file from another besides what it is meant to show."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from app.batches.domain import Pixels
from app.batches.png import COLOUR_CHUNKS, CRITICAL, SIGNATURE, read_chunks

FILTERS = ("none", "sub", "up", "average", "Paeth")
GRID = 8
SMALLEST_FOR_GRID = 3 * GRID
LARGEST_FOR_STEPS = 512  # pixels a side: more tell nothing new
FEWEST_FOR_STEPS = 8
STEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12)
PLAINEST = 16
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Profile = NDArray[np.float64]


@dataclass(frozen=True)
class Traits:
    """`grid` tells where the steps between pixels stand out, `quantised` how plainly the image
    was once a JPEG: see the functions of these names."""

    file_bytes: int
    metadata: tuple[str, ...]
    colour: tuple[str, ...]
    compressor: str
    size: tuple[int, int]
    grid: Profile
    quantised: float
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
        quantised=quantised(pixels),
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


def quantised(pixels: Pixels) -> float:
    """How plainly the frequencies of its blocks of 8 x 8 lie on steps, as JPEG leaves them.

    About 1 to 2 for an image that never was a JPEG, above 7 for one of any quality up to 98, also
    where no grid is to be seen. The values of one frequency over all blocks turn round a circle
    once a step; where they all point the same way, they lie on it. The mean of the PLAINEST
    frequencies, in standard deviations of values that lie anywhere.
    """
    height, width = (min(side, LARGEST_FOR_STEPS) // GRID for side in pixels.shape[:2])
    grey = pixels[: height * GRID, : width * GRID] @ LUMA - 128
    blocks = grey.reshape(height, GRID, width, GRID).transpose(0, 2, 1, 3).reshape(-1, GRID, GRID)
    found = dctn(blocks, axes=(1, 2), norm="ortho").reshape(-1, GRID * GRID)[:, 1:]
    plainest = np.sort(np.max([on_steps(found, step) for step in STEPS], axis=0))[-PLAINEST:]
    return float(plainest.mean())


def on_steps(found: Profile, step: float) -> Profile:
    """Of each frequency; 0 where too few blocks have any of it."""
    is_there = np.abs(found) > step / 2
    count = is_there.sum(axis=0)
    towards = (np.cos(2 * np.pi * found / step) * is_there).sum(axis=0)
    return np.where(count >= FEWEST_FOR_STEPS, towards * np.sqrt(2 / np.maximum(count, 1)), 0.0)
