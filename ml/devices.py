"""Where a network computes: on the CPU, or on a graphics card of NVIDIA or Apple."""

import torch
from torch import nn

from ml.errors import MlError
from ml.experiment import Precision


def choose_device(choice: str) -> torch.device:
    """One of "cuda", "mps" and "cpu", or the first of them that is there for "auto"."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there.get(choice):
        usable = " or ".join(["auto", *(name for name, is_there in there.items() if is_there)])
        raise MlError(f"PyTorch finds no {choice} device here; use --device {usable}.")
    return torch.device(choice)


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Computes what is safe to in bf16 if that is the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
