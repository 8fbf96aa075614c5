"""How well a network tells tumour from no tumour."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor, nn

from ml.data import Patches, Progress
from ml.quantize import pixels_from_grey_levels, tensor_from_images

BATCH_SIZE = 32
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Metrics:
    """`n` patches, and how many of each truth were given each class."""

    auc: float
    accuracy: float
    n: int
    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int


@dataclass(frozen=True)
class RocPoint:
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class CalibrationBin:
    """Patches whose probability of tumour lies above `low` (the first bin: from 0) up to `high`.

    `share_positive` of them are tumours; a calibrated network gives `mean_p` the same value. Both
    are None where there is no patch.
    """

    bin: int
    low: float
    high: float
    n: int
    mean_p: float | None
    share_positive: float | None


def p_positive(network: nn.Module, grey_levels: Tensor) -> NDArray[np.float64]:
    """The network's probability of tumour, fp32, in eval mode.

    Grey levels are (n, 3, height, width), uint8 or float, on any device.
    """
    network.eval()
    device = next(network.parameters(), grey_levels).device
    with torch.inference_mode():
        parts = [
            network(pixels_from_grey_levels(part.to(device))).softmax(dim=1)
            for part in torch.split(grey_levels, BATCH_SIZE)
        ]
    return torch.cat(parts)[:, 1].double().cpu().numpy()


def p_positive_of_patches(
    network: nn.Module,
    patches: Patches,
    indices: NDArray[np.int64],
    progress: Progress = lambda _done, _total: None,
) -> NDArray[np.float64]:
    """As `p_positive`, reading the patches from disk batch by batch."""
    parts = []
    for first in range(0, len(indices), BATCH_SIZE):
        part = tensor_from_images(patches.images(indices[first : first + BATCH_SIZE]))
        parts.append(p_positive(network, part))
        progress(first + len(part), len(indices))
    return np.concatenate(parts)


def predicted_class(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """The batch format's rule: tumour (1) from 0.5."""
    return (probabilities >= 0.5).astype(np.int64)


def measure_predictions(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Metrics:
    """Needs patches of both classes."""
    predicted = predicted_class(probabilities)
    cells = {(t, p): int(((labels == t) & (predicted == p)).sum()) for t in (0, 1) for p in (0, 1)}
    return Metrics(
        auc=float(roc_auc_score(labels, probabilities)),
        accuracy=float((predicted == labels).mean()),
        n=len(labels),
        true_positive=cells[1, 1],
        false_negative=cells[1, 0],
        true_negative=cells[0, 0],
        false_positive=cells[0, 1],
    )


def roc_points(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[RocPoint, ...]:
    """From (0, 0) to (1, 1); their trapezoids are the AUC. Needs patches of both classes."""
    false_rates, true_rates, _ = roc_curve(labels, probabilities)
    rates = zip(false_rates.tolist(), true_rates.tolist(), strict=True)
    return tuple(RocPoint(false_rate, true_rate) for false_rate, true_rate in rates)


def reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[CalibrationBin, ...]:
    """The reliability diagram of Guo et al. 2017 (arXiv:1706.04599), of the tumour's probability.

    They bin the probability of the predicted class; with two classes that would let too many and
    too few tumours cancel in one bin.
    """
    edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
    bin_of = np.searchsorted(edges[1:-1], probabilities, side="left")
    drawn = []
    for i, (low, high) in enumerate(pairwise(edges.tolist())):
        inside = bin_of == i
        any_inside = bool(inside.any())
        drawn.append(
            CalibrationBin(
                bin=i + 1,
                low=low,
                high=high,
                n=int(inside.sum()),
                mean_p=float(probabilities[inside].mean()) if any_inside else None,
                share_positive=float(labels[inside].mean()) if any_inside else None,
            )
        )
    return tuple(drawn)


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Guo et al. 2017, equation 3: the mean gap over the bins, weighted by their patches."""
    gaps = [
        b.n * abs(b.mean_p - b.share_positive)
        for b in bins
        if b.mean_p is not None and b.share_positive is not None
    ]
    return sum(gaps) / sum(b.n for b in bins)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927); (0, 1) where nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(int(successes), int(n)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
