"""One thin adapter an attack of another library, which keeps the library's own loop.

In and out are pixels from 0 to 1. The libraries measure norms as totals over all values.
"""

import importlib
import math
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""The network, pixels (n, 3, height, width) and the true classes (n,) to perturbed pixels."""
BallNorm = Literal["l1", "l2", "linf"]


@dataclass(frozen=True)
class Budget:
    """`epsilon` and `step_size` in grey levels: l1 MAD, l2 RMSD, linf."""

    norm: BallNorm
    epsilon: float
    step_size: float
    steps: int


def total(size: float, norm: BallNorm, values: int) -> float:
    """From the paper's measure in grey levels to the norm of pixels in [0, 1]."""
    match norm:
        case "linf":
            return size / 255
        case "l2":
            return size / 255 * math.sqrt(values)
        case "l1":
            return size / 255 * values


def _import(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _values(pixels: Tensor) -> int:
    return pixels[0].numel()


def torchattacks(budget: Budget) -> Attack:
    library = _import("torchattacks")

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        kind = library.PGD if budget.norm == "linf" else library.PGDL2
        perturbed: Tensor = kind(
            network,
            eps=total(budget.epsilon, budget.norm, _values(pixels)),
            alpha=total(budget.step_size, budget.norm, _values(pixels)),
            steps=budget.steps,
            random_start=False,
        )(pixels, labels)
        return perturbed

    return attack


def foolbox(budget: Budget) -> Attack:
    library = _import("foolbox")
    kinds = {
        "l1": library.attacks.SparseL1DescentAttack,
        "l2": library.attacks.L2PGD,
        "linf": library.attacks.LinfPGD,
    }

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        search = kinds[budget.norm](
            abs_stepsize=total(budget.step_size, budget.norm, _values(pixels)),
            steps=budget.steps,
            random_start=False,
        )
        model = library.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        epsilon = total(budget.epsilon, budget.norm, _values(pixels))
        _, perturbed, _ = search(model, pixels, labels, epsilons=epsilon)
        return torch.as_tensor(perturbed)

    return attack


def art(budget: Budget) -> Attack:
    evasion = _import("art.attacks.evasion")
    classification = _import("art.estimators.classification")

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        estimator = classification.PyTorchClassifier(
            network,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(pixels.shape[1:]),
            nb_classes=2,
            clip_values=(0, 1),
            device_type="cpu",
        )
        search = evasion.ProjectedGradientDescentPyTorch(
            estimator,
            norm={"l1": 1, "l2": 2, "linf": np.inf}[budget.norm],
            eps=total(budget.epsilon, budget.norm, _values(pixels)),
            eps_step=total(budget.step_size, budget.norm, _values(pixels)),
            max_iter=budget.steps,
            num_random_init=0,
            batch_size=len(pixels),
            verbose=False,
        )
        return torch.from_numpy(search.generate(x=pixels.numpy(), y=labels.numpy()))

    return attack


def _adv_lib_attacks() -> Any:
    _stand_in("visdom", "Visdom")
    return _import("adv_lib.attacks")


def _stand_in(module: str, *names: str) -> None:
    """For a library of plots that a peer imports but does not use for an attack."""
    try:
        _import(module)
    except ImportError:
        stub = types.ModuleType(module)
        for name in names:
            setattr(stub, name, object)
        sys.modules[module] = stub


def adv_lib_pgd(budget: Budget) -> Attack:
    attacks = _adv_lib_attacks()

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        perturbed: Tensor = attacks.pgd_linf(
            network,
            pixels,
            labels,
            budget.epsilon / 255,
            steps=budget.steps,
            random_init=False,
            absolute_step_size=budget.step_size / 255,
        )
        return perturbed

    return attack


def reet(budget: Budget, checkout: Path | None) -> Attack:
    """In grey levels, which are its units. Its steps are those of RMSprop."""
    _on_path(checkout, "REET", "--reet")
    _stand_in("seaborn")
    optimisers = _import("reetoolbox.optimisers")
    transforms = _import("reetoolbox.transforms")

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        class OfGreyLevels(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, grey_levels: Tensor) -> Tensor:
                logits: Tensor = self.network(grey_levels / 255)
                return logits

        search = optimisers.PGD(
            OfGreyLevels().eval(),
            transforms.PixelTransform,
            {
                "epsilon": budget.step_size,
                "steps": budget.steps,
                "constraint": "l_inf",
                "C": budget.epsilon,
                "input_range": (0, 255),
            },
            {"input_range": (0, 255)},
            device="cpu",
        )
        _, perturbed = search.optimise(pixels * 255, labels)
        return torch.as_tensor(perturbed).detach() / 255

    return attack


def autoattack(budget: Budget, checkout: Path | None) -> Attack:
    _on_path(checkout, "AutoAttack", "--autoattack")
    base = _import("autoattack.autopgd_base")

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        search = base.APGDAttack(
            network,
            n_iter=budget.steps,
            norm={"linf": "Linf", "l2": "L2"}[budget.norm],
            eps=total(budget.epsilon, budget.norm, _values(pixels)),
            loss="ce",
            device="cpu",
        )
        perturbed: Tensor = search.perturb(pixels, labels, best_loss=True)
        return perturbed

    return attack


def _on_path(checkout: Path | None, name: str, option: str) -> None:
    if checkout is None:
        raise ImportError(f"{name} is on no package registry; give its checkout by {option}")
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))


def foolbox_fmn(norm: BallNorm, steps: int) -> Attack:
    library = _import("foolbox")
    kinds = {
        "l1": library.attacks.L1FMNAttack,
        "l2": library.attacks.L2FMNAttack,
        "linf": library.attacks.LInfFMNAttack,
    }

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        model = library.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        perturbed, _, _ = kinds[norm](steps=steps)(model, pixels, labels, epsilons=None)
        return torch.as_tensor(perturbed)

    return attack


def adv_lib_fmn(norm: BallNorm, steps: int) -> Attack:
    attacks = _adv_lib_attacks()
    order = {"l1": 1, "l2": 2, "linf": float("inf")}[norm]

    def attack(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        perturbed: Tensor = attacks.fmn(network, pixels, labels, order, steps=steps)
        return perturbed

    return attack
