from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ml.attacks.budget import size_of
from ml.attacks.margin import margin
from ml.attacks.pgd import Perturbed
from ml.attacks.square import side_of_square, square


class Brightness(nn.Module):
    """Tumour where the mean of red outside a corner is above that of blue by a little."""

    def __init__(self, lead: float) -> None:
        super().__init__()
        self.lead = lead

    def forward(self, pixels: Tensor) -> Tensor:
        grey = pixels.double() * 255
        positive = grey[:, 0, 4:].mean(dim=(1, 2)) - grey[:, 2, 4:].mean(dim=(1, 2)) - self.lead
        return torch.stack([torch.zeros_like(positive), positive], dim=1)


class Quantised(Brightness):
    """Hides its gradient: a staircase."""

    def forward(self, pixels: Tensor) -> Tensor:
        return (super().forward(pixels) * 20).round() / 20


def grey_images(count: int) -> Tensor:
    return torch.full((count, 3, 16, 16), 120, dtype=torch.uint8)


def attack(network: nn.Module, images: Tensor, **changes: Any) -> Perturbed:
    settings = {
        "norm": "linf",
        "epsilon": 4.0,
        "queries": 300,
        "confidence_target": 0.500001,
        "slots": 4,
        "seed": 0,
    }
    labels = torch.zeros(len(images), dtype=torch.int64)
    return square(network, images, labels, **{**settings, **changes})


@pytest.mark.parametrize(("lead", "succeeds"), [(5.0, True), (8.5, False)])
def test_without_gradients_it_finds_what_the_linf_budget_allows_and_no_more(
    lead: float, succeeds: bool
) -> None:
    """Red up and blue down by 4 grey levels moves the lead by 8."""
    result = attack(Quantised(lead), grey_images(3), queries=600)
    assert (result.confidence > 0.5).tolist() == [succeeds] * 3


@pytest.mark.parametrize(("lead", "succeeds"), [(2.5, True), (11.5, False)])
def test_without_gradients_it_finds_what_the_l2_budget_allows_and_no_more(
    lead: float, succeeds: bool
) -> None:
    """An RMSD of 4, on the 2/3 x 3/4 of the values that count only, moves the lead by 11.3."""
    result = attack(Brightness(lead), grey_images(3), norm="l2", queries=1500)
    assert (result.confidence > 0.5).tolist() == [succeeds] * 3


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 7.5), ("l2", 5.0), ("l2", 150.0)])
def test_it_never_leaves_the_budget_nor_0_to_255(norm: Any, epsilon: float) -> None:
    chance = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 3, 16, 12), generator=chance, dtype=torch.uint8)
    result = attack(Brightness(400.0), images, norm=norm, epsilon=epsilon, queries=120)
    sizes = size_of(result.images - images, norm)
    assert (sizes <= epsilon * (1 + 1e-5)).all()
    assert (sizes > 0).all()
    assert 0 <= result.images.min().item() <= result.images.max().item() <= 255


def test_more_queries_are_never_worse_and_confidence_is_that_of_the_image() -> None:
    images, network = grey_images(2), Brightness(30.0)
    labels = torch.zeros(2, dtype=torch.int64)
    result = attack(network, images, queries=60)
    start = attack(network, images, queries=1)
    reached = margin(network, result.images, labels)
    assert (reached > margin(network, start.images, labels)).all()
    assert torch.allclose(reached.sigmoid(), result.confidence)


def test_an_image_is_repeated_by_the_seed_and_its_place_alone() -> None:
    images, network = grey_images(5), Brightness(6.0)
    first, again = attack(network, images, slots=4), attack(network, images, slots=2)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.steps, again.steps)
    assert not torch.equal(first.images[0], first.images[1])
    assert not torch.equal(first.images, attack(network, images, seed=1).images)


def test_an_image_that_is_done_asks_no_more(make_linear_case: Callable[..., Any]) -> None:
    case = make_linear_case(0.5)
    asked: list[int] = []

    def counting(pixels: Tensor) -> Tensor:
        asked.append(len(pixels))
        logits: Tensor = case.network(pixels)
        return logits

    wrong_already = 1 - case.label
    result = square(
        counting,
        case.image,
        wrong_already,
        norm="linf",
        epsilon=4.0,
        queries=50,
        confidence_target=0.500001,
        slots=4,
        seed=0,
    )
    assert asked == [1]
    assert torch.equal(result.images, case.image.float())


def test_squares_shrink_as_the_paper_has_it() -> None:
    """80 % of the image at first; of 10 000 queries, half as much from 10, 50, 200 and so on."""
    sides = [side_of_square("linf", query, 10_000, 100, 100) for query in (1, 11, 51, 201, 8001)]
    assert sides == [89, 63, 45, 32, 6]
    assert side_of_square("linf", 1, 500, 100, 100) == 63
