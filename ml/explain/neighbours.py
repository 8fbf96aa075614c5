"""Features on a map, and who is near whom among the features themselves."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

with warnings.catch_warnings():
    # It tells that a part which nobody uses here needs tensorflow.
    warnings.simplefilter("ignore", ImportWarning)
    from umap import UMAP

NEIGHBOURS = 10
UMAP_NEIGHBOURS = 15

Values = NDArray[np.float64]
Classes = NDArray[np.int64]


@contextmanager
def _same_threads() -> Iterator[None]:
    """UMAP's compiled loops set torch's threads too, and with them the last bit of what follows."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def place(features: Values, *, seed: int) -> Any:
    """A fitted UMAP (McInnes et al. 2018), `embedding_` (n, 2); one thread, as the seed demands."""
    reducer = UMAP(
        n_neighbors=min(UMAP_NEIGHBOURS, len(features) - 1),
        init="pca",
        random_state=seed,
        n_jobs=1,
    )
    with _same_threads():
        return reducer.fit(features)


def place_more(fitted: Any, features: Values) -> Values:
    """(n, 2) on the map of `fitted`, which stays as it is."""
    with _same_threads():
        placed: Values = fitted.transform(features)
    return placed


def neighbour_shares(
    features: Values,
    classes: Classes,
    origins: NDArray[np.int64],
    clean_features: Values,
    clean_classes: Classes,
) -> Values:
    """(n,) of the ten nearest clean images (Euclidean) the share that are of the image's class.

    The clean image that an image comes from, or is, does not count among its neighbours.
    """
    distances = cdist(features, clean_features)
    distances[np.arange(len(features)), origins] = np.inf
    count = min(NEIGHBOURS, len(clean_features) - 1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    shares: Values = (clean_classes[nearest] == classes[:, None]).mean(axis=1)
    return shares
