"""Patches before and after their attack, for what explains it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.single_instance import finish, search
from ml.data import Patches
from ml.errors import MlError
from ml.evaluation import predicted_class
from ml.experiment import Experiment
from ml.networks import PixelNetwork
from ml.progress import stage
from ml.quantize import tensor_from_images


@dataclass(frozen=True)
class Pairs:
    """`originals` and `perturbed` uint8 (n, 3, height, width), `p_*` the probability of tumour.

    The network classifies every original correctly and every perturbed image, in 8 bits, wrongly.
    `attacked`: how many patches were tried for that.
    """

    patches: Patches
    originals: Tensor
    perturbed: Tensor
    p_original: NDArray[np.float64]
    p_perturbed: NDArray[np.float64]
    attacked: int

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.patches.labels


def attack_pairs(network: PixelNetwork, patches: Patches, experiment: Experiment) -> Pairs:
    """Attacks `patches`, all of them classified correctly, as [attack] says."""
    settings = experiment.attack
    images = tensor_from_images(patches.images(range(len(patches))))
    labels = torch.from_numpy(patches.labels)
    with stage("attacking") as update:
        found = search(network, images, labels, settings, seed=experiment.seed, progress=update)
    with stage("finishing in 8 bits") as update:
        attacked = finish(network, images, found, labels, settings, progress=update)
    fooled = np.flatnonzero(predicted_class(attacked.p_8bit) != patches.labels)
    if len(fooled) == 0:
        raise MlError(
            f"None of {len(patches)} attacks succeeds in 8 bits, so there is nothing to explain; "
            "raise attack.epsilon or attack.steps."
        )
    return Pairs(
        patches=patches.subset(fooled),
        originals=images[fooled],
        perturbed=attacked.images[fooled],
        p_original=attacked.p_original[fooled],
        p_perturbed=attacked.p_8bit[fooled],
        attacked=len(patches),
    )
