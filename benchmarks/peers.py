"""Other libraries' attacks, by name; one that is not installed is named as missing."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch import Tensor, nn

from benchmarks import adapters
from benchmarks.adapters import Attack, BallNorm, Budget

PACKAGES = ("torchattacks", "foolbox", "adversarial-robustness-toolbox", "adv-lib")


@dataclass(frozen=True)
class Peers:
    """`missing` tells why, by name."""

    attacks: dict[str, Attack]
    missing: dict[str, str]


@dataclass(frozen=True)
class Checkouts:
    """Where the libraries are that no package registry has."""

    reet: Path | None = None
    autoattack: Path | None = None


def bounded(budget: Budget, checkouts: Checkouts) -> Peers:
    """What searches within a budget; all start at the original, but for REET and AutoAttack."""
    makers: dict[str, Callable[[], Attack]] = {}
    if budget.norm != "l1":
        makers["torchattacks PGD"] = lambda: adapters.torchattacks(budget)
    makers["Foolbox PGD"] = lambda: adapters.foolbox(budget)
    makers["ART PGD"] = lambda: adapters.art(budget)
    if budget.norm == "linf":
        makers["adv-lib PGD"] = lambda: adapters.adv_lib_pgd(budget)
        makers["REET PGD"] = lambda: adapters.reet(budget, checkouts.reet)
    if budget.norm != "l1":
        makers["AutoAttack APGD-CE"] = lambda: adapters.autoattack(budget, checkouts.autoattack)
    return _made(makers)


def minimal(norm: BallNorm, steps: int) -> Peers:
    """What searches for the smallest perturbation; where none was found, the image may be any."""
    return _made(
        {
            "Foolbox FMN": lambda: adapters.foolbox_fmn(norm, steps),
            "adv-lib FMN": lambda: adapters.adv_lib_fmn(norm, steps),
        }
    )


def versions() -> dict[str, str]:
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _made(makers: dict[str, Callable[[], Attack]]) -> Peers:
    attacks, missing = {}, {}
    for name, make in makers.items():
        try:
            attacks[name] = _quiet(make())
        except ImportError as error:
            missing[name] = str(error)
    return Peers(attacks, missing)


def _quiet(attack: Attack) -> Attack:
    """Without warnings, which are about the library's own code."""

    def run(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return attack(network, pixels, labels)

    return run
