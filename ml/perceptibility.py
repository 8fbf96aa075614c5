"""How visible a perturbation is, by the measures that are usual for it."""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

Image = NDArray[np.uint8]

ALEXNET = "alexnet-owt-7be5be79.pth"
"""The weights that LPIPS builds on, as torch.hub names them; those of its own it brings along."""


@dataclass(frozen=True, kw_only=True)
class Perceptibility:
    """`ssim` 1 and `psnr_db` infinite where nothing differs; `lpips` None without its weights."""

    ssim: float
    psnr_db: float
    ciede2000_mean: float
    ciede2000_max: float
    lpips: float | None


def perceptibility(original: Image, perturbed: Image) -> Perceptibility:
    """Both (height, width, 3), at least 11 pixels a side."""
    difference = ciede2000(original, perturbed)
    judge = _lpips_judge()
    return Perceptibility(
        ssim=ssim(original, perturbed),
        psnr_db=psnr_db(original, perturbed),
        ciede2000_mean=float(difference.mean()),
        ciede2000_max=float(difference.max()),
        lpips=None if judge is None else judge(original, perturbed),
    )


def ssim(original: Image, perturbed: Image) -> float:
    """Wang et al. 2004, doi:10.1109/TIP.2003.819861, with its constants; mean over channels."""
    similarity = structural_similarity(
        original,
        perturbed,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    return float(similarity)


def psnr_db(original: Image, perturbed: Image) -> float:
    """Infinite where nothing differs."""
    error = float(np.square(perturbed.astype(np.float64) - original).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ciede2000(original: Image, perturbed: Image) -> NDArray[np.float64]:
    """(height, width), Sharma et al. 2005, doi:10.1002/col.20070; sRGB under D65, 2 degrees."""
    difference: NDArray[np.float64] = deltaE_ciede2000(rgb2lab(original), rgb2lab(perturbed))
    return difference


@cache
def _lpips_judge() -> Callable[[Image, Image], float] | None:
    """Zhang et al. 2018, arXiv:1801.03924, on AlexNet; never downloads what is not there."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if importlib.util.find_spec("lpips") is None or not weights.is_file():
        return None
    import lpips

    with warnings.catch_warnings():
        # It asks torchvision for the weights by an argument that torchvision calls outdated.
        warnings.simplefilter("ignore", UserWarning)
        judge: Any = lpips.LPIPS(net="alex", verbose=False).eval()

    def distance(original: Image, perturbed: Image) -> float:
        with torch.inference_mode():
            return float(judge(_from_minus_1_to_1(original), _from_minus_1_to_1(perturbed)))

    return distance


def _from_minus_1_to_1(image: Image) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
