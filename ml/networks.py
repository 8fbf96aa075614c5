"""The network under attack: how it is built, kept on disk, and made ready for an attack."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import safetensors.torch
import torch
import torchvision
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock

from ml.data import Source
from ml.errors import MlError
from ml.files import sha256_of, whole_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PixelNetwork(nn.Module):
    """ResNet-18 with two logits (no tumour, tumour) for pixels in [0, 1], (batch, 3, h, w)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = torchvision.models.resnet18(num_classes=2)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.body((pixels - self.mean) / self.std)
        return logits


def build_network(weights: str, *, seed: int) -> PixelNetwork:
    """`weights` is "imagenet", "none" (random ones), or a file; the seed draws what is random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = PixelNetwork()
    match weights:
        case "none":
            pass
        case "imagenet":
            _take_all_but_the_head(network, _download_imagenet_weights(), "torchvision")
        case _:
            _take_all_but_the_head(network, _read_weights(Path(weights)), weights)
    return network.to(memory_format=torch.channels_last)


def _download_imagenet_weights() -> dict[str, Tensor]:
    source = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = source.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise MlError(
            f"ImageNet weights could not be downloaded from {source.url} ({error}); "
            "start from random weights with --weights none, or give that file: --weights FILE."
        ) from None
    return state


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise MlError(f'There is no weights file {path}; give one, "imagenet" or "none".')
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch.load raises many kinds, all meaning the same
        first_line = str(error).partition("\n")[0]
        raise MlError(
            f"{path} holds no readable weights ({first_line}); download it again."
        ) from None
    return state


def _take_all_but_the_head(network: PixelNetwork, state: dict[str, Tensor], origin: str) -> None:
    features = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        missing, unknown = network.body.load_state_dict(features, strict=False)
    except RuntimeError as error:
        missing, unknown = [], [str(error).splitlines()[-1].strip()]
    if unknown or set(missing) != {"fc.weight", "fc.bias"}:
        problem = (unknown or sorted(set(missing) - {"fc.weight", "fc.bias"}))[0]
        raise MlError(
            f"{origin} is not torchvision's ResNet-18 ({problem}); give a file of its weights."
        )


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class NetworkCard:
    """What stands beside the weights. `settings` made the network, `data_sha256` is of all data."""

    architecture: str
    file_sha256: str
    created_at: str
    data_name: str
    data_sha256: str
    held_out: tuple[Source, ...]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    seconds: float
    provenance: dict[str, Any]


def card_path(weights: Path) -> Path:
    return weights.with_suffix(".json")


def save_network(
    network: PixelNetwork, path: Path, describe: Callable[[str], NetworkCard]
) -> NetworkCard:
    """Writes the weights, then the card, which `describe` makes from the weights' sha256."""
    # safetensors keeps no strides, so the layout goes back to channels_last on loading.
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    with whole_file(path) as beside:
        beside.write_bytes(safetensors.torch.save(state))
    card = describe(sha256_of(path))
    with whole_file(card_path(path)) as beside:
        beside.write_text(json.dumps(asdict(card), indent=2) + "\n", "utf-8")
    return card


def load_network(path: Path) -> tuple[PixelNetwork, NetworkCard]:
    """In eval mode; refuses weights that are not those the card was written for."""
    card = load_card(path)
    if not path.is_file():
        raise MlError(f"There is no network {path}; give the network.safetensors of a training.")
    if sha256_of(path) != card.file_sha256:
        raise MlError(
            f"{path} is not the network that {card_path(path)} describes (its sha256 differs); "
            "copy both again, or train anew."
        )
    network = PixelNetwork()
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise MlError(f"{path} holds no {card.architecture} ({error}); train anew.") from None
    return network.eval().to(memory_format=torch.channels_last), card


def load_card(weights: Path) -> NetworkCard:
    path = card_path(weights)
    if not path.is_file():
        raise MlError(
            f"There is no {path}; give a network.safetensors that has its network.json beside it."
        )
    try:
        return TypeAdapter(NetworkCard).validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise MlError(
            f"{path} describes no network ({where}: {problem['msg']}); train anew."
        ) from None


def attack_view(network: PixelNetwork) -> PixelNetwork:
    """The same function, faster to take gradients of: frozen, batch norm in the convolutions."""
    view = copy.deepcopy(network).eval().requires_grad_(False)
    for module in view.modules():
        match module:
            case BasicBlock():
                _fold(module, "conv1", "bn1")
                _fold(module, "conv2", "bn2")
                if module.downsample is not None:
                    module.downsample = nn.Sequential(fuse_conv_bn_eval(*module.downsample))
            case torchvision.models.ResNet():
                _fold(module, "conv1", "bn1")
            case _:
                pass
    return view.to(memory_format=torch.channels_last)


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    setattr(module, convolution, folded)
    setattr(module, norm, nn.Identity())


def in_bf16(network: PixelNetwork) -> Callable[[Tensor], Tensor]:
    """For searching only; slower than fp32 on a CPU that has no bf16 units."""

    def forward(pixels: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = network(pixels)
            return logits

    return forward
