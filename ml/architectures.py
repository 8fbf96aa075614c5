"""Classifiers by name, of torchvision or timm, and weights that others have trained for them."""

import difflib
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from ml.errors import MlError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TIMM = "timm:"
INCEPTIONS = ("googlenet", "inception_v3")
"""They have auxiliary classifiers, which are left out, and normalise in a way of their own."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

State = dict[str, Tensor]


def build_body(architecture: str, classes: int = 2) -> nn.Module:
    """With random weights; takes pixels normalised by `mean_and_std`, gives logits."""
    if architecture.startswith(TIMM):
        name, timm = _timm_name(architecture)
        body: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
        return body
    name, options = _torchvision_name(architecture), {}
    if name in INCEPTIONS:
        options = {"aux_logits": False, "transform_input": True, "init_weights": True}
    built: nn.Module = torchvision.models.get_model(name, num_classes=classes, **options)
    return built


def mean_and_std(body: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of the colour channels, for pixels in [0, 1]; timm's networks say their own."""
    said: dict[str, Any] = getattr(body, "pretrained_cfg", {})
    return tuple(said.get("mean", IMAGENET_MEAN)), tuple(said.get("std", IMAGENET_STD))


def take_weights(body: nn.Module, architecture: str, weights: str) -> None:
    """Into all of `body` but its head; `weights` is "imagenet" or a file."""
    if weights == "imagenet":
        state, origin = _imagenet_state(architecture), "What was downloaded"
    else:
        state, origin = _read_weights(Path(weights)), weights
    head = {f"{head_name(architecture)}.{kind}" for kind in ("weight", "bias")}
    kept = {
        name: value
        for name, value in state.items()
        if name not in head and not name.startswith(AUXILIARY)
    }
    try:
        missing, unknown = body.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        missing, unknown = [], [str(error).splitlines()[-1].strip()]
    problems = unknown or sorted(set(missing) - head)
    if problems:
        raise MlError(f"{origin} is no {architecture} ({problems[0]}); give a file of its weights.")


@cache
def head_name(architecture: str) -> str:
    """The path of the last layer, found as the one whose shape depends on the classes."""
    two, three = _shapes(architecture, 2), _shapes(architecture, 3)
    heads = {name.rpartition(".")[0] for name in two if two[name] != three[name]}
    if len(heads) != 1:
        raise MlError(f"{architecture} has {len(heads)} last layers; choose one that has one.")
    return heads.pop()


def _shapes(architecture: str, classes: int) -> dict[str, torch.Size]:
    try:
        with torch.device("meta"):
            body = build_body(architecture, classes)
    except NotImplementedError:  # RegNets compute with tensors while they are built.
        with torch.random.fork_rng():
            body = build_body(architecture, classes)
    return {name: value.shape for name, value in body.state_dict().items()}


def _torchvision_name(architecture: str) -> str:
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        raise MlError(_unknown(architecture, known))
    return architecture


def _timm_name(architecture: str) -> tuple[str, ModuleType]:
    try:
        timm = import_module("timm")
    except ImportError:
        raise MlError(
            f"For {architecture} timm is missing; install it: pip install 'plainsight[timm]'."
        ) from None
    name = architecture.removeprefix(TIMM)
    if not timm.is_model(name):
        raise MlError(_unknown(architecture, [f"{TIMM}{one}" for one in timm.list_models()]))
    return name, timm


def _unknown(architecture: str, known: list[str]) -> str:
    close = difflib.get_close_matches(architecture, known, n=4, cutoff=0.5)
    near = f"such as {', '.join(close)}" if close else "such as resnet18 or timm:resnet18"
    return f"There is no architecture {architecture}; name one of torchvision's or timm's, {near}."


def _imagenet_state(architecture: str) -> State:
    name, options, origin = architecture, {}, "timm"
    if architecture.startswith(TIMM):
        name, timm = _timm_name(architecture)
        build, options = timm.create_model, {"pretrained": True}
    else:
        build, name = torchvision.models.get_model, _torchvision_name(architecture)
        source = torchvision.models.get_model_weights(name).DEFAULT
        options, origin = {"weights": source, "progress": False}, source.url
        if name in INCEPTIONS:
            options["aux_logits"] = False
    try:
        state: State = build(name, **options).state_dict()
    except Exception as error:  # noqa: BLE001 - hubs raise many kinds, all meaning the same
        first_line = str(error).partition("\n")[0]
        raise MlError(
            f"ImageNet weights could not be downloaded from {origin} ({first_line}); "
            "start from random weights with --weights none, or give a file: --weights FILE."
        ) from None
    return state


def _read_weights(path: Path) -> State:
    if not path.is_file():
        raise MlError(f'There is no weights file {path}; give one, "imagenet" or "none".')
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        return {_name_of_today(name): value for name, value in state.items()}
    except Exception as error:  # noqa: BLE001 - torch.load raises many kinds, all meaning the same
        first_line = str(error).partition("\n")[0]
        raise MlError(
            f"{path} holds no readable weights ({first_line}); download it again."
        ) from None


def _name_of_today(name: str) -> str:
    """Torchvision's files of DenseNets still say norm.1 for norm1, and so on."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)
