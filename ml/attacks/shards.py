"""A part of an attack that is done alone, here or on another machine."""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.attacks.pgd import Perturbed
from ml.attacks.results import Row, Shard, write_shard
from ml.attacks.single_instance import Attacked, finish, search
from ml.data import Patch, Patches
from ml.devices import choose_device, device_of
from ml.errors import MlError
from ml.experiment import AttackSettings
from ml.jobs import report
from ml.networks import PixelNetwork, attack_view, load_network
from ml.quantize import images_from_tensor, measure, tensor_from_images

SHARE_OF_SEARCH = 0.75
"""Of the work on a shard, about."""
FINISHED_AT_ONCE = 16
"""Images; rounding and judging holds several copies of each in fp32."""


def attack_shard(
    *,
    network_file: Path,
    network_sha256: str,
    patches: Patches,
    settings: AttackSettings,
    seed: int,
    number: int,
    device: str,
    out: Path,
) -> None:
    """Attacks all `patches` and writes them into `out` as its shard `number`."""
    began = time.monotonic()
    network, view = _load(network_file, network_sha256, device)
    originals = patches.images(range(len(patches)))
    images = tensor_from_images(originals).to(device_of(network))
    labels = torch.from_numpy(patches.labels).to(images.device)
    found = search(
        network,
        images,
        labels,
        settings,
        seed=_seed_of(seed, number),
        view=view,
        progress=lambda done, _total: report(int(done * SHARE_OF_SEARCH)),
    )
    rows: list[Row] = []
    perturbed = np.empty_like(originals)
    for first in range(0, len(patches), FINISHED_AT_ONCE):
        part = slice(first, first + FINISHED_AT_ONCE)
        among = Perturbed(found.images[part], found.steps[part], found.confidence[part])
        attacked = finish(network, images[part], among, labels[part], settings, view=view)
        perturbed[part] = images_from_tensor(attacked.images)
        rows += _rows(patches.entries[part], attacked, originals[part], perturbed[part])
    write_shard(out, number, Shard(rows, originals, perturbed), time.monotonic() - began)


@lru_cache(maxsize=1)
def _load(network_file: Path, sha256: str, device: str) -> tuple[PixelNetwork, PixelNetwork]:
    """The network and its attack view, once for all shards of a worker."""
    network, card = load_network(network_file, choose_device(device))
    if card.file_sha256 != sha256:
        raise MlError(f"{network_file} was replaced during the attack; start over with --fresh.")
    return network, attack_view(network)


def _seed_of(seed: int, number: int) -> int:
    """Each shard starts at random points of its own."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _rows(
    patches: Sequence[Patch],
    attacked: Attacked,
    originals: NDArray[np.uint8],
    perturbed: NDArray[np.uint8],
) -> Iterator[Row]:
    for i, patch in enumerate(patches):
        measured = measure(originals[i], perturbed[i])
        values = originals[i].size
        yield Row(
            data_set=patch.source.data_set,
            fold=patch.source.fold,
            index=patch.source.index,
            truth=patch.label,
            p_original=float(attacked.p_original[i]),
            p_float=float(attacked.p_float[i]),
            p_rounded=float(attacked.p_rounded[i]),
            p_8bit=float(attacked.p_8bit[i]),
            steps=int(attacked.steps[i]),
            finish_steps=int(attacked.finish_steps[i]),
            l0_fraction=measured.l0_fraction,
            l1_mad=measured.l1_mad,
            l2_rmsd=measured.l2_rmsd,
            linf=measured.linf,
            l1_total=round(measured.l1_mad * values),
            l2_total=float(measured.l2_rmsd * np.sqrt(values)),
        )
