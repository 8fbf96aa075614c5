"""What compression, scanners and staining do to a patch without anybody's intention.

Each change is a pure function of a patch, a level and a source of chance, which decides what the
level leaves open, such as whether a patch gets brighter or darker. The same source at a higher
level makes the same change stronger.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import hed_from_rgb, rgb_from_hed

Pixels = NDArray[np.uint8]
Chance = np.random.Generator


@dataclass(frozen=True)
class Change:
    """`apply` keeps (height, width, 3); at the level `neutral` it does nothing it can avoid."""

    name: str
    apply: Callable[[Pixels, float, Chance], Pixels]
    neutral: float
    levels: tuple[float, ...]


def jpeg(pixels: Pixels, quality: float, _chance: Chance) -> Pixels:
    """Quality from 100 down, colours at half resolution as most scanners store them."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(stream) as opened:
        return np.array(opened)


def blur(pixels: Pixels, sigma: float, _chance: Chance) -> Pixels:
    """Out of focus: a Gaussian, its standard deviation in pixels."""
    return _whole(ndimage.gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0)))


def stain(pixels: Pixels, strength: float, chance: Chance) -> Pixels:
    """HED jitter (Tellez et al. 2018, arXiv:1808.05896).

    The density of each of haematoxylin, eosin and the rest is scaled by 1 +- `strength` and shifted
    by +- `strength`, in natural logarithms. With skimage's matrices but not its rgb2hed, which
    loses negative densities and so changes a patch even without jitter.
    """
    density = -np.log((pixels + 1.0) / 256) @ hed_from_rgb
    scale, shift = 1 + strength * chance.uniform(-1, 1, 3), strength * chance.uniform(-1, 1, 3)
    return _whole(np.exp(-(density * scale + shift) @ rgb_from_hed) * 256 - 1)


def brightness(pixels: Pixels, strength: float, chance: Chance) -> Pixels:
    """A lamp brighter or darker by this share."""
    return _whole(pixels * (1 + strength * _sign(chance)))


def contrast(pixels: Pixels, strength: float, chance: Chance) -> Pixels:
    """Every value further from, or nearer to, the patch's mean by this share."""
    mean = pixels.mean()
    return _whole(mean + (pixels - mean) * (1 + strength * _sign(chance)))


def scanner(pixels: Pixels, strength: float, chance: Chance) -> Pixels:
    """Another scanner's colours: each channel its own gain and gamma, off by up to this share."""
    gain, gamma = 1 + strength * chance.uniform(-1, 1, (2, 3))
    return _whole(255 * gain * (pixels / 255) ** gamma)


def sensor_noise(pixels: Pixels, sigma: float, chance: Chance) -> Pixels:
    """Gaussian, its standard deviation in grey levels."""
    return _whole(pixels + sigma * chance.standard_normal(pixels.shape))


def photon_noise(pixels: Pixels, sigma: float, chance: Chance) -> Pixels:
    """Poisson's, as a Gaussian of its variance: `sigma` grey levels in white, none in black."""
    return _whole(pixels + sigma * np.sqrt(pixels / 255) * chance.standard_normal(pixels.shape))


def resampling(pixels: Pixels, factor: float, _chance: Chance) -> Pixels:
    """Scanned coarser by this factor and brought back to size, both bicubic."""
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    down = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
    return np.array(down.resize((width, height), Image.Resampling.BICUBIC))


def rescanning(pixels: Pixels, distance: float, chance: Chance) -> Pixels:
    """The slide lies elsewhere by this many pixels, in any direction."""
    angle = chance.uniform(0, 2 * np.pi)
    shift = (distance * np.sin(angle), distance * np.cos(angle), 0)
    return _whole(ndimage.shift(pixels.astype(np.float64), shift, order=1, mode="reflect"))


def _sign(chance: Chance) -> int:
    return int(chance.integers(0, 2)) * 2 - 1


def _whole(values: NDArray[np.floating[Any]]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


SHARES = (0.02, 0.05, 0.1, 0.2, 0.3)
GREY_LEVELS = (1.0, 2.0, 4.0, 8.0, 16.0)

CHANGES = (
    Change("jpeg", jpeg, 100, (95, 80, 60, 30, 10)),
    Change("blur", blur, 0, (0.5, 0.75, 1, 1.5, 2.5)),
    Change("stain", stain, 0, (0.01, 0.02, 0.05, 0.1, 0.2)),
    Change("brightness", brightness, 0, SHARES),
    Change("contrast", contrast, 0, SHARES),
    Change("scanner", scanner, 0, SHARES),
    Change("sensor_noise", sensor_noise, 0, GREY_LEVELS),
    Change("photon_noise", photon_noise, 0, GREY_LEVELS),
    Change("resampling", resampling, 1, (1.1, 1.25, 1.5, 2, 3)),
    Change("rescanning", rescanning, 0, (0.1, 0.25, 0.5, 1, 2)),
)
"""Each with five levels, from mild to strong."""
