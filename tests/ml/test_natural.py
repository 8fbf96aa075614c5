from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.natural import CHANGES, Change, blur, brightness, jpeg, resampling, rescanning, stain

Pixels = NDArray[np.uint8]
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)


def draw_tissue(seed: int = 0, height: int = 40, width: int = 32) -> Pixels:
    """Smooth, as tissue is at this scale, and neither black nor white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(y / rng.uniform(3, 6)) * np.cos(x / rng.uniform(3, 6))
    colours = np.array([190.0, 130.0, 175.0]) + waves[..., None] * np.array([35, 45, 20])
    pixels: Pixels = (colours + rng.normal(0, 2, colours.shape)).round().astype(np.uint8)
    return pixels


TISSUE = [draw_tissue(seed) for seed in range(6)]


def changed(change: Change, level: float, patches: Sequence[Pixels] = TISSUE) -> list[Pixels]:
    return [change.apply(p, level, np.random.default_rng(i)) for i, p in enumerate(patches)]


def energy(pairs: Sequence[Pixels], originals: Sequence[Pixels] = TISSUE) -> float:
    """Mean RMSD."""
    differences = [a.astype(float) - b for a, b in zip(pairs, originals, strict=True)]
    return float(np.mean([np.sqrt((d**2).mean()) for d in differences]))


@every_change
def test_a_neutral_level_changes_as_little_as_it_can(change: Change) -> None:
    most = 2 if change.name == "jpeg" else 0
    assert energy(changed(change, change.neutral)) <= most


@every_change
def test_energy_grows_with_each_of_the_five_levels(change: Change) -> None:
    assert len(change.levels) == 5
    energies = [energy(changed(change, level)) for level in (change.neutral, *change.levels)]
    assert all(np.diff(energies) > 0)
    assert 0.2 < energies[1] < energies[-1] < 60


@every_change
def test_a_patch_keeps_its_shape_and_its_8_bits_and_the_original_is_not_touched(
    change: Change,
) -> None:
    for level in change.levels:
        original = draw_tissue()
        given = original.copy()
        pixels = change.apply(given, level, np.random.default_rng(0))
        assert (pixels.shape, str(pixels.dtype)) == (original.shape, "uint8")
        assert (given == original).all()


@every_change
def test_the_same_chance_gives_the_same_change(change: Change) -> None:
    first, second = changed(change, change.levels[2]), changed(change, change.levels[2])
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


@every_change
def test_black_and_white_do_not_wrap_around(change: Change) -> None:
    for value in (0, 255):
        plain = np.full((32, 32, 3), value, dtype=np.uint8)
        pixels = change.apply(plain, change.levels[-1], np.random.default_rng(0))
        assert np.abs(pixels.astype(int) - value).max() < 128


@pytest.mark.parametrize("change", [blur, resampling, rescanning])
def test_what_moves_or_mixes_pixels_leaves_an_even_patch_as_it_is(
    change: Callable[..., Pixels],
) -> None:
    plain = np.full((24, 24, 3), (201, 77, 3), dtype=np.uint8)
    assert (change(plain, 2.0, np.random.default_rng(0)) == plain).all()


def test_brightness_multiplies_every_value_by_the_same_share() -> None:
    plain = np.full((4, 4, 3), (100, 150, 200), dtype=np.uint8)
    seen = {brightness(plain, 0.1, np.random.default_rng(i)).tobytes() for i in range(10)}
    expected = [np.full((4, 4, 3), c, np.uint8) for c in ((110, 165, 220), (90, 135, 180))]
    assert seen == {e.tobytes() for e in expected}


def test_a_stain_of_other_strength_multiplies_densities_in_the_stains_colours() -> None:
    """Independently: haematoxylin alone, by the vector of Ruifrok and Johnston."""
    haematoxylin = np.array([0.65, 0.70, 0.29])
    depths = np.linspace(0.2, 1.0, 16).reshape(4, 4, 1)
    pixels = np.rint(256 * np.exp(-depths * haematoxylin) - 1).astype(np.uint8)
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    jittered = stain(pixels, 0.2, rng)
    scale, shift = 1 + 0.2 * twin.uniform(-1, 1, 3), 0.2 * twin.uniform(-1, 1, 3)
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    densities = depths * scale[0] * haematoxylin + shift @ vectors
    expected = np.clip(256 * np.exp(-densities) - 1, 0, 255)
    assert np.abs(jittered - expected).max() < 2


def test_rescanning_by_whole_pixels_shows_the_neighbour() -> None:
    class Down:
        def uniform(self, _low: float, _high: float) -> float:
            return float(np.pi / 2)

    original = draw_tissue()
    shifted = rescanning(original, 2, Down())  # type: ignore[arg-type]
    assert (shifted[2:] == original[:-2]).all()


def test_jpeg_is_what_a_file_would_hold(tmp_path: Path) -> None:
    original = draw_tissue()
    Image.fromarray(original).save(tmp_path / "a.jpg", quality=30)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert (np.array(opened) == jpeg(original, 30, np.random.default_rng(0))).all()
