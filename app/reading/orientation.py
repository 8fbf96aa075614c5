"""How an image is turned and mirrored, so that two showings of it do not have equal pixels.

An orientation is one of the eight symmetries of a square: `orientation % 4` quarter turns to the
left, then, from 4 on, mirrored left to right. All of them are exact: no pixel is computed anew.
"""

import random
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.reading.balance import deal_evenly

ALL = tuple(range(8))
SHAPE_KEEPING = tuple(range(0, 8, 2))

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3)."""


def symmetries_of(shapes: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The orientations that keep every (height, width, ...)."""
    is_square = all(height == width for height, width, *_ in shapes)
    return ALL if is_square else SHAPE_KEEPING


def orientations(
    shown: Sequence[tuple[int, int]], *, symmetries: Sequence[int], seed: str
) -> list[int]:
    """One of `symmetries` for each presentation; `shown` are their cases and arms, in order.

    All are equally likely for each. The presentations of a case have different ones as long as
    there are enough, and each arm has all of them equally often, or one more of some.
    """
    return deal_evenly(shown, symmetries, random.Random(seed))  # noqa: S311 (a secret HMAC)


def oriented(pixels: Pixels, orientation: int) -> Pixels:
    turned = np.rot90(pixels, orientation % 4)
    return np.ascontiguousarray(np.fliplr(turned) if orientation >= 4 else turned)
