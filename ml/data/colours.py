"""Finds images whose red and blue are the wrong way round."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError


def red_absorbed_by_nuclei(image: NDArray[np.uint8]) -> float:
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


def refuse_swapped_channels(path: Path, red_excess: NDArray[np.float64]) -> None:
    """Only where the set as a whole leaves no doubt."""
    told = red_excess[~np.isnan(red_excess)]
    if len(told) >= 5 and (told < 0).mean() > 0.9 and np.median(told) < -0.03:
        raise MlError(f"The images of {path} have red and blue swapped; swap them back to RGB.")
