from decimal import Decimal

import numpy as np
import pytest

from ml.errors import MlError
from ml.quantize import (
    images_from_tensor,
    measure,
    pixels_from_grey_levels,
    tensor_from_images,
    whole_budget,
)


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
