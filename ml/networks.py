"""The network under attack: how it is built, kept on disk, and made ready for an attack."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from torch import Tensor, nn

from ml.architectures import build_body, head_name, mean_and_std, take_weights
from ml.data import Source
from ml.devices import autocast, device_of
from ml.errors import MlError
from ml.files import sha256_of, whole_file
from ml.rewriting import rewrite


class PixelNetwork(nn.Module):
    """Two logits (no tumour, tumour) for pixels in [0, 1], (batch, 3, height, width)."""

    mean: Tensor
    std: Tensor | None

    def __init__(self, architecture: str = "resnet18") -> None:
        super().__init__()
        self.architecture = architecture
        self.body = build_body(architecture)
        mean, std = mean_and_std(self.body)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        centred = pixels - self.mean
        logits: Tensor = self.body(centred if self.std is None else centred / self.std)
        return logits

    @property
    def head(self) -> nn.Module:
        """The last layer, whose outputs are the logits."""
        return self.body.get_submodule(head_name(self.architecture))


def build_network(weights: str, *, seed: int, architecture: str = "resnet18") -> PixelNetwork:
    """`weights` is "imagenet", "none" (random ones), or a file; the seed draws what is random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = PixelNetwork(architecture)
    if weights != "none":
        take_weights(network.body, architecture, weights)
    return network.to(memory_format=torch.channels_last)


def features(network: PixelNetwork, pixels: Tensor) -> Tensor:
    """What the last layer is given, (batch, features); the mean over space if that is a map."""
    given: list[Tensor] = []

    def look(_head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given.append(inputs[0])

    with network.head.register_forward_pre_hook(look):
        network(pixels)
    (found,) = given
    return found.mean(dim=(2, 3)) if found.dim() == 4 else found


def last_convolution(network: PixelNetwork) -> nn.Module:
    """The last one before the head in the order of definition, where Grad-CAM looks."""
    found = [
        m for m in network.body.modules() if isinstance(m, nn.Conv2d) and m is not network.head
    ]
    if not found:
        raise MlError(f"{network.architecture} has no convolution; choose one that has.")
    return found[-1]


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
    with whole_file(path) as beside:
        save_weights(network, beside)
    card = describe(sha256_of(path))
    with whole_file(card_path(path)) as beside:
        beside.write_text(json.dumps(asdict(card), indent=2) + "\n", "utf-8")
    return card


def save_weights(network: PixelNetwork, path: Path) -> None:
    # safetensors keeps no strides, so the layout goes back to channels_last on loading.
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    path.write_bytes(safetensors.torch.save(state))


def load_network(
    path: Path, device: torch.device | str = "cpu"
) -> tuple[PixelNetwork, NetworkCard]:
    """In eval mode; refuses weights that are not those the card was written for."""
    card = load_card(path)
    if not path.is_file():
        raise MlError(f"There is no network {path}; give the network.safetensors of a training.")
    if sha256_of(path) != card.file_sha256:
        raise MlError(
            f"{path} is not the network that {card_path(path)} describes (its sha256 differs); "
            "copy both again, or train anew."
        )
    network = PixelNetwork(card.architecture)
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise MlError(f"{path} holds no {card.architecture} ({error}); train anew.") from None
    return network.eval().to(device).to(memory_format=torch.channels_last), card


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
    """The same function, faster to take input gradients of; its weights are frozen."""
    view = copy.deepcopy(network).eval().requires_grad_(False)
    if view.std is not None and rewrite(view.body, view.std):
        view.std = None
    return view.to(memory_format=torch.channels_last)


def in_bf16(network: PixelNetwork) -> Callable[[Tensor], Tensor]:
    """For searching only; slower than fp32 on a CPU that has no bf16 units."""
    device = device_of(network)

    def forward(pixels: Tensor) -> Tensor:
        with autocast(device, "bf16"):
            logits: Tensor = network(pixels)
            return logits

    return forward
