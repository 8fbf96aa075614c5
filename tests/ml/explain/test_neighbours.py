import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ml.explain.neighbours import neighbour_shares, place, place_more


def two_clouds(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    return chance.normal(size=(n, 8)) + 9 * classes[:, None], classes


def test_on_a_line_the_share_is_that_counted_by_hand() -> None:
    clean = np.arange(12.0)[:, None]
    classes = np.array([0] * 6 + [1] * 6)
    image, of_class = np.array([[5.4]]), np.array([1])
    # Without its origin, 5, the ten nearest are 6, 4, 7, 3, 8, 2, 9, 1, 10, 0; five of them are 1.
    assert neighbour_shares(image, of_class, np.array([5]), clean, classes).tolist() == [0.5]
    # Without 11 they are 5, 6, 4, 7, 3, 8, 2, 9, 1, 10 or 0; of these ten, five are 1.
    assert neighbour_shares(image, of_class, np.array([0]), clean, classes).tolist() == [0.5]
    assert neighbour_shares(image, of_class - 1, np.array([0]), clean, classes).tolist() == [0.5]
    # Far to the right the nearest are 11 down to 2: six of class 1, four of class 0.
    far = np.array([[40.0]])
    assert neighbour_shares(far, of_class, np.array([0]), clean, classes).tolist() == [0.6]
    assert neighbour_shares(far, of_class, np.array([11]), clean, classes).tolist() == [0.5]


def test_with_fewer_than_ten_others_all_others_count() -> None:
    clean, classes = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1, 1, 0, 0])
    shares = neighbour_shares(clean, classes, np.arange(4), clean, classes)
    assert shares == pytest.approx([1 / 3] * 4)


def test_the_shares_are_those_of_sklearn() -> None:
    features, classes = two_clouds()
    features = features + np.random.default_rng(1).normal(0, 6, features.shape)
    origins = np.arange(len(features))
    found = neighbour_shares(features, classes, origins, features, classes)
    nearest = NearestNeighbors(n_neighbors=10).fit(features).kneighbors(return_distance=False)
    assert found == pytest.approx((classes[nearest] == classes[:, None]).mean(axis=1))
    assert 0 < found.min() < found.max()


def test_the_same_seed_gives_the_same_map_to_the_last_bit_and_another_seed_another() -> None:
    features, _ = two_clouds()
    first, second, other = (place(features, seed=seed).embedding_ for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_two_clouds_lie_apart_on_the_map_and_what_is_placed_later_joins_its_own() -> None:
    features, classes = two_clouds()
    fitted = place(features, seed=0)
    centres = np.array([fitted.embedding_[classes == c].mean(axis=0) for c in (0, 1)])
    newcomers, of_class = two_clouds(10, seed=1)
    placed = place_more(fitted, newcomers)
    distances = np.linalg.norm(placed[:, None] - centres, axis=2)
    assert (distances.argmin(axis=1) == of_class).all()


@pytest.mark.parametrize("n", [5, 16])
def test_few_images_are_placed_without_a_warning(n: int) -> None:
    features, _ = two_clouds(n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = place(features, seed=0)
        assert np.isfinite(place_more(fitted, features[:3])).all()
    assert np.isfinite(fitted.embedding_).all()


def test_placing_leaves_the_threads_of_torch_as_they_were() -> None:
    features = np.random.default_rng(0).normal(size=(40, 8))
    place_more(place(features, seed=0), features[:3])
    assert torch.get_num_threads() == 1
