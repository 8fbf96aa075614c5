from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from skimage.color import deltaE_ciede2000

from ml.perceptibility import _lpips_judge, ciede2000, perceptibility, psnr_db, ssim

Pixels = NDArray[np.uint8]

# Sharma, Wu and Dalal 2005, table 1: two colours in CIELAB, and their difference.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]


def draw(seed: int, low: int = 0, high: int = 256) -> Pixels:
    return np.random.default_rng(seed).integers(low, high, (32, 24, 3)).astype(np.uint8)


def nudged(image: Pixels, seed: int) -> Pixels:
    change = np.random.default_rng(seed).integers(-9, 10, image.shape)
    drawn: Pixels = np.clip(image + change, 0, 255).astype(np.uint8)
    return drawn


def gaussian_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    for axis in (0, 1):
        image = correlate1d(image, weights / weights.sum(), axis=axis)
    return image


def ssim_by_its_formula(first: Pixels, second: Pixels) -> float:
    """Wang et al. 2004, equation 13, with 11 x 11 weights of sigma 1.5, where all are inside."""

    def of_channel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        mean_x, mean_y = gaussian_mean(x), gaussian_mean(y)
        var_x, var_y = gaussian_mean(x * x) - mean_x**2, gaussian_mean(y * y) - mean_y**2
        covariance = gaussian_mean(x * y) - mean_x * mean_y
        above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        return float((above / below)[5:-5, 5:-5].mean())

    channels = [(first[..., c].astype(float), second[..., c].astype(float)) for c in range(3)]
    return float(np.mean([of_channel(x, y) for x, y in channels]))


@pytest.fixture(autouse=True)
def no_weights_of_lpips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    _lpips_judge.cache_clear()
    yield
    _lpips_judge.cache_clear()


def test_an_image_beside_itself_differs_in_nothing() -> None:
    image = draw(0)
    measured = perceptibility(image, image.copy())
    assert measured.ssim == 1
    assert measured.psnr_db == float("inf")
    assert measured.ciede2000_mean == measured.ciede2000_max == 0


@pytest.mark.parametrize("seed", range(3))
def test_ssim_is_that_of_its_formula(seed: int) -> None:
    image = draw(seed)
    for other in (nudged(image, seed + 10), draw(seed + 20)):
        assert ssim(image, other) == pytest.approx(ssim_by_its_formula(image, other), abs=1e-12)


def test_one_grey_level_everywhere_is_48_decibels() -> None:
    image = draw(0, high=255)
    assert psnr_db(image, image + 1) == pytest.approx(20 * np.log10(255), abs=1e-12)


@pytest.mark.parametrize(("first", "second", "difference"), SHARMA)
def test_the_colour_difference_is_that_of_the_published_pairs(
    first: tuple[float, ...], second: tuple[float, ...], difference: float
) -> None:
    told = deltaE_ciede2000(np.array([[first]]), np.array([[second]]))
    assert told.item() == pytest.approx(difference, abs=5e-5)


def test_black_beside_white_differs_by_100() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert ciede2000(black, white) == pytest.approx(100, abs=1e-2)


def test_the_largest_colour_difference_is_that_of_the_one_pixel_that_differs() -> None:
    image = draw(0, 60, 200)
    changed = image.copy()
    changed[3, 5] = (250, 20, 20)
    measured = perceptibility(image, changed)
    assert measured.ciede2000_max > 10
    pixels = image.shape[0] * image.shape[1]
    assert measured.ciede2000_mean == pytest.approx(measured.ciede2000_max / pixels)


def test_a_larger_change_is_seen_by_every_measure() -> None:
    image = draw(0, 60, 200)
    slight = perceptibility(image, image + 1)
    strong = perceptibility(image, nudged(image, 1))
    assert slight.ssim > strong.ssim
    assert slight.psnr_db > strong.psnr_db
    assert slight.ciede2000_mean < strong.ciede2000_mean


def test_without_its_weights_lpips_is_left_out_and_nothing_is_downloaded(tmp_path: Path) -> None:
    image = draw(0)
    assert perceptibility(image, image).lpips is None
    assert list(tmp_path.iterdir()) == []
