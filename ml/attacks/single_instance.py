"""A perturbation for each image: searched in float, finished in 8 bits, judged in fp32."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks import lattice
from ml.attacks.pgd import Perturbed, pgd
from ml.attacks.rounding import round_inside
from ml.data import Patches, Progress
from ml.errors import MlError
from ml.evaluation import p_positive, p_positive_of_patches, predicted_class
from ml.experiment import AttackSettings
from ml.networks import PixelNetwork, attack_view, in_bf16


@dataclass(frozen=True)
class Targets:
    """`indices` of what to attack; `correct` of `considered` patches could have been."""

    indices: NDArray[np.int64]
    correct: int
    considered: int


@dataclass(frozen=True)
class Attacked:
    """`images` uint8 (n, 3, height, width); the probabilities of tumour are the fp32 network's."""

    images: Tensor
    p_original: NDArray[np.float64]
    p_float: NDArray[np.float64]
    p_rounded: NDArray[np.float64]
    p_8bit: NDArray[np.float64]
    steps: NDArray[np.int64]
    finish_steps: NDArray[np.int64]


def choose_targets(
    network: PixelNetwork,
    patches: Patches,
    indices: NDArray[np.int64],
    *,
    limit: int | None,
    seed: int,
    progress: Progress = lambda _done, _total: None,
) -> Targets:
    """Those of `indices` that are classified correctly, or `limit` of them drawn by the seed."""
    probabilities = p_positive_of_patches(network, patches, indices, progress)
    correct = indices[predicted_class(probabilities) == patches.labels[indices]]
    if len(correct) == 0:
        raise MlError(
            f"The network classifies none of the {len(indices)} patches correctly, so there is "
            "nothing to attack; train it for longer."
        )
    drawn = np.random.default_rng(seed).permutation(correct)[:limit]
    return Targets(np.sort(drawn), len(correct), len(indices))


def search(
    network: PixelNetwork,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    *,
    seed: int,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """In float; `images` uint8 (n, 3, height, width)."""
    view = attack_view(network)
    return pgd(
        in_bf16(view) if settings.search_precision == "bf16" else view,
        images,
        labels,
        norm=settings.norm,
        epsilon=float(settings.epsilon),
        step_size=float(settings.step_size_text),
        steps=settings.steps,
        confidence_target=settings.confidence_target,
        slots=settings.slots,
        restarts=settings.restarts,
        begin_at_random=settings.random_start,
        seed=seed,
        progress=progress,
    )


def finish(
    network: PixelNetwork,
    images: Tensor,
    found: Perturbed,
    labels: Tensor,
    settings: AttackSettings,
    *,
    progress: Progress = lambda _done, _total: None,
) -> Attacked:
    """Rounds what was found inside the budget, goes on in 8 bits where that is not enough."""
    epsilon = float(settings.epsilon)
    rounded = round_inside(images, found.images, settings.norm, epsilon)
    finished = lattice.finish(
        attack_view(network),
        images,
        found.images,
        labels,
        norm=settings.norm,
        epsilon=epsilon,
        steps=settings.finish_steps,
        confidence_target=settings.confidence_target,
        slots=settings.slots,
        progress=progress,
    )
    return Attacked(
        images=finished.images,
        p_original=p_positive(network, images),
        p_float=p_positive(network, found.images),
        p_rounded=p_positive(network, rounded),
        p_8bit=p_positive(network, finished.images),
        steps=found.steps.numpy(),
        finish_steps=finished.steps.numpy(),
    )
