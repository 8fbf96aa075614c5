"""The independent parts of the success curves: a shard of patches, an epsilon of the check."""

import io
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ml.attacks.budget import size_of
from ml.attacks.lattice import finish
from ml.attacks.minimal import Minimal, minimal
from ml.attacks.pgd import pgd
from ml.data import Patches
from ml.devices import choose_device, device_of
from ml.errors import MlError
from ml.evaluation import p_positive, predicted_class
from ml.experiment import AttackSettings, Experiment, Norm
from ml.files import whole_file
from ml.jobs import report
from ml.networks import PixelNetwork, attack_view, in_bf16, load_network
from ml.perceptibility import perceptibility
from ml.quantize import Measured, images_from_tensor, measure, tensor_from_images
from ml.steps import write_table

EXAMPLES_OF_A_TRUTH = 2
"""How many of a shard are kept as pictures, and measured for what an eye might see."""
JUST_WRONG = 0.5005
"""The confidence at which PGD stops when only the class counts."""


@dataclass(frozen=True)
class MinimalRow:
    """One line of minimal.csv; sizes as in `ml.attacks.budget`, inf where nothing was found."""

    case: str
    norm: Norm
    epsilon_float: float
    epsilon_8bit: float
    truth: int


@dataclass(frozen=True)
class CheckedRow:
    """What PGD at one epsilon made of one patch."""

    case: str
    norm: Norm
    epsilon: str
    fooled_float: bool
    fooled_8bit: bool


@dataclass(frozen=True)
class PerceptibilityRow:
    """One line of perceptibility.csv: the smallest perturbation of a patch in 8 bits."""

    case: str
    norm: Norm
    epsilon: float
    ssim: float
    psnr_db: float
    ciede2000_mean: float
    ciede2000_max: float
    lpips: float | None


def examples_path(done: Path) -> Path:
    return done.with_suffix(".npz")


def perceptibility_path(done: Path) -> Path:
    return done.with_name(f"seen-{done.name}")


def search_shard(
    *,
    network_file: Path,
    network_sha256: str,
    patches: Patches,
    norm: Norm,
    experiment: Experiment,
    device: str,
    done: Path,
) -> None:
    """Finds the smallest perturbation of every patch; the fp32 network decides on the PNG."""
    network = _load(network_file, network_sha256, device)
    originals, images, labels = _on_device(patches, network)
    view = attack_view(network)
    found = (_walk if norm == "none" else _search)(view, images, labels, norm, experiment)
    perturbed = through_png(images_from_tensor(found.images_8bit.cpu()))
    in_float = torch.where(_fooled(network, found.images, labels), found.epsilon, math.inf)
    whole = _fooled(network, tensor_from_images(perturbed), labels)
    _write_examples(done, network, patches, found, norm, originals, perturbed)
    rows = [
        MinimalRow(
            case=source.case,
            norm=norm,
            epsilon_float=float(in_float[i]),
            epsilon_8bit=_size(measure(originals[i], perturbed[i]), norm) if whole[i] else math.inf,
            truth=int(labels[i]),
        )
        for i, source in enumerate(patches.sources)
    ]
    write_table(done, MinimalRow, rows)


def _search(
    view: PixelNetwork, images: Tensor, labels: Tensor, norm: Norm, experiment: Experiment
) -> Minimal:
    in_bf16_too = experiment.attack.search_precision == "bf16"
    return minimal(
        in_bf16(view) if in_bf16_too else view,
        images,
        labels,
        norm=norm,
        steps=experiment.curves.steps,
        slots=experiment.attack.slots,
        judge=view if in_bf16_too else None,
        progress=lambda finished, _total: report(finished),
    )


def _walk(
    view: PixelNetwork, images: Tensor, labels: Tensor, norm: Norm, experiment: Experiment
) -> Minimal:
    """Without a budget there is no smallest one; PGD ends where the class first flips."""
    settings = AttackSettings(norm=norm, slots=experiment.attack.slots)
    found = pgd(
        view,
        images,
        labels,
        norm=norm,
        epsilon=math.inf,
        step_size=float(settings.step_size_text),
        steps=experiment.curves.walk_steps,
        confidence_target=JUST_WRONG,
        slots=settings.slots,
        progress=lambda finished, _total: report(finished),
    )
    finished = finish(
        view,
        images,
        found.images,
        labels,
        norm=norm,
        epsilon=math.inf,
        steps=settings.finish_steps,
        confidence_target=JUST_WRONG,
        slots=settings.slots,
    )
    size = torch.where(found.confidence > 0.5, size_of(found.images - images, norm), math.inf)
    size_8bit = size_of(finished.images.float() - images, norm)
    size_8bit = torch.where(finished.confidence > 0.5, size_8bit, math.inf)
    return Minimal(found.images, size, finished.images, size_8bit)


