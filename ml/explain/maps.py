"""Saliency maps: how much each pixel matters for the score of the class that is predicted.

The score is that class's logit, as in Simonyan et al. 2013: the gradient of its probability would
vanish for a confident network. Before an attack the class explained is thus the one that the
network gives the original, afterwards the one that it gives the perturbed image.
"""

from typing import Any, Literal, get_args

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Saliency
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.errors import MlError
from ml.quantize import pixels_from_grey_levels

Method = Literal["gradient", "integrated_gradients", "grad_cam"]
METHODS: tuple[Method, ...] = get_args(Method)

BARE_GLASS = 1.0
"""The image without tissue, from which integrated gradients start: in a stained section white is
the absence of everything. The usual black would be the densest nucleus."""


def saliency_map(
    network: nn.Module, image: Tensor, method: Method, *, integration_steps: int
) -> NDArray[np.float64]:
    """(height, width), 0 or above, of one image in grey levels (3, height, width).

    `gradient`: the largest absolute value over the channels (Simonyan et al. 2013, section 3.1).
    `integrated_gradients` (Sundararajan et al. 2017): the absolute value of the channels' sum.
    `grad_cam` (Selvaraju et al. 2017): of the last feature map, brought to the size of the image;
    0 everywhere if nothing in it speaks for the class.
    """
    pixels = pixels_from_grey_levels(image.unsqueeze(0)).requires_grad_()
    with torch.no_grad():
        predicted = int(network(pixels).argmax(dim=1))
    match method:
        case "gradient":
            found = Saliency(network).attribute(pixels, target=predicted).amax(dim=1)
        case "integrated_gradients":
            found = integrated_gradients(network, pixels, predicted, integration_steps)
            found = found.sum(dim=1).abs()
        case "grad_cam":
            found = _grad_cam(network, pixels, predicted)
    values: NDArray[np.float64] = found[0].detach().cpu().double().numpy()
    return values


def integrated_gradients(network: nn.Module, pixels: Tensor, target: int, steps: int) -> Tensor:
    """Of the class `target`, (1, 3, height, width); sums to its score less that of bare glass."""
    found: Tensor = IntegratedGradients(network).attribute(
        pixels, baselines=BARE_GLASS, target=target, n_steps=steps, internal_batch_size=8
    )
    return found


def _grad_cam(network: nn.Module, pixels: Tensor, target: int) -> Tensor:
    layer = last_feature_map(network, pixels)
    coarse = LayerGradCam(network, layer).attribute(pixels, target=target, relu_attributions=True)
    fine: Tensor = LayerAttribution.interpolate(coarse, pixels.shape[2:], "bilinear")
    return fine[:, 0]


def last_feature_map(network: nn.Module, pixels: Tensor) -> nn.Module:
    """The layer that gives the last output with more than one place, (batch, features, h, w)."""
    found: list[nn.Module] = []

    def look(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1:
            found.append(module)

    hooks = [module.register_forward_hook(look) for module in network.modules()]
    try:
        with torch.no_grad():
            network(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise MlError("Grad-CAM needs a network with feature maps; choose a convolutional one.")
    return found[-1]


def share_inside(saliency: NDArray[np.float64], mask: NDArray[np.bool_]) -> float | None:
    """Of the map's mass; None for a map that is 0 everywhere."""
    total = float(saliency.sum())
    return None if total == 0 else float(saliency[mask].sum()) / total
