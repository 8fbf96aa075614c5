"""Our PGD against a plain loop on the same network and images: ratios of time, and success.

The plain loop is what attack libraries do at their best: all steps on all images, forward and the
gradient with respect to the input only, weights frozen, fp32. Ours folds batch norm into the
convolutions, lays tensors out channels_last, and lets an image go at the confidence target.
Rounds are interleaved and ratios are taken within a round, since machines are shared; where other
work runs beside it, read the ratio of CPU time.

    python benchmarks/attack_steps.py network/network.safetensors tissue
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

# As the command does; see ml/cli.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np
import torch
from torch import Tensor

from ml.attacks.budget import project_linf
from ml.attacks.pgd import pgd_linf
from ml.data import load_patches
from ml.evaluation import p_positive
from ml.networks import PixelNetwork, attack_view, load_network
from ml.provenance import provenance
from ml.quantize import tensor_from_images

BATCH_SIZE = 16
UNREACHABLE = 1 - 1e-15


@dataclass(frozen=True)
class Setting:
    network: PixelNetwork
    view: PixelNetwork
    images: Tensor
    labels: Tensor
    epsilon: float
    steps: int


@dataclass(frozen=True)
class Figure:
    """Ratios to the plain loop's time; `success` in float, by the fp32 network."""

    contestant: str
    cpu_ratio: float
    wall_ratio: float
    wall_seconds: float
    success: float


def make_setting(network_file: Path, data: Path, count: int, epsilon: float, steps: int) -> Setting:
    network, card = load_network(network_file)
    patches = load_patches(data, tissue=card.settings["data"]["tissue"])
    chosen = np.flatnonzero(patches.labels == 1)[:count]
    return Setting(
        network.requires_grad_(False).to(memory_format=torch.contiguous_format),
        attack_view(network),
        tensor_from_images(patches.images(chosen)),
        torch.from_numpy(patches.labels[chosen]),
        epsilon,
        steps,
    )


def plain_loop(setting: Setting) -> Tensor:
    parts = []
    for first in range(0, len(setting.images), BATCH_SIZE):
        originals = setting.images[first : first + BATCH_SIZE].float()
        labels = setting.labels[first : first + BATCH_SIZE]
        perturbed = originals.clone()
        for _ in range(setting.steps):
            variable = (perturbed / 255).requires_grad_()
            loss = torch.nn.functional.cross_entropy(
                setting.network(variable), labels, reduction="sum"
            )
            (gradient,) = torch.autograd.grad(loss, variable)
            moved = perturbed + setting.epsilon / 4 * gradient.sign()
            perturbed = project_linf(moved, originals, setting.epsilon)
        parts.append(perturbed)
    return torch.cat(parts)


def ours(setting: Setting, *, confidence_target: float, slots: int) -> Tensor:
    return pgd_linf(
        setting.view,
        setting.images,
        setting.labels,
        epsilon=setting.epsilon,
        step_size=setting.epsilon / 4,
        steps=setting.steps,
        confidence_target=confidence_target,
        slots=slots,
    ).images


def measure(setting: Setting, rounds: int) -> list[Figure]:
    contestants: dict[str, Callable[[Setting], Tensor]] = {
        "plain loop": plain_loop,
        f"ours, no stop, {BATCH_SIZE} slots": partial(
            ours, confidence_target=UNREACHABLE, slots=BATCH_SIZE
        ),
        **{
            f"ours, stop at 0.9, {slots} slots": partial(ours, confidence_target=0.9, slots=slots)
            for slots in (4, 8, 16)
        },
    }
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    success = {}
    for _ in range(rounds):
        for name, run in contestants.items():
            wall_began, cpu_began = time.perf_counter(), time.process_time()
            images = run(setting)
            cpu[name].append(time.process_time() - cpu_began)
            wall[name].append(time.perf_counter() - wall_began)
            wrong = (p_positive(setting.network, images) >= 0.5) != setting.labels.numpy()
            success[name] = float(wrong.mean())
    return [
        Figure(
            contestant=name,
            cpu_ratio=_median_ratio(cpu[name], cpu["plain loop"]),
            wall_ratio=_median_ratio(wall[name], wall["plain loop"]),
            wall_seconds=statistics.median(wall[name]),
            success=success[name],
        )
        for name in contestants
    ]


def _median_ratio(times: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(times, theirs, strict=True))


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--count", default=32, show_default=True, help="Tumour patches.")
@click.option("--epsilon", default=2.0, show_default=True, help="Grey levels.")
@click.option("--steps", default=10, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    network: Path,
    data: Path,
    count: int,
    epsilon: float,
    steps: int,
    rounds: int,
    as_json: bool,
) -> None:
    setting = make_setting(network, data, count, epsilon, steps)
    figures = measure(setting, rounds)
    shape = list(setting.images.shape)
    if as_json:
        told = {"images": shape, "epsilon": epsilon, "steps": steps, "rounds": rounds}
        outcome = [asdict(figure) for figure in figures]
        click.echo(json.dumps({**told, "figures": outcome, "provenance": provenance()}, indent=2))
        return
    click.echo(f"images {shape}, epsilon {epsilon}, at most {steps} steps, {rounds} rounds")
    for figure in figures:
        click.echo(
            f"{figure.contestant:27} CPU {figure.cpu_ratio:4.2f}  wall {figure.wall_ratio:4.2f} "
            f"({figure.wall_seconds:.1f} s)  success {figure.success:.2f}"
        )


if __name__ == "__main__":
    main()
