"""A perturbation for each image: searched in float, finished in 8 bits, judged in fp32."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ml.attacks import lattice
from ml.attacks.pgd import Perturbed, pgd
from ml.attacks.rounding import round_inside
from ml.data import Progress
from ml.evaluation import p_positive
from ml.experiment import AttackSettings
from ml.networks import PixelNetwork, attack_view, in_bf16
from ml.quantize import images_from_tensor, tensor_from_images


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


def search(
    network: PixelNetwork,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    *,
    seed: int,
    view: PixelNetwork | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """In float; `images` uint8 (n, 3, height, width), `labels` the true classes.

    `view` is the network's attack view, if there is one already.
    """
    view = view or attack_view(network)
    return pgd(
        in_bf16(view) if settings.search_precision == "bf16" else view,
        images,
        _aim(labels, settings),
        norm=settings.norm,
        epsilon=float(settings.epsilon),
        step_size=float(settings.step_size_text),
        steps=settings.steps,
        confidence_target=settings.confidence_target,
        slots=settings.slots,
        restarts=settings.restarts,
        begin_at_random=settings.random_start,
        seed=seed,
        targeted=settings.targeted,
        progress=progress,
    )


def finish(
    network: PixelNetwork,
    images: Tensor,
    found: Perturbed,
    labels: Tensor,
    settings: AttackSettings,
    *,
    view: PixelNetwork | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Attacked:
    """Rounds what was found inside the budget, goes on in 8 bits where that is not enough.

    What is returned and judged are the images decoded from PNG.
    """
    epsilon = float(settings.epsilon)
    finished = lattice.finish(
        view or attack_view(network),
        images,
        found.images,
        _aim(labels, settings),
        norm=settings.norm,
        epsilon=epsilon,
        steps=settings.finish_steps,
        confidence_target=settings.confidence_target,
        slots=settings.slots,
        targeted=settings.targeted,
        progress=progress,
    )
    rounded = round_inside(images, found.images, settings.norm, epsilon)
    decoded = _through_png(finished.images.cpu())
    return Attacked(
        images=decoded,
        p_original=p_positive(network, images),
        p_float=p_positive(network, found.images),
        p_rounded=p_positive(network, rounded),
        p_8bit=p_positive(network, decoded),
        steps=found.steps.cpu().numpy(),
        finish_steps=finished.steps.cpu().numpy(),
    )


def _aim(labels: Tensor, settings: AttackSettings) -> Tensor:
    """The class to leave, or, targeted, the one to reach; with two classes that is the other."""
    return 1 - labels if settings.targeted else labels


def _through_png(images: Tensor) -> Tensor:
    """What a reader will see of the uint8 (n, 3, height, width) `images`."""
    decoded = []
    for image in images_from_tensor(images):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        with Image.open(file) as opened:
            decoded.append(np.array(opened))
    return tensor_from_images(np.stack(decoded))
