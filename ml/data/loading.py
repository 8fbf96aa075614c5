"""Reads a folder of patches of either layout, in the size that is asked for."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.candidates import Candidate, Folder
from ml.data.colours import red_absorbed_by_nuclei, refuse_swapped_channels
from ml.data.pannuke import find_folds, open_pannuke
from ml.data.patches import CRITERION, Patch, Patches, Progress
from ml.data.resampling import read_resampled_image, read_resampled_mask, scale_of
from ml.data.tables import open_table
from ml.errors import MlError


def load_patches(
    path: Path,
    *,
    tissue: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Patches:
    """PanNuke folds (`Fold N/images/foldN/...`) or a folder with labels.csv.

    Without `tissue`, PanNuke folds give Breast if there is any, else everything; a folder with
    labels.csv gives everything. `size`: pixels along a side, to which patches of another size are
    resampled; labels stay those of the whole patch, because the paper does not tell how its 256
    pixels became 224. Every wanted patch is read once, to check and digest it.
    """
    folder = _open(path, tissue)
    patches: list[Patch] = []
    red_excess: list[float] = []
    scales: set[float] = set()
    for done, candidate in enumerate(folder.candidates, start=1):
        label, tumour_nuclei = candidate.read_truth()
        if label >= 0:
            image = candidate.read()
            red_excess.append(red_absorbed_by_nuclei(image))
            scales.add(scale_of(path, image, size))
            patches.append(_patch(candidate, label, tumour_nuclei, image, size))
        if progress is not None:
            progress(done, len(folder.candidates))
    if not patches:
        raise MlError(f"Every patch of {path} is left out by the rule ({CRITERION}); add others.")
    refuse_swapped_channels(path, np.array(red_excess))
    micrometres_per_pixel = folder.micrometres_per_pixel * _one_scale(path, scales)
    return Patches(folder.name, micrometres_per_pixel, tuple(patches))


def _open(path: Path, tissue: str | None) -> Folder:
    if not path.is_dir():
        raise MlError(f"There is no folder {path}; give the folder that holds the patches.")
    folds = find_folds(path)
    if folds:
        return open_pannuke(path, folds, tissue)
    if (path / "labels.csv").is_file():
        return open_table(path, tissue)
    raise MlError(
        f"{path} holds neither PanNuke folds (Fold 1/images/fold1/images.npy) nor a labels.csv; "
        "give the folder that does."
    )


def _patch(
    candidate: Candidate,
    label: int,
    tumour_nuclei: int,
    image: NDArray[np.uint8],
    size: int | None,
) -> Patch:
    """`image` is as it lies on disk; the digest is of what `read` gives."""
    read, read_mask = candidate.read, candidate.read_tumour_mask
    if size is not None and image.shape[0] != size:
        read = partial(read_resampled_image, read, size)
        read_mask = read_mask and partial(read_resampled_mask, read_mask, size)
        image = read_resampled_image(lambda: image, size)
    facts = json.dumps([image.shape, label, tumour_nuclei]).encode()
    digest = hashlib.sha256(facts + image.tobytes()).hexdigest()
    return Patch(candidate.source, candidate.group, label, tumour_nuclei, digest, read, read_mask)


def _one_scale(path: Path, scales: set[float]) -> float:
    if len(scales) > 1:
        raise MlError(
            f"The patches of {path} differ in size, so resampling would show nuclei at different "
            "scales; crop them to one size, or leave data.size out."
        )
    return min(scales)
