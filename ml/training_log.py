"""What a training tells of itself, epoch by epoch: a table, and TensorBoard for who asks."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ml.data import Source
from ml.errors import MlError
from ml.files import whole_file


@dataclass(frozen=True)
class EpochLog:
    """One line of log.csv. The held-out AUC is only told: nothing is chosen by it.

    `validation_auc` is that of the patches set aside for early stopping.
    """

    epoch: int
    loss: float
    held_out_auc: float
    learning_rate: float
    images_per_second: float
    seconds: float
    validation_auc: float | None = None

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.3f}, held-out AUC {self.held_out_auc:.3f}, "
            f"{self.images_per_second:.1f} images/s"
        )


def write_log(path: Path, log: Sequence[EpochLog]) -> None:
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(EpochLog)])
        writer.writeheader()
        writer.writerows(asdict(line) for line in log)


def write_predictions(
    path: Path, sources: Sequence[Source], labels: Tensor, probabilities: NDArray[np.float64]
) -> None:
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["data_set", "fold", "index", "truth", "p_positive"])
        for source, label, p in zip(sources, labels.tolist(), probabilities, strict=True):
            writer.writerow([source.data_set, source.fold, source.index, label, float(p)])


def tensorboard_teller(folder: Path, epochs_before: int) -> Callable[[EpochLog], None]:
    """Tells TensorBoard of each epoch; what it knew of later ones than `epochs_before` goes."""
    try:
        tensorboard = import_module("torch.utils.tensorboard")
    except ImportError:
        raise MlError(
            "For --tensorboard TensorBoard is missing; install it: "
            "pip install 'plainsight[tensorboard]'."
        ) from None
    writer = tensorboard.SummaryWriter(str(folder), purge_step=epochs_before + 1)

    def tell(line: EpochLog) -> None:
        for name, value in asdict(line).items():
            if name != "epoch" and value is not None:
                writer.add_scalar(name, value, line.epoch)
        writer.flush()

    return tell
