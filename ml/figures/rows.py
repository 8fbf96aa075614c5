"""What the figures read of a run's tables: of each, the columns that are drawn.

Not the rows of the steps themselves, which could not be read without loading what made them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FoldScore:
    """table1a.csv"""

    fold: int
    run: int
    accuracy: float
    auc: float


@dataclass(frozen=True)
class RocPoint:
    """roc.csv"""

    run: int
    fold: int
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class Prediction:
    """predictions.csv"""

    run: int
    fold: int
    truth: int


@dataclass(frozen=True)
class Confusion:
    """confusion.csv"""

    run: int
    fold: int
    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int


@dataclass(frozen=True)
class Proportion:
    """`successes` of `n`, with the 95 % interval of Wilson."""

    n: int
    successes: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class CurvePoint(Proportion):
    """curves.csv; `bits` is "float" or "8"."""

    norm: str
    epsilon: float
    method: str
    bits: str


@dataclass(frozen=True)
class MinimalEpsilon:
    """minimal.csv; infinite where no perturbation was found."""

    case: str
    norm: str
    epsilon_float: float
    epsilon_8bit: float


@dataclass(frozen=True)
class BaselinePoint(Proportion):
    """baselines.csv"""

    attack: str
    norm: str
    epsilon: float
    bits: str = "8"


@dataclass(frozen=True)
class TransferPoint(Proportion):
    """transfer.csv"""

    norm: str
    epsilon: float
    network: str
    seen: str | None


@dataclass(frozen=True)
class SanityCheck:
    """sanity.csv"""

    check: str
    passed: bool
    told: str


@dataclass(frozen=True)
class UniversalPoint(Proportion):
    """universal.csv"""

    epsilon: float
    split: str
    network: str | None


@dataclass(frozen=True)
class DefencePoint(Proportion):
    """defence.csv"""

    method: str
    norm: str
    epsilon: float
    bits: str
    clean_accuracy: float
    clean_auc: float
    robust_accuracy: float


@dataclass(frozen=True)
class SaliencyShare:
    """saliency.csv"""

    case: str
    truth: int
    method: str
    share_before: float | None
    share_after: float | None
    mask_share: float | None


@dataclass(frozen=True)
class EmbeddingPoint:
    """embedding.csv; `step` counts along the track, `neighbour_share` is empty on it."""

    case: str
    group: str
    x: float
    y: float
    step: int | None
    neighbour_share: float | None


@dataclass(frozen=True)
class LandscapePoint:
    """landscape.csv"""

    x: float
    y: float
    loss: float


@dataclass(frozen=True)
class TrajectoryPoint(LandscapePoint):
    """trajectory.csv"""

    epoch: int


@dataclass(frozen=True)
class Perceptibility:
    """perceptibility.csv"""

    case: str
    norm: str
    epsilon: float
    ssim: float
    psnr_db: float
    ciede2000_mean: float
    ciede2000_max: float
    lpips: float | None
