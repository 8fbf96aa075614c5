"""How alike two images look: SSIM of Wang et al. 2004, with a Gaussian window of 11 x 11."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from app.batches.domain import Pixels

SIGMA = 1.5
RADIUS = 5
WINDOW = 2 * RADIUS + 1
STRIPE_ROWS = 256
LARGEST = 255
C1 = (0.01 * LARGEST) ** 2
C2 = (0.03 * LARGEST) ** 2

Plane = NDArray[np.float64]


def gaussian() -> Plane:
    offsets = np.arange(-RADIUS, RADIUS + 1)
    heights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    weights: Plane = heights / heights.sum()
    return weights


WEIGHTS = gaussian()


def ssim(first: Pixels, second: Pixels) -> float | None:
    """The mean over windows and channels; None where an image is smaller than one window."""
    height, width, channels = first.shape
    if min(height, width) < WINDOW:
        return None
    total = math.fsum(
        float(similarity(one, other).sum(dtype=np.float64))
        for channel in range(channels)
        for one, other in stripes(first[..., channel], second[..., channel])
    )
    windows: int = channels * (height - WINDOW + 1) * (width - WINDOW + 1)
    return total / windows


def stripes(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Iterator[tuple[Plane, Plane]]:
    """Overlapping rows, so that a large image takes no more memory than a small one."""
    height = first.shape[0]
    for top in range(0, height - WINDOW + 1, STRIPE_ROWS):
        rows = slice(top, min(top + STRIPE_ROWS + WINDOW - 1, height))
        yield first[rows].astype(np.float64), second[rows].astype(np.float64)


def similarity(first: Plane, second: Plane) -> Plane:
    """Of every whole window."""
    mean_1, mean_2 = smooth(first), smooth(second)
    variance_1 = smooth(first * first) - mean_1 * mean_1
    variance_2 = smooth(second * second) - mean_2 * mean_2
    covariance = smooth(first * second) - mean_1 * mean_2
    alike = (2 * mean_1 * mean_2 + C1) * (2 * covariance + C2)
    result: Plane = alike / (
        (mean_1 * mean_1 + mean_2 * mean_2 + C1) * (variance_1 + variance_2 + C2)
    )
    return result


def smooth(plane: Plane) -> Plane:
    """Only where the window lies wholly inside, so that no rule for borders matters."""
    down = correlate1d(plane, WEIGHTS, axis=0)[RADIUS:-RADIUS]
    across: Plane = correlate1d(down, WEIGHTS, axis=1)[:, RADIUS:-RADIUS]
    return across
