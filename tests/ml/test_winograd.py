import pytest
import torch
from torch import Tensor, nn

from ml.networks import attack_view, build_network, in_bf16
from ml.winograd import WinogradConvolution, gains_by_winograd


def convolution(inputs: int, outputs: int, **settings: object) -> nn.Conv2d:
    torch.manual_seed(0)
    made = nn.Conv2d(inputs, outputs, 3, **{"padding": 1, **settings})  # type: ignore[arg-type]
    return made.requires_grad_(False)


def some_images(channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    chance = torch.Generator().manual_seed(1)
    drawn = torch.randn(8, channels, height, width, generator=chance, dtype=dtype)
    return drawn.requires_grad_()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (14, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_fewer_multiplications_give_the_same_output_and_gradient(
    height: int, width: int, bias: bool
) -> None:
    plain = convolution(3, 5, bias=bias).double()
    images = some_images(3, height, width, torch.float64)
    ours, theirs = WinogradConvolution(plain)(images), plain(images)
    assert not torch.equal(ours, theirs), "it computes in another way"
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
    weights = torch.rand_like(theirs)
    (our_gradient,) = torch.autograd.grad((ours * weights).sum(), images)
    (their_gradient,) = torch.autograd.grad((theirs * weights).sum(), images)
    assert torch.allclose(our_gradient, their_gradient, rtol=0, atol=1e-12)


def test_in_fp32_it_is_as_exact_as_fp32_allows() -> None:
    plain = convolution(256, 256)
    images = some_images(256, 8, 8, torch.float32)
    exact = plain.double()(images.double())
    error = (WinogradConvolution(plain.float())(images).double() - exact).abs().max()
    assert error < 1e-5 * exact.abs().max()


def test_what_reads_the_output_may_change_it_in_place() -> None:
    plain = convolution(3, 5).double()
    images = some_images(3, 8, 8, torch.float64)
    ours, theirs = (f(images).relu_().sum() for f in (WinogradConvolution(plain), plain))
    our, their = (torch.autograd.grad(total, images)[0] for total in (ours, theirs))
    assert torch.allclose(our, their, rtol=0, atol=1e-12)


def test_few_tiles_and_bf16_are_left_to_the_usual_convolution() -> None:
    plain = convolution(3, 5)
    few = some_images(3, 4, 4, torch.float32)
    assert torch.equal(WinogradConvolution(plain)(few), plain(few))
    many = some_images(3, 16, 16, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(WinogradConvolution(plain)(many), plain(many))


@pytest.mark.parametrize(
    ("settings", "gains"),
    [
        ({}, True),
        ({"stride": 2}, False),
        ({"padding": 0}, False),
        ({"dilation": 2}, False),
        ({"groups": 2}, False),
        ({"padding_mode": "reflect"}, False),
    ],
)
def test_only_plain_convolutions_of_many_channels_gain(
    settings: dict[str, object], gains: bool
) -> None:
    assert gains_by_winograd(convolution(256, 256, **settings)) == gains
    assert not gains_by_winograd(convolution(256, 128, **settings))


def test_a_resnet_gains_in_its_last_two_stages() -> None:
    view = attack_view(build_network("none", seed=0))
    names = [n for n, m in view.body.named_modules() if isinstance(m, WinogradConvolution)]
    assert names == [
        "layer3.0.conv2",
        "layer3.1.conv1",
        "layer3.1.conv2",
        "layer4.0.conv2",
        "layer4.1.conv1",
        "layer4.1.conv2",
    ]
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.allclose(in_bf16(view)(pixels).float(), view(pixels), rtol=0.1, atol=0.1)
