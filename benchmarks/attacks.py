"""What our attacks cost, against the floor and against other libraries.

The floor is what any library's step costs at best: forward, and the gradient with respect to the
input only, weights frozen, fp32, NCHW, eager. Peers take all steps on all images; that is how they
are. Rounds are interleaved and ratios taken within a round, since machines are shared; where other
work runs beside it, read the ratios of CPU time. Without --network and --data, a network briefly
trained on generated tissue, which is kept in --folder.

    python benchmarks/attacks.py --reet CHECKOUT --autoattack CHECKOUT
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

# As the command does; see ml/cli.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import torch

from benchmarks import curves, peers, race, step
from benchmarks.subject import briefly_trained, loaded
from ml.provenance import provenance

PARTS = ("step", "race", "curves")


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.option("--network", type=click.Path(path_type=Path), help="With --data.")
@click.option("--data", type=click.Path(path_type=Path))
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("build"), help="For tissue."
)
@click.option("--size", default=224, show_default=True, help="Pixels, of generated tissue.")
@click.option("--count", default=64, show_default=True, help="Patches in the race.")
@click.option("--curve-count", default=32, show_default=True, help="Patches in the curves.")
@click.option("--epsilon", default=2.0, show_default=True, help="Of the race, in grey levels.")
@click.option("--steps", multiple=True, default=(10, 40), show_default=True, help="Of the race.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--curve-rounds", default=1, show_default=True)
@click.option("--bf16/--no-bf16", default=True, show_default=True, help="Search in bf16 too.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="[default: all]")
@click.option("--reet", type=click.Path(path_type=Path, exists=True), help="Its checkout.")
@click.option("--autoattack", type=click.Path(path_type=Path, exists=True), help="Its checkout.")
@click.option("--json", "as_json", is_flag=True)
def main(
    network: Path | None,
    data: Path | None,
    folder: Path,
    size: int,
    count: int,
    curve_count: int,
    epsilon: float,
    steps: tuple[int, ...],
    rounds: int,
    curve_rounds: int,
    bf16: bool,
    parts: tuple[str, ...],
    reet: Path | None,
    autoattack: Path | None,
    as_json: bool,
) -> None:
    if network is None or data is None:
        subject = briefly_trained(folder, size, count)
    else:
        subject = loaded(network, data, count)
    checkouts = peers.Checkouts(reet, autoattack)
    runs: dict[str, Callable[[], list[Any]]] = {
        "step": lambda: step.measure(subject, rounds=rounds),
        "race": lambda: [
            race.measure(
                subject,
                epsilon=epsilon,
                steps=most,
                rounds=rounds,
                bf16=bf16,
                checkouts=checkouts,
            )
            for most in steps
        ],
        "curves": lambda: curves.measure(subject.parts(curve_count)[0], rounds=curve_rounds),
    }
    results = {part: runs[part]() for part in PARTS if not parts or part in parts}
    told = {
        "images": list(subject.images.shape),
        "network": str(network or "ResNet-18, briefly trained on generated tissue"),
        "torch_threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "peers": peers.versions(),
    }
    if as_json:
        outcome = {part: [asdict(one) for one in found] for part, found in results.items()}
        click.echo(json.dumps({**told, **outcome, "provenance": provenance()}, indent=2))
        return
    click.echo(json.dumps(told))
    for found in results.values():
        for one in found:
            click.echo("\n" + one.told())


if __name__ == "__main__":
    main()
