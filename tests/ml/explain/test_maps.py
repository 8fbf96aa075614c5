from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import densenet121, mobilenet_v3_small, resnet18

from ml.errors import MlError
from ml.explain.maps import (
    METHODS,
    integrated_gradients,
    last_feature_map,
    saliency_map,
    share_inside,
)
from ml.quantize import pixels_from_grey_levels

STEPS = 32


class Convolutional(nn.Module):
    """One convolution whose map the head averages, so that Grad-CAM is known in closed form."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.maps = nn.Conv2d(3, 4, 4, stride=4)
            self.head = nn.Linear(4, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.maps(pixels).mean(dim=(2, 3)))
        return logits


class Curved(nn.Module):
    """Smooth, so that 32 points suffice for its integral."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Convolutional(1)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.body(pixels) + self.body(pixels.square())
        return logits


def draw_image(seed: int = 0, size: int = 16) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, size, size), generator=chance, dtype=torch.uint8)


def test_of_a_linear_network_the_gradient_is_its_weights(
    make_linear_case: Callable[..., Any],
) -> None:
    case = make_linear_case(10.0)
    found = saliency_map(case.network, case.image[0], "gradient", integration_steps=STEPS)
    assert found == pytest.approx(case.network.weight.abs().amax(dim=0).numpy())


def test_of_a_linear_network_integrated_gradients_are_weight_times_distance_from_white(
    make_linear_case: Callable[..., Any],
) -> None:
    case = make_linear_case(10.0)
    found = saliency_map(
        case.network, case.image[0], "integrated_gradients", integration_steps=STEPS
    )
    by_hand = (case.network.weight * (case.image[0] / 255 - 1)).sum(dim=0).abs()
    assert found == pytest.approx(by_hand.numpy(), rel=1e-4)


@pytest.mark.parametrize("target", [0, 1])
def test_integrated_gradients_sum_to_the_score_less_that_of_white(target: int) -> None:
    network, pixels = Curved(), pixels_from_grey_levels(draw_image().unsqueeze(0))
    found = integrated_gradients(network, pixels.requires_grad_(), target, STEPS)
    with torch.no_grad():
        rise = network(pixels)[0, target] - network(torch.ones_like(pixels))[0, target]
    assert found.sum().item() == pytest.approx(rise.item(), rel=1e-4)


def test_grad_cam_is_the_maps_weighted_by_their_mean_gradient() -> None:
    network, image = Convolutional(), draw_image()
    found = saliency_map(network, image, "grad_cam", integration_steps=STEPS)
    with torch.no_grad():
        maps = network.maps(image.unsqueeze(0) / 255)[0]
        predicted = int(network.head(maps.mean(dim=(1, 2))).argmax())
        weights = network.head.weight[predicted] / maps[0].numel()
        coarse = (maps * weights.view(-1, 1, 1)).sum(dim=0).clamp(min=0).numpy()
    assert coarse.max() > 0
    assert found.shape == (16, 16)
    # Of a bilinear enlargement by four, a corner is the corner of the coarse map.
    for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
        assert found[row, column] == pytest.approx(coarse[row, column], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_class_explained_is_the_one_predicted(method: Any) -> None:
    """Negating the class that loses changes nothing."""

    class Weighed(nn.Module):
        def __init__(self, loser: float) -> None:
            super().__init__()
            self.body, self.loser = Convolutional(), loser

        def forward(self, pixels: Tensor) -> Tensor:
            first, second = self.body(pixels).unbind(dim=1)
            return torch.stack([self.loser * first, second.square() + 100], dim=1)

    first, second = (
        saliency_map(Weighed(loser), draw_image(), method, integration_steps=STEPS)
        for loser in (1.0, -1.0)
    )
    assert np.array_equal(first, second)
    assert first.max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_no_map_is_negative_and_each_has_the_size_of_the_image(method: Any) -> None:
    found = saliency_map(Convolutional(2), draw_image(1, size=24), method, integration_steps=STEPS)
    assert found.shape == (24, 24)
    assert found.min() >= 0


@pytest.mark.parametrize(
    ("network", "layer"),
    [(resnet18(), "layer4"), (densenet121(), "features"), (mobilenet_v3_small(), "features")],
)
def test_the_last_feature_map_is_that_before_the_pooling(network: nn.Module, layer: str) -> None:
    pixels = torch.zeros(1, 3, 64, 64)
    assert last_feature_map(network.eval(), pixels) is network.get_submodule(layer)


def test_grad_cam_of_a_network_without_maps_says_so(make_linear_case: Callable[..., Any]) -> None:
    case = make_linear_case(10.0)
    with pytest.raises(MlError, match="feature maps"):
        saliency_map(case.network, case.image[0], "grad_cam", integration_steps=STEPS)


def test_the_share_inside_a_mask_is_that_computed_by_hand() -> None:
    saliency = np.array([[1.0, 2.0], [3.0, 4.0]])
    mask = np.array([[True, False], [False, True]])
    assert share_inside(saliency, mask) == 0.5
    assert share_inside(saliency, ~mask) == 0.5
    assert share_inside(np.array([[1.0, 0.0], [0.0, 0.0]]), mask) == 1
    assert share_inside(np.zeros((2, 2)), mask) is None
