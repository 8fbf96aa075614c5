from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from ml.errors import MlError
from ml.explain import plane as of_planes
from ml.explain.plane import find_plane

SHAPES = {"first.weight": (4, 3, 2, 2), "first.bias": (4,), "scale": (), "head.weight": (2, 5)}


def write(path: Path, weights: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file({**weights, "running_mean": torch.full((4,), 1e6)}, path)
    return path


def draw_training(folder: Path, epochs: int = 5, seed: int = 0) -> list[Path]:
    """A walk of all weights; statistics are in the files, too, and must not count."""
    chance = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(shape, generator=chance) for name, shape in SHAPES.items()}
    paths = []
    for epoch in range(epochs + 1):
        paths.append(write(folder / f"epoch-{epoch:03}.safetensors", weights))
        weights = {n: w + torch.randn(w.shape, generator=chance) for n, w in weights.items()}
    return paths


def as_vector(weights: dict[str, Tensor]) -> np.ndarray:
    return np.concatenate([weights[name].double().numpy().ravel() for name in SHAPES])


def as_matrix(paths: list[Path]) -> np.ndarray:
    return np.stack([as_vector(safetensors.torch.load_file(path)) for path in paths])


def test_the_plane_is_that_of_numpys_singular_vectors(tmp_path: Path) -> None:
    paths = draw_training(tmp_path)
    found = find_plane(paths, paths[-1], list(SHAPES))
    matrix = as_matrix(paths)
    left, lengths, right = np.linalg.svd(matrix - matrix[-1], full_matrices=False)
    assert found.explained == pytest.approx(lengths[:2] ** 2 / (lengths**2).sum())
    for i in (0, 1):
        direction = as_vector(found.directions[i])
        sign = np.sign(direction @ right[i])
        assert direction == pytest.approx(sign * right[i], abs=1e-6)
        assert found.positions[:, i] == pytest.approx(sign * left[:, i] * lengths[i], abs=1e-9)


def test_the_variance_explained_is_that_of_a_pca_of_both_ends_of_each_difference(
    tmp_path: Path,
) -> None:
    """Differences and their negatives have the mean 0, so that a centred PCA is the same one."""
    paths = draw_training(tmp_path, epochs=7, seed=1)
    difference = as_matrix(paths) - as_matrix(paths)[-1]
    pca = PCA().fit(np.concatenate([difference, -difference]))
    found = find_plane(paths, paths[-1], list(SHAPES))
    assert found.explained == pytest.approx(pca.explained_variance_ratio_[:2])


def test_the_final_weights_are_at_0_and_each_position_is_the_nearest_in_the_plane(
    tmp_path: Path,
) -> None:
    paths = draw_training(tmp_path)
    found = find_plane(paths, paths[-1], list(SHAPES))
    assert found.positions[-1] == pytest.approx([0, 0], abs=1e-9)
    final = safetensors.torch.load_file(paths[-1])
    at_0 = found.weights_at(0, 0)
    assert at_0.keys() == SHAPES.keys()
    assert all(torch.equal(at_0[name], final[name]) for name in SHAPES)
    for weights, (x, y) in zip(as_matrix(paths), found.positions, strict=True):
        left_over = weights - as_vector(found.weights_at(x, y))
        for direction in found.directions:
            assert left_over @ as_vector(direction) == pytest.approx(0, abs=1e-5)


def test_a_walk_within_a_plane_is_found_whole(tmp_path: Path) -> None:
    chance = torch.Generator().manual_seed(2)
    u, v, final = (
        {name: torch.randn(shape, generator=chance) for name, shape in SHAPES.items()}
        for _ in range(3)
    )
    paths = [
        write(tmp_path / f"{i}", {n: final[n] + a * u[n] + b * v[n] for n in SHAPES})
        for i, (a, b) in enumerate([(3.0, 1.0), (2.0, -1.0), (1.0, 0.5), (0.0, 0.0)])
    ]
    found = find_plane(paths, paths[-1], list(SHAPES))
    assert found.explained.sum() == pytest.approx(1)
    for path, (x, y) in zip(paths, found.positions, strict=True):
        there = as_vector(safetensors.torch.load_file(path))
        assert as_vector(found.weights_at(x, y)) == pytest.approx(there, abs=1e-5)


def test_reading_piece_by_piece_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = draw_training(tmp_path)
    whole = find_plane(paths, paths[-1], list(SHAPES))
    monkeypatch.setattr(of_planes, "CHUNK", 7)
    pieces = find_plane(paths, paths[-1], list(SHAPES))
    assert pieces.positions == pytest.approx(whole.positions)
    for name, direction in whole.directions[0].items():
        assert torch.allclose(pieces.directions[0][name], direction, atol=1e-6)


@pytest.mark.parametrize("epochs", [0, 1])
def test_too_few_epochs_for_a_plane_say_what_to_do(tmp_path: Path, epochs: int) -> None:
    paths = draw_training(tmp_path, epochs=epochs)
    with pytest.raises(MlError, match="at least two epochs"):
        find_plane(paths, paths[-1], list(SHAPES))
