"""The pictures that a run keeps as arrays, as examples to draw."""

import numpy as np
from numpy.typing import NDArray

from ml.figures.pictures import Example
from ml.figures.run_folder import Arrays, RunFolder

LARGEST_NUMBER = 4
"""Examples in a figure; more would be too small to see."""


def read_examples(run: RunFolder) -> list[Example]:
    """examples.npz: `originals`, `perturbed`; and per image what is there of the rest."""
    arrays = run.arrays("examples.npz")
    if not {"originals", "perturbed"} <= set(arrays):
        return []
    count = min(len(arrays["originals"]), LARGEST_NUMBER)
    return [
        Example(
            original=arrays["originals"][i],
            perturbed=arrays["perturbed"][i],
            p_original=_number(arrays, "p_original", i),
            p_perturbed=_number(arrays, "p_perturbed", i),
        )
        for i in range(count)
    ]


def _number(arrays: Arrays, name: str, i: int) -> float | None:
    return float(arrays[name][i]) if name in arrays else None


def universal_perturbation(run: RunFolder, epsilon: float | None) -> NDArray[np.int16] | None:
    """The one of `epsilon` in universal.npz, (height, width, 3)."""
    arrays = run.arrays("universal.npz")
    if not {"epsilons", "perturbations"} <= set(arrays):
        return None
    kept = dict(zip(arrays["epsilons"].astype(float), arrays["perturbations"], strict=True))
    return kept[epsilon].astype(np.int16) if epsilon in kept else None


def original_of(run: RunFolder, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """An original of this shape (height, width, 3), to show the universal perturbation on."""
    originals = [example.original for example in [*read_examples(run), *read_saliency(run)]]
    return next((image for image in originals if image.shape == shape), None)


def read_saliency(run: RunFolder) -> list[Example]:
    """saliency.npz: `image`, `perturbed`, `mask`; maps as `METHOD_before`, `METHOD_after`."""
    kept = run.arrays("saliency.npz")
    if not {"image", "perturbed"} <= set(kept):
        return []
    methods = [name.removesuffix("_before") for name in kept if name.endswith("_before")]
    return [
        Example(
            original=kept["image"][i],
            perturbed=kept["perturbed"][i],
            p_original=_number(kept, "p_original", i),
            p_perturbed=_number(kept, "p_perturbed", i),
            mask=kept["mask"][i].astype(bool) if "mask" in kept else None,
            maps={m: (kept[f"{m}_before"][i], kept[f"{m}_after"][i]) for m in methods},
        )
        for i in range(min(len(kept["image"]), LARGEST_NUMBER))
    ]
