"""The network and the patches that are attacked."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ml.attacks.targets import correctly_classified, load_patches_of
from ml.data import Patches, load_patches
from ml.evaluation import BATCH_SIZE, p_positive
from ml.networks import PixelNetwork, attack_view, build_network, features, load_network
from ml.phantom import write_phantom
from ml.progress import stage
from ml.quantize import pixels_from_grey_levels, tensor_from_images

PATCHES_PER_FOLD, FOLDS = 64, 3
WEAK_PENALTY = 100.0
"""scikit-learn's C for the head; with it, the network is as sure of itself as a trained one."""


@dataclass(frozen=True)
class Subject:
    """`network` as peers are given it: fp32, frozen, NCHW; `view` the same function, ours.

    `images` uint8 (n, 3, size, size), all classified correctly.
    """

    network: PixelNetwork
    view: PixelNetwork
    images: Tensor
    labels: Tensor

    @property
    def pixels(self) -> Tensor:
        return self.images.to(torch.float32) / 255

    def confidence(self, images: Tensor) -> NDArray[np.float64]:
        """(n,) in the wrong class, by the fp32 network, of uint8 or float images."""
        p = p_positive(self.network, images)
        return np.where(self.labels.numpy() == 1, 1 - p, p)

    def parts(self, size: int) -> "list[Subject]":
        return [
            replace(self, images=self.images[i : i + size], labels=self.labels[i : i + size])
            for i in range(0, len(self.images), size)
        ]


def loaded(network_file: Path, data: Path, count: int) -> Subject:
    """`count` patches with tumour that the network classifies correctly, or as many as there are.

    Held out or trained on: that matters to no comparison.
    """
    network, card = load_network(network_file)
    return _subject(network, load_patches_of(card, data, other_data=True), count)


def fitted_on_generated_tissue(folder: Path, size: int, count: int) -> Subject:
    """A ResNet-18 of random weights whose head, alone, is fitted to generated tissue.

    Half a minute instead of a training, always the same network; it tells all the patches apart
    and is as easily fooled as networks that start from ImageNet, which one trained on so little
    tissue is not. The time of a step depends on the architecture alone.
    """
    data = folder / f"tissue-{size}"
    if not data.is_dir():
        with stage("generating tissue") as update:
            write_phantom(
                data,
                patches_per_fold=PATCHES_PER_FOLD,
                folds=FOLDS,
                size=size,
                seed=0,
                progress=update,
            )
    patches = load_patches(data)
    network = build_network("none", seed=0)
    _fit(network, patches)
    return _subject(network, patches, count)


def _fit(network: PixelNetwork, patches: Patches) -> None:
    """Batch norm to the statistics of the patches, then the head by logistic regression."""
    batches = [
        pixels_from_grey_levels(tensor_from_images(patches.images(indices)))
        for indices in np.array_split(np.arange(len(patches)), -(-len(patches) // BATCH_SIZE))
    ]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network.train()
        for batch in batches:
            network(batch)
        network.eval()
        seen = torch.cat([features(network, batch) for batch in batches]).double().numpy()
    mean, spread = seen.mean(axis=0), float(seen.std(axis=0).mean())
    fitted = LogisticRegression(C=WEAK_PENALTY, max_iter=5000)
    fitted.fit((seen - mean) / spread, patches.labels)
    weight = fitted.coef_[0] / spread
    with torch.no_grad():
        head_weight, head_bias = network.head.parameters()
        head_weight.copy_(torch.from_numpy(np.stack([np.zeros_like(weight), weight])))
        head_bias.copy_(torch.tensor([0.0, fitted.intercept_[0] - weight @ mean]))


def _subject(network: PixelNetwork, patches: Patches, count: int) -> Subject:
    with stage("finding what is classified correctly") as update:
        chosen = correctly_classified(network, patches, np.flatnonzero(patches.labels == 1), update)
    chosen = chosen[:count]
    view = attack_view(network)
    return Subject(
        network.requires_grad_(False).to(memory_format=torch.contiguous_format),
        view,
        tensor_from_images(patches.images(chosen)),
        torch.from_numpy(patches.labels[chosen]),
    )
