"""A 3 x 3 convolution by fewer multiplications: Lavin and Gray 2015, arXiv:1509.09308, F(2x2, 3x3).

Every 2 x 2 outputs take 16 multiplications a channel instead of 36. What is added for it is paid by
the size of the matrix products only where there are many channels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import pad

MANY_CHANNELS = 256
ENOUGH_TILES = 64

OF_INPUT = torch.tensor([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
OF_KERNEL = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
OF_OUTPUT = torch.tensor([[1, 1, 1, 0], [0, 1, -1, -1]])


def gains_by_winograd(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
        and (module.dilation, module.groups, module.padding_mode) == ((1, 1), 1, "zeros")
        and min(module.in_channels, module.out_channels) >= MANY_CHANNELS
    )


class WinogradConvolution(nn.Module):
    """Frozen; the input's gradient is computed in the same way, with the kernel turned round."""

    kernels: Tensor
    turned: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        weight = convolution.weight.detach()
        self.register_buffer("kernels", _transformed(weight))
        self.register_buffer("turned", _transformed(weight.flip(2, 3).transpose(0, 1)))

    def forward(self, images: Tensor) -> Tensor:
        tiles = len(images) * _half(images.shape[2]) * _half(images.shape[3])
        if (
            tiles < ENOUGH_TILES
            or images.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or images.dtype != self.kernels.dtype
        ):
            given: Tensor = self.convolution(images)
            return given
        result: Tensor = _Winograd.apply(images, self)
        return result


class _Winograd(Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, module: WinogradConvolution) -> Tensor:
        ctx.module = module
        bias = module.convolution.bias
        result = _convolve(images, module.kernels)
        return result if bias is None else result.add_(bias.view(-1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _convolve(gradient, ctx.module.turned), None


def _transformed(weight: Tensor) -> Tensor:
    """(out, in, 3, 3) to (16, in, out)."""
    by = OF_KERNEL.to(weight)
    return torch.einsum("ai,ocij,bj->abco", by, weight, by).flatten(0, 1).contiguous()


def _convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Overlapping tiles of 4 x 4, one each 2 pixels, give tiles of 2 x 2 side by side."""
    n, channels, height, width = images.shape
    rows, columns, out = _half(height), _half(width), kernels.shape[2]
    borders = (0, 0, 1, 1 + 2 * columns - width, 1, 1 + 2 * rows - height)
    padded = pad(images.permute(0, 2, 3, 1), borders).contiguous()
    image, row, column, channel = padded.stride()
    tiles = padded.as_strided(
        (4, 4, n, rows, columns, channels), (row, column, image, 2 * row, 2 * column, channel)
    )
    by_place = torch.mm(_both_ways(OF_INPUT, images), tiles.reshape(16, -1))
    products = torch.bmm(by_place.view(16, -1, channels), kernels)
    found = torch.mm(_both_ways(OF_OUTPUT, images), products.view(16, -1))
    placed = found.view(2, 2, n, rows, columns, out).permute(2, 3, 0, 4, 1, 5)
    whole = placed.reshape(n, 2 * rows, 2 * columns, out).permute(0, 3, 1, 2)
    # A copy, because autograd forbids in-place steps such as ReLU on a view.
    return whole[:, :, :height, :width].clone(memory_format=torch.channels_last)


def _both_ways(transform: Tensor, like: Tensor) -> Tensor:
    """On flattened tiles, what `transform` does to their rows and then their columns."""
    return torch.kron(transform, transform).to(like)


def _half(length: int) -> int:
    return (length + 1) // 2
