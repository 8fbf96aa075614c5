"""The most memory that `plainsight-ml attack` takes on many patches.

Writes a fold of drawn tissue in PanNuke's layout and a tiny network that calls everything tumour,
and runs the real command on it. The number of patches, not the network, is what is tested: memory
must not grow with it. Needs about 6 GB of disk for 10,000 patches, and timm.

    python benchmarks/attack_memory.py --patches 10000
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

MEGABYTE = 2**20
PER_KILOBYTE = 1 if sys.platform == "darwin" else 1024
ARCHITECTURE = "timm:test_efficientnet"
EXPERIMENT = "[attack]\nsteps = {steps}\nfinish_steps = 0\nslots = 16\nshard_size = {shard_size}\n"


@dataclass(frozen=True)
class Measured:
    """`peak_rss_mb` of the command's process in 2^20 bytes, `images_mb` of all it attacked."""

    patches: int
    size: int
    shard_size: int
    attacked: int
    images_mb: float
    peak_rss_mb: float
    seconds: float


def write_fold(folder: Path, patches: int, size: int) -> None:
    """Pink with violet discs, each patch another; the masks are a sparse file."""
    images = folder / "Fold 1/images/fold1"
    masks = folder / "Fold 1/masks/fold1"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    np.save(images / "types.npy", np.array(["Breast"] * patches))
    shape = (patches, size, size)
    mask = np.lib.format.open_memmap(masks / "masks.npy", "w+", np.uint8, (*shape, 6))
    image = np.lib.format.open_memmap(images / "images.npy", "w+", np.uint8, (*shape, 3))
    chance = np.random.default_rng(0)
    row, column = np.mgrid[:size, :size]
    for i in range(patches):
        image[i] = (225, 170, 200)
        for number, (y, x) in enumerate(chance.integers(0, size, (6, 2)), start=1):
            disc = (row - y) ** 2 + (column - x) ** 2 < (size // 16) ** 2
            image[i][disc] = chance.integers((90, 50, 130), (130, 90, 170))
            mask[i, y, x, 0] = number
    image.flush()
    mask.flush()


def write_network(folder: Path) -> None:
    import torch

    from ml.networks import NetworkCard, build_network, save_network

    network = build_network("none", seed=0, architecture=ARCHITECTURE)
    with torch.no_grad():
        for name, parameter in network.head.named_parameters():
            parameter.copy_(torch.tensor([0.0, 1.0]) if name == "bias" else 0.1 * parameter)
    save_network(
        network,
        folder / "network.safetensors",
        lambda sha256: NetworkCard(
            architecture=ARCHITECTURE,
            file_sha256=sha256,
            created_at="2026-01-01T00:00:00Z",
            data_name="none",
            data_sha256="0" * 64,
            held_out=(),
            settings={"data": {"tissue": None, "size": None}},
            metrics={},
            seconds=0.0,
            provenance={},
        ),
    )


def write_all(folder: Path, patches: int, size: int) -> None:
    write_fold(folder, patches, size)
    write_network(folder)


def run_command(folder: Path, network: Path, arguments: list[str]) -> tuple[int, float]:
    """Patches attacked, and the peak in 2^20 bytes."""
    command = [sys.executable, "-m", "ml.cli", "attack", str(network), *arguments]
    out = folder / "outcome.json"
    with out.open("w") as stream:
        started = subprocess.Popen(
            [*command, "--data", str(folder), "--other-data", "--json"], stdout=stream
        )
        _, status, usage = os.wait4(started.pid, 0)
    if status:
        raise click.ClickException("The attack did not finish; its message is above.")
    attacked = int(json.loads(out.read_text())["attacked"])
    return attacked, usage.ru_maxrss * PER_KILOBYTE / MEGABYTE


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.option("--patches", default=10_000, show_default=True)
@click.option("--size", default=256, show_default=True, help="Pixels along a side.")
@click.option("--steps", default=1, show_default=True)
@click.option("--shard-size", default=64, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(patches: int, size: int, steps: int, shard_size: int, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: Linux counts what a process held when it started another one as
        # the peak of that.
        writing = multiprocessing.get_context("spawn").Process(
            target=write_all, args=(folder, patches, size)
        )
        writing.start()
        writing.join()
        network = folder / "network.safetensors"
        experiment = folder / "experiment.toml"
        experiment.write_text(EXPERIMENT.format(steps=steps, shard_size=shard_size))
        began = time.monotonic()
        arguments = [str(experiment), "--out", str(folder / "attack")]
        attacked, peak = run_command(folder, network, arguments)
        measured = Measured(
            patches=patches,
            size=size,
            shard_size=shard_size,
            attacked=attacked,
            images_mb=2 * attacked * size * size * 3 / MEGABYTE,
            peak_rss_mb=peak,
            seconds=time.monotonic() - began,
        )
    if as_json:
        click.echo(json.dumps(asdict(measured)))
        return
    click.echo(
        f"{attacked} of {patches} patches of {size} pixels attacked in shards of {shard_size}: "
        f"peak {peak:.0f} MB, {measured.seconds:.0f} s; their images, before and after, are "
        f"{measured.images_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
