"""The Square attack: random search, no gradients (Andriushchenko et al. 2020, arXiv:1912.00049).

An attack that sees only the network's output cannot be misled by gradients that hide or vanish, so
it must not find more than one that uses them. Written from the paper.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.margin import Network, log_odds, margin
from ml.attacks.pgd import Perturbed
from ml.data import Progress

FIRST_SHARE = {"linf": 0.8, "l2": 0.1}
"""Of the image, what the first squares cover."""
HALVED_AFTER = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)
"""Queries of 10 000 after which squares cover half as much; other budgets scale them."""
FIRST_TILES = 5
Values = NDArray[np.float32]


@dataclass
class _Walk:
    """One image, (3, height, width), its best point so far, and its own chance."""

    original: Values
    present: Values
    margin: float
    chance: np.random.Generator
    queries: int = 0


def square(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Literal["l2", "linf"],
    epsilon: float,
    queries: int,
    confidence_target: float,
    slots: int,
    seed: int,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """`images` uint8 (n, 3, height, width); `epsilon` as in `ml.attacks.budget`.

    An image that reaches the confidence target is dropped; `steps` are the queries it took.
    """
    target = log_odds(confidence_target)
    walks = []
    for first in range(0, len(images), slots):
        part = images[first : first + slots].to(torch.float32).cpu().numpy()
        started = [
            _Walk(image, image, -math.inf, np.random.default_rng([seed, first + i]))
            for i, image in enumerate(part)
        ]
        _search(network, started, labels[first : first + slots], norm, epsilon, queries, target)
        walks += started
        progress(len(walks), len(images))
    return Perturbed(
        torch.from_numpy(np.stack([walk.present for walk in walks])).to(images.device),
        torch.tensor([walk.queries for walk in walks]),
        torch.tensor([walk.margin for walk in walks]).sigmoid(),
    )


def _search(
    network: Network,
    walks: list[_Walk],
    labels: Tensor,
    norm: Literal["l2", "linf"],
    epsilon: float,
    queries: int,
    target: float,
) -> None:
    for query in range(queries + 1):
        active = [i for i, walk in enumerate(walks) if walk.margin < target]
        if not active:
            break
        proposals = [_propose(walks[i], norm, epsilon, query, queries) for i in active]
        with torch.no_grad():
            batch = torch.from_numpy(np.stack(proposals)).to(labels.device)
            seen = margin(network, batch, labels[active])
        for i, proposal, value in zip(active, proposals, seen.tolist(), strict=True):
            walks[i].queries = query
            if value > walks[i].margin:
                walks[i].present, walks[i].margin = proposal, value


def _propose(
    walk: _Walk, norm: Literal["l2", "linf"], epsilon: float, query: int, queries: int
) -> Values:
    """Query 0 is the original itself."""
    if query == 0:
        return walk.original
    side = side_of_square(norm, query, queries, *walk.original.shape[1:])
    match norm:
        case "linf" if query == 1:
            moved = walk.original + epsilon * _signs(walk, (3, 1, walk.original.shape[2]))
        case "linf":
            moved = _linf_proposal(walk, epsilon, side)
        case "l2":
            radius = epsilon * math.sqrt(walk.original.size)
            moved = walk.original + (
                _first_tiles(walk, radius) if query == 1 else _l2_proposal(walk, radius, side)
            )
    return np.clip(moved, 0, 255).astype(np.float32)


def side_of_square(norm: str, query: int, queries: int, height: int, width: int) -> int:
    """In pixels; the squares shrink as queries are used up."""
    scaled = query * 10_000 / queries
    share = FIRST_SHARE[norm] / 2 ** sum(scaled > mark for mark in HALVED_AFTER)
    smallest = 1 if norm == "linf" else 3
    return min(max(round(math.sqrt(share * height * width)), smallest), height - 1, width - 1)


def _signs(walk: _Walk, shape: tuple[int, ...]) -> Values:
    return (2 * walk.chance.integers(0, 2, shape) - 1).astype(np.float32)


def _place(walk: _Walk, side: int) -> tuple[slice, slice]:
    _, height, width = walk.original.shape
    row = int(walk.chance.integers(0, height - side + 1))
    column = int(walk.chance.integers(0, width - side + 1))
    return slice(row, row + side), slice(column, column + side)


def _linf_proposal(walk: _Walk, epsilon: float, side: int) -> Values:
    """A square of one colour at the edge of the budget."""
    rows, columns = _place(walk, side)
    moved = walk.present.copy()
    moved[:, rows, columns] = walk.original[:, rows, columns] + epsilon * _signs(walk, (3, 1, 1))
    return moved


def _first_tiles(walk: _Walk, radius: float) -> Values:
    """Bumps over the whole image."""
    _, height, width = walk.original.shape
    side = max(min(height, width) // FIRST_TILES, 1)
    perturbation = np.zeros_like(walk.original)
    for row in range(0, height - side + 1, side):
        for column in range(0, width - side + 1, side):
            signed = _bump(walk, side) * _signs(walk, (3, 1, 1))
            perturbation[:, row : row + side, column : column + side] = signed
    return perturbation * np.float32(radius / np.linalg.norm(perturbation))


def _l2_proposal(walk: _Walk, radius: float, side: int) -> Values:
    """Moves the energy of one square of the perturbation, and what is unused, into another one."""
    perturbation = walk.present - walk.original
    into, out_of = _place(walk, side), _place(walk, side)
    either = np.zeros(perturbation.shape[1:], dtype=bool)
    either[into] = either[out_of] = True
    unused = max(radius**2 - float(np.square(perturbation).sum(dtype=np.float64)), 0.0)
    for channel, sign in zip(perturbation, _signs(walk, (3,)), strict=True):
        bump = _bump(walk, side)
        there = channel[into]
        wanted = sign * bump / np.linalg.norm(bump) + there / max(np.linalg.norm(there), 1e-12)
        available = math.sqrt(float(np.square(channel[either]).sum(dtype=np.float64)) + unused / 3)
        channel[out_of] = 0
        channel[into] = wanted * (available / max(float(np.linalg.norm(wanted)), 1e-12))
    return perturbation


def _bump(walk: _Walk, side: int) -> Values:
    """Two opposite hills beside each other, in one of two directions; (side, side)."""
    first = side // 2
    pair = np.concatenate([_hill(side, first), -_hill(side, side - first)], axis=1)
    return pair if walk.chance.integers(0, 2) else pair.T


def _hill(height: int, width: int) -> Values:
    """The paper's eta: concentric rectangles that rise towards the middle."""
    half = height // 2
    rows = np.abs(np.arange(height) - half)
    columns = np.abs(np.arange(width) - width // 2)
    ring = half - np.maximum(rows[:, None], columns[None, :])
    rise = np.cumsum([1 / (half + 1 - k) ** 2 for k in range(half + 1)])
    return np.where(ring >= 0, rise[np.maximum(ring, 0)], 0).astype(np.float32)
