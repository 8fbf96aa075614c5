"""The network and the patches that are attacked."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.attacks.targets import correctly_classified, load_patches_of
from ml.data import Patches, load_patches
from ml.evaluation import BATCH_SIZE, p_positive, p_positive_of_patches
from ml.networks import PixelNetwork, attack_view, build_network, load_network
from ml.phantom import write_phantom
from ml.progress import stage
from ml.quantize import pixels_from_grey_levels, tensor_from_images

PATCHES_PER_FOLD, FOLDS = 64, 3
TRAINING_STEPS, TRAINING_BATCH = 4, 8
SURE = 8.0
"""The median margin of a network that is trained to the end."""


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


def briefly_trained(folder: Path, size: int, count: int) -> Subject:
    """A ResNet-18 after a few steps of training on generated tissue, always the same one.

    So its images turn within one or two grey levels, the regime of the race; after six epochs on
    this tissue none of six turned within four. The time of a step depends on the architecture
    alone.
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
    _train(network, patches)
    _sharpen(network, patches)
    return _subject(network, patches, count)


def _train(network: PixelNetwork, patches: Patches) -> None:
    """A few steps, then batch norm to the statistics of the patches."""
    labels = torch.from_numpy(patches.labels)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    chance = np.random.default_rng(0)
    network.train()
    with stage("training briefly") as update:
        for step in range(TRAINING_STEPS):
            chosen = chance.integers(0, len(patches), TRAINING_BATCH)
            loss = nn.functional.cross_entropy(
                network(_pixels(patches, chosen)), labels[torch.from_numpy(chosen)]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            update(step + 1, TRAINING_STEPS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        for indices in np.array_split(np.arange(len(patches)), 1 + len(patches) // BATCH_SIZE):
            network(_pixels(patches, indices))
    network.eval()


def _sharpen(network: PixelNetwork, patches: Patches) -> None:
    """Multiplies the logits, which moves no boundary, so that it is as sure as a trained one."""
    p = p_positive_of_patches(network, patches, np.arange(len(patches)))
    factor = SURE / float(np.median(np.abs(np.log(p / (1 - p)))))
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(factor)


def _pixels(patches: Patches, indices: NDArray[np.int64]) -> Tensor:
    return pixels_from_grey_levels(tensor_from_images(patches.images(indices)))


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
