from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ml.errors import MlError
from ml.quantize import (
    images_from_tensor,
    measure,
    pixels_from_grey_levels,
    round_inside_budget,
    tensor_from_images,
    whole_budget,
)


def random_pair(seed: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Originals with black and white in them, and float images up to `epsilon` away or beyond."""
    chance = torch.Generator().manual_seed(seed)
    originals = torch.randint(0, 256, (2, 3, 5, 5), generator=chance, dtype=torch.uint8)
    originals[0, 0, 0], originals[0, 0, 1] = 0, 255
    noise = (torch.rand(originals.shape, generator=chance) * 2 - 1) * epsilon * 1.2
    return originals, originals + noise


@given(st.integers(0, 2**31), st.decimals(1, 20, places=2))
@settings(deadline=None)
def test_rounding_never_leaves_the_budget_nor_0_to_255(seed: int, epsilon: Decimal) -> None:
    originals, perturbed = random_pair(seed, float(epsilon))
    rounded = round_inside_budget(originals, perturbed, epsilon)
    assert rounded.dtype == torch.uint8
    difference = (rounded.int() - originals.int()).abs().max().item()
    assert difference <= epsilon


@given(st.integers(0, 2**31), st.integers(1, 20))
@settings(deadline=None)
def test_whole_grey_levels_within_the_budget_stay_as_they_are(seed: int, epsilon: int) -> None:
    originals, perturbed = random_pair(seed, epsilon)
    whole = round_inside_budget(originals, perturbed, Decimal(epsilon))
    again = round_inside_budget(originals, whole.float(), Decimal(epsilon))
    assert torch.equal(again, whole)


def test_rounding_takes_the_nearest_grey_level_that_the_budget_allows() -> None:
    originals = torch.tensor([100, 100, 100, 100, 0, 255], dtype=torch.uint8)
    perturbed = torch.tensor([101.6, 101.4, 98.5, 100.2, -0.0, 256.0])
    rounded = round_inside_budget(originals, perturbed, Decimal("1.6"))
    assert rounded.tolist() == [101, 101, 99, 100, 0, 255]


@pytest.mark.parametrize("epsilon", ["0", "0.5", "0.999"])
def test_below_one_grey_level_there_is_no_8_bit_attack(epsilon: str) -> None:
    with pytest.raises(MlError, match="at least 1"):
        whole_budget(Decimal(epsilon))


def test_all_four_norms_are_measured_as_the_batch_format_defines_them() -> None:
    original = np.full((2, 2, 3), 100, dtype=np.uint8)
    perturbed = original.copy()
    perturbed[0, 0] = (97, 100, 104)
    perturbed[1, 1, 2] = 101
    measured = measure(original, perturbed)
    assert measured.l0_fraction == 2 / 4
    assert measured.l1_mad == (3 + 4 + 1) / 12
    assert measured.l2_rmsd == pytest.approx(((9 + 16 + 1) / 12) ** 0.5)
    assert measured.linf == 4


def test_differences_do_not_wrap_around_8_bits() -> None:
    black, white = np.zeros((1, 1, 3), dtype=np.uint8), np.full((1, 1, 3), 255, dtype=np.uint8)
    assert measure(black, white).linf == measure(white, black).linf == 255


def test_images_survive_the_way_to_a_tensor_and_back() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    tensor = tensor_from_images(images)
    assert tensor.shape == (2, 3, 4, 5)
    assert np.array_equal(images_from_tensor(tensor), images)
    assert pixels_from_grey_levels(tensor).max().item() <= 1
