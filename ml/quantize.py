"""The 8-bit image that a reader sees, and how far a perturbed one is from its original."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.errors import MlError


def pixels_from_grey_levels(grey_levels: Tensor) -> Tensor:
    """What networks take: [0, 1] in fp32, laid out channels_last; from 0 to 255."""
    pixels = grey_levels.to(torch.float32) / 255
    return pixels.contiguous(memory_format=torch.channels_last)


def tensor_from_images(images: NDArray[np.uint8]) -> Tensor:
    """(n, height, width, 3) to (n, 3, height, width), both uint8."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def images_from_tensor(tensor: Tensor) -> NDArray[np.uint8]:
    """(n, 3, height, width) to (n, height, width, 3), both uint8."""
    images: NDArray[np.uint8] = tensor.permute(0, 2, 3, 1).contiguous().numpy()
    return images


def whole_budget(epsilon: Decimal) -> int:
    """The largest Linf distance within `epsilon` that whole grey levels can have."""
    if epsilon < 1:
        raise MlError(
            f"With epsilon {epsilon} no 8-bit image can differ from its original, because the "
            "smallest change is one grey level; use an epsilon of at least 1."
        )
    return int(epsilon)


@dataclass(frozen=True)
class Measured:
    """The norms of docs/batch-format.md; all but the first in grey levels."""

    l0_fraction: float
    l1_mad: float
    l2_rmsd: float
    linf: int


def measure(original: NDArray[np.uint8], perturbed: NDArray[np.uint8]) -> Measured:
    """Both (height, width, 3)."""
    difference = perturbed.astype(np.int64) - original.astype(np.int64)
    return Measured(
        l0_fraction=float((difference != 0).any(axis=2).mean()),
        l1_mad=float(np.abs(difference).mean()),
        l2_rmsd=float(np.sqrt((difference**2).mean())),
        linf=int(np.abs(difference).max()),
    )
