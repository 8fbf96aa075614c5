"""The plane through a network's weights along which its training moved most."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from ml.errors import MlError

Values = NDArray[np.float64]

CHUNK = 2**18
"""So many weights of each checkpoint at a time are held in float64."""
FLAT = 1e-12
"""A second direction with less of the variance than this is rounding."""


@dataclass(frozen=True)
class Plane:
    """Weights at (x, y) are the final ones + x times the first direction + y times the second.

    Both directions have length 1 over all weights; `positions` (checkpoints, 2) are the
    checkpoints' projections, `explained` (2,) the directions' shares of the squared distances
    from the final weights.
    """

    centre: dict[str, Tensor]
    directions: tuple[dict[str, Tensor], dict[str, Tensor]]
    positions: Values
    explained: Values

    def weights_at(self, x: float, y: float) -> dict[str, Tensor]:
        first, second = self.directions
        return {name: w + x * first[name] + y * second[name] for name, w in self.centre.items()}


def find_plane(checkpoints: Sequence[Path], final: Path, names: Sequence[str]) -> Plane:
    """Li et al. 2018, arXiv:1712.09913, section 7.2: the principal directions of the differences
    between the checkpoints' weights and the final ones, not centred, so that the final ones lie in
    the plane. Of the weights `names` in safetensors files, which are read piece by piece.
    """
    gram = np.zeros((len(checkpoints), len(checkpoints)))
    with ExitStack() as stack:
        opened = [
            stack.enter_context(safe_open(path, framework="pt")) for path in (*checkpoints, final)
        ]
        for name in names:
            for part in _differences(opened, name):
                gram += part @ part.T
        variances, vectors = _two_largest(gram)
        lengths = np.sqrt(variances)
        mixing = (vectors / lengths).T
        centre = {name: opened[-1].get_tensor(name) for name in names}
        mixed = {
            name: torch.from_numpy(
                np.concatenate([mixing @ part for part in _differences(opened, name)], axis=1)
            ).to(torch.float32)
            for name in names
        }
    first, second = (
        {name: mixed[name][i].view(centre[name].shape) for name in names} for i in (0, 1)
    )
    positions = vectors * lengths + 0.0  # without it, the final weights can be at -0.0
    return Plane(centre, (first, second), positions, variances / np.trace(gram))


def _two_largest(gram: Values) -> tuple[Values, Values]:
    """Eigenvalues (2,) and eigenvectors (n, 2), of which the largest entry is positive."""
    variances, vectors = np.linalg.eigh(gram)
    variances, vectors = variances[::-1][:2], vectors[:, ::-1][:, :2]
    if len(variances) < 2 or variances[1] <= FLAT * np.trace(gram):
        raise MlError(
            "The weights along training do not span a plane; train for at least two epochs."
        )
    largest = np.abs(vectors).argmax(axis=0)
    return variances, vectors * np.sign(vectors[largest, [0, 1]])


def _differences(opened: Sequence[Any], name: str) -> Iterator[Values]:
    """(checkpoints, some weights), the last file's weights taken from all the others'."""
    slices = [file.get_slice(name) for file in opened]
    shape = slices[0].get_shape()
    if not shape:
        yield _less_the_last([file.get_tensor(name) for file in opened])
        return
    rows = max(1, CHUNK // math.prod(shape[1:]))
    for first in range(0, shape[0], rows):
        yield _less_the_last([kept[first : first + rows] for kept in slices])


def _less_the_last(tensors: Sequence[Tensor]) -> Values:
    values = np.stack([tensor.flatten().double().numpy() for tensor in tensors])
    return np.asarray(values[:-1] - values[-1])
