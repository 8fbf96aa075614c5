import itertools

import pytest
import torch
from torch import Tensor, nn

from ml.networks import PixelNetwork, attack_view, build_network
from ml.rewriting import StridedConvolution, rewrite

STD = torch.tensor([0.2, 0.3, 0.4], dtype=torch.float64).view(1, 3, 1, 1)


def trained(architecture: str) -> PixelNetwork:
    """Random weights and batch norm statistics, in fp64, where rounding is no issue."""
    network = build_network("none", seed=0, architecture=architecture)
    chance = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                assert values is not None
                values.copy_(torch.rand(values.shape, generator=chance) + 0.5)
            for values in (module.bias.data, module.running_mean):
                assert values is not None
                values.copy_(torch.rand(values.shape, generator=chance) - 0.5)
    return network.eval().double()


def some_pixels(side: int) -> Tensor:
    chance = torch.Generator().manual_seed(2)
    return torch.rand(2, 3, side, side, generator=chance, dtype=torch.float64)


def assert_same_function(ours: nn.Module, theirs: nn.Module, images: Tensor) -> None:
    def logits_and_gradient(network: nn.Module) -> tuple[Tensor, Tensor]:
        given = images.clone().requires_grad_()
        logits = network(given)
        return logits.detach(), torch.autograd.grad(logits[:, 1].sum(), given)[0]

    for our, their in zip(logits_and_gradient(ours), logits_and_gradient(theirs), strict=True):
        assert torch.allclose(our, their, rtol=1e-9, atol=1e-9 * float(their.abs().max()))


@pytest.mark.parametrize(
    ("architecture", "side"),
    [
        ("resnet18", 48),
        ("resnet18", 128),
        ("resnet18", 47),
        ("mobilenet_v3_small", 40),
        ("densenet121", 32),
        ("squeezenet1_1", 33),
        ("googlenet", 32),
        ("shufflenet_v2_x0_5", 38),
        ("timm:resnet10t", 32),
    ],
)
def test_the_attack_view_is_the_same_function(architecture: str, side: int) -> None:
    network = trained(architecture)
    view = attack_view(network)
    assert not any(parameter.requires_grad for parameter in view.parameters())
    assert_same_function(view, network, some_pixels(side))


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "googlenet"])
def test_every_batch_norm_that_follows_a_convolution_is_in_it(architecture: str) -> None:
    view = attack_view(trained(architecture))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in view.modules())


def test_the_batch_norms_of_a_densenet_that_follow_none_stay() -> None:
    """Each of its 58 layers and 3 transitions, and the end, begins with one; the others go."""
    view = attack_view(trained("densenet121"))
    assert sum(isinstance(module, nn.BatchNorm2d) for module in view.modules()) == 58 + 3 + 1


@pytest.mark.parametrize(
    ("kernel", "padding"),
    [*itertools.product(((1, 1), (2, 2), (3, 3), (7, 7), (5, 4)), ((0, 0), (1, 3), (2, 1)))],
)
def test_the_gradient_of_a_strided_convolution_is_that_of_autograd(
    kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 5, kernel, stride=2, padding=padding).double().requires_grad_(False)
    for height, width in ((12, 16), (8, 10)):
        images = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
        ours, theirs = StridedConvolution(plain)(images), plain(images)
        assert torch.equal(ours, theirs)
        weights = torch.rand_like(theirs)
        (our_gradient,) = torch.autograd.grad((ours * weights).sum(), images)
        (their_gradient,) = torch.autograd.grad((theirs * weights).sum(), images)
        assert torch.allclose(our_gradient, their_gradient, rtol=0, atol=1e-12)


class Shortcut(nn.Module):
    """What the convolution gives is used twice, and one batch norm too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images: Tensor) -> Tensor:
        straight = self.convolution(images / 2)
        given: Tensor = self.norm(straight) + self.norm(straight * 2) + straight
        return given


class Undecided(nn.Sequential):
    """Goes by the values of its input, which torch.fx cannot follow."""

    def forward(self, images: Tensor) -> Tensor:
        for module in self:
            images = module(images if images.sum() > 0 else -images)
        return images


@pytest.mark.parametrize(
    "body",
    [Shortcut(), Undecided(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))],
    ids=["twice", "untraced"],
)
def test_what_cannot_be_folded_stays_as_it_is(body: nn.Module) -> None:
    body = body.double().eval().requires_grad_(False)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    assert not rewrite(body, STD)
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
