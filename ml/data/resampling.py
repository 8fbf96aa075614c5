"""Patches in another number of pixels, in 8 bits, so that what is attacked is what is shown."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.data.patches import ReadMask, ReadPixels
from ml.errors import MlError


def scale_of(path: Path, image: NDArray[np.uint8], size: int | None) -> float:
    """How many pixels of the image become one; refuses to resample what is not square."""
    height, width = image.shape[:2]
    if size is None:
        return 1.0
    if height != width:
        raise MlError(
            f"{path} holds a patch of {width} x {height} pixels, which cannot be resampled to "
            f"{size} x {size}; crop it to a square, or leave data.size out."
        )
    return float(height / size)


def read_resampled_image(read: ReadPixels, size: int) -> NDArray[np.uint8]:
    """Lanczos, whose kernel widens with the scale: nothing aliases, nuclei keep their edges."""
    resized = Image.fromarray(read()).resize((size, size), Image.Resampling.LANCZOS)
    return np.array(resized, dtype=np.uint8)


def read_resampled_mask(read: ReadMask, size: int) -> NDArray[np.bool_]:
    """Nearest neighbour: each pixel is that of its centre."""
    resized = Image.fromarray(read()).resize((size, size), Image.Resampling.NEAREST)
    return np.array(resized, dtype=np.bool_)