def check_epsilon(
    *,
    network_file: Path,
    network_sha256: str,
    patches: Patches,
    norm: Norm,
    epsilon: str,
    experiment: Experiment,
    device: str,
    done: Path,
) -> None:
    """Attacks the patches at one epsilon as the paper does, and finishes in 8 bits."""
    network = _load(network_file, network_sha256, device)
    _, images, labels = _on_device(patches, network)
    settings = AttackSettings(norm=norm, epsilon=epsilon, slots=experiment.attack.slots)
    view = attack_view(network)
    found = pgd(
        view,
        images,
        labels,
        norm=norm,
        epsilon=float(epsilon),
        step_size=float(settings.step_size_text),
        steps=experiment.curves.check_steps,
        confidence_target=JUST_WRONG,
        slots=settings.slots,
        progress=lambda finished, _total: report(finished),
    )
    finished = finish(
        view,
        images,
        found.images,
        labels,
        norm=norm,
        epsilon=float(epsilon),
        steps=settings.finish_steps,
        confidence_target=JUST_WRONG,
        slots=settings.slots,
    )
    perturbed = through_png(images_from_tensor(finished.images.cpu()))
    in_float = _fooled(network, found.images, labels)
    whole = _fooled(network, tensor_from_images(perturbed), labels)
    rows = [
        CheckedRow(source.case, norm, epsilon, bool(in_float[i]), bool(whole[i]))
        for i, source in enumerate(patches.sources)
    ]
    write_table(done, CheckedRow, rows)


@lru_cache(maxsize=1)
def _load(network_file: Path, sha256: str, device: str) -> PixelNetwork:
    """Once for all jobs of a worker."""
    network, card = load_network(network_file, choose_device(device))
    if card.file_sha256 != sha256:
        raise MlError(f"{network_file} was replaced in the meantime; start over with --fresh.")
    return network


def _on_device(patches: Patches, network: PixelNetwork) -> tuple[NDArray[np.uint8], Tensor, Tensor]:
    originals = patches.images(range(len(patches)))
    device = device_of(network)
    labels = torch.from_numpy(patches.labels).to(device)
    return originals, tensor_from_images(originals).to(device), labels


def through_png(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, height, width, 3), each encoded as a PNG file and decoded again."""
    decoded = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        with Image.open(file) as opened:
            decoded.append(np.asarray(opened))
    return np.stack(decoded)


def _fooled(network: PixelNetwork, images: Tensor, labels: Tensor) -> Tensor:
    wrong = predicted_class(p_positive(network, images)) != labels.cpu().numpy()
    return torch.from_numpy(wrong).to(labels.device)


def _size(measured: Measured, norm: Norm) -> float:
    match norm:
        case "l0":
            return measured.l0_fraction
        case "l1":
            return measured.l1_mad
        case "l2" | "none":
            return measured.l2_rmsd
        case "linf":
            return measured.linf


def _write_examples(
    done: Path,
    network: PixelNetwork,
    patches: Patches,
    found: Minimal,
    norm: Norm,
    originals: NDArray[np.uint8],
    perturbed: NDArray[np.uint8],
) -> None:
    """The first of each truth that were fooled."""
    fooled = ~found.epsilon_8bit.isinf().cpu().numpy()
    shown = [
        int(i)
        for truth in (1, 0)
        for i in np.flatnonzero(fooled & (patches.labels == truth))[:EXAMPLES_OF_A_TRUTH]
    ]
    rows = [
        PerceptibilityRow(
            patches.sources[i].case,
            norm,
            _size(measure(originals[i], perturbed[i]), norm),
            **asdict(perceptibility(originals[i], perturbed[i])),
        )
        for i in shown
    ]
    write_table(perceptibility_path(done), PerceptibilityRow, rows)
    before, after = originals[shown], perturbed[shown]
    with whole_file(examples_path(done)) as beside, beside.open("wb") as stream:
        np.savez(
            stream,
            originals=before,
            perturbed=after,
            p_original=p_positive(network, tensor_from_images(before)) if shown else np.empty(0),
            p_perturbed=p_positive(network, tensor_from_images(after)) if shown else np.empty(0),
        )
