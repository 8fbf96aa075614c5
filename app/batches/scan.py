"""What the delivered files would give away to a reader, and whether it can still reach one.

Everything is said of these very files, the whole of what readers will see: no sample, no
guess. AUC is how well one number alone tells the two arms apart, 0.5 when not at all.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from app.batches.manifest import ORIGINAL
from app.batches.traits import Traits

SCAN_VERSION = 1
SAME, CLOSED, AMBER = "same", "closed", "amber"

TELLING_AUC = 0.75
GRID_CHANGE = 0.18  # of the steps on a grid; noise of 16 grey levels changes them by less
ON_STEPS = 4.0  # more of Traits.quantised than a perturbation can bring: it only hides steps
COLOUR_SHIFT = 1.0  # grey levels

SAME_HISTORY = (
    "perturb the very pixels that are shown as originals, and save no image as JPEG in between."
)

Values = NDArray[np.float64]


@dataclass
class Arm:
    """The images of one condition, each beside its original."""

    originals: list[Traits] = field(default_factory=list)
    perturbed: list[Traits] = field(default_factory=list)


class Scan:
    """Gathers a few numbers an image, then says what they show."""

    def __init__(self) -> None:
        self.arms: dict[str, Arm] = {}
        self.original: Traits | None = None

    def add(self, condition: str, traits: Traits) -> None:
        """Each case's original first."""
        if condition == ORIGINAL:
            self.original = traits
            return
        assert self.original is not None  # noqa: S101 (the order that batches have)
        arm = self.arms.setdefault(condition, Arm())
        arm.originals.append(self.original)
        arm.perturbed.append(traits)

    def result(self) -> dict[str, Any]:
        """JSON: see docs/batch-format.md."""
        findings = [
            {"condition": condition, **look(arm)}
            for condition, arm in self.arms.items()
            for look in LOOKS
        ]
        is_amber = any(finding["state"] == AMBER for finding in findings)
        return {
            "version": SCAN_VERSION,
            "verdict": AMBER if is_amber else "green",
            "pairs": {name: len(arm.perturbed) for name, arm in self.arms.items()},
            "findings": findings,
        }


def file_size(arm: Arm) -> dict[str, Any]:
    first, second = numbers(arm, "file_bytes")
    found = auc(first, second)
    said = (
        f"File size {tells(found)}: the median is {np.median(first):,.0f} bytes for originals and "
        f"{np.median(second):,.0f} bytes here. No reader can see it: all images of a study are "
        "served with one length."
    )
    state = CLOSED if is_telling(found) else SAME
    return finding("file_size", "File size", state, said, auc=found, p=sign_test(first, second))


def metadata(arm: Arm) -> dict[str, Any]:
    return compared(
        "metadata",
        "Metadata",
        [kinds(traits.metadata) for traits in arm.originals],
        [kinds(traits.metadata) for traits in arm.perturbed],
        "Nothing but pixels is kept and served.",
    )


def colour_profile(arm: Arm) -> dict[str, Any]:
    return compared(
        "colour_profile",
        "Colour profile and gamma",
        [kinds(traits.colour) for traits in arm.originals],
        [kinds(traits.colour) for traits in arm.perturbed],
        "They are removed from both arms: every image is shown as sRGB.",
    )


def compressor(arm: Arm) -> dict[str, Any]:
    return compared(
        "compressor",
        "Compressor",
        [traits.compressor for traits in arm.originals],
        [traits.compressor for traits in arm.perturbed],
        "Every image is encoded anew by one encoder, without compression.",
    )


def shape(arm: Arm) -> dict[str, Any]:
    sizes = Counter(traits.size for traits in arm.perturbed)
    (width, height), _ = sizes.most_common(1)[0]
    others = f" and {len(sizes) - 1} other sizes" if len(sizes) > 1 else ""
    said = (
        f"Both images of every pair are 8-bit RGB without palette or alpha, and of one size: "
        f"{width} x {height} pixels{others}. A batch where this is not so is refused."
    )
    return finding("shape", "Size, bit depth, palette, alpha", SAME, said)


def jpeg_grid(arm: Arm) -> dict[str, Any]:
    """Within a pair the tissue is the same, so that what is left of the steps is the grid.

    A weak compression leaves no grid, but its steps. The other way round is no finding: a
    perturbation hides the steps of an original by itself.
    """
    pairs = zip(arm.originals, arm.perturbed, strict=True)
    changes = [perturbed.grid - original.grid for original, perturbed in pairs]
    gained = np.array([float(change.max(axis=1).min()) for change in changes])
    lost = np.array([float((-change).max(axis=1).min()) for change in changes])
    gain, loss = float(np.median(gained)), float(np.median(lost))
    first, second = (float(np.median(side)) for side in numbers(arm, "quantised"))
    state, said = AMBER, f"Give both arms the same history: {SAME_HISTORY}"
    if max(gain, loss) >= GRID_CHANGE:
        which = "here" if gain > loss else "in the originals"
        said = (
            f"The grid of 8 x 8 pixels that JPEG leaves is plainer {which}: a reader may see it. "
            f"{said}"
        )
    elif second - first >= ON_STEPS:
        said = f"These images were saved as JPEG once more than the originals. {said}"
    else:
        state = SAME
        said = "The grid of 8 x 8 pixels that JPEG leaves is as plain in one arm as in the other."
    return finding(
        "jpeg_grid",
        "Traces of JPEG",
        state,
        said,
        gain=round(gain, 4),
        loss=round(loss, 4),
        quantised=[round(first, 2), round(second, 2)],
        p=sign_test(lost, gained),
    )


def mean_colour(arm: Arm) -> dict[str, Any]:
    first, second = (
        np.array([traits.mean_colour for traits in side]) for side in (arm.originals, arm.perturbed)
    )
    shifts = (second - first).mean(axis=0)
    channel = int(np.argmax(np.abs(shifts)))
    is_amber = abs(float(shifts[channel])) >= COLOUR_SHIFT
    values = ", ".join(f"{shift:+.2f}" for shift in shifts)
    said = f"The mean colour shifts by {values} grey levels in red, green and blue. "
    said += (
        "A reader may see the tint of one arm: take the shift out of the perturbation, or say "
        "why it belongs to what is studied."
        if is_amber
        else "That is too little to see."
    )
    one, other = first[:, channel], second[:, channel]
    return finding(
        "mean_colour",
        "Mean colour",
        AMBER if is_amber else SAME,
        said,
        auc=auc(one, other),
        p=sign_test(one, other),
        shifts=[round(float(shift), 4) for shift in shifts],
    )


def compared(
    name: str, title: str, first: Sequence[str], second: Sequence[str], closing: str
) -> dict[str, Any]:
    """Of something that has words, not numbers, and that no reader gets."""
    pairs = sum(one != other for one, other in zip(first, second, strict=True))
    if pairs == 0:
        said = f"It is the same in every pair: {most(first)}. {closing}"
        return finding(name, title, SAME, said, differing=0)
    said = (
        f"It differs in {pairs} of {len(first)} pairs: mostly {most(first)} in originals and "
        f"{most(second)} here. No reader can see it. {closing}"
    )
    return finding(name, title, CLOSED, said, differing=pairs)


def finding(name: str, title: str, state: str, said: str, **numbers: Any) -> dict[str, Any]:
    return {"name": name, "title": title, "state": state, "words": said, **numbers}


def kinds(names: Sequence[str]) -> str:
    return " ".join(names) or "none"


def most(words: Sequence[str]) -> str:
    [(word, _)] = Counter(words).most_common(1)
    return word


def numbers(arm: Arm, name: str) -> tuple[Values, Values]:
    first, second = (
        np.array([getattr(traits, name) for traits in side], dtype=np.float64)
        for side in (arm.originals, arm.perturbed)
    )
    return first, second


def auc(first: Values, second: Values) -> float:
    """How often a value of the second is above one of the first; ties count half."""
    ordered = np.sort(first)
    below = np.searchsorted(ordered, second, "left")
    up_to = np.searchsorted(ordered, second, "right")
    return float((below + up_to).sum() / (2 * len(first) * len(second)))


def is_telling(found: float) -> bool:
    return max(found, 1 - found) >= TELLING_AUC


def tells(found: float) -> str:
    how = "tells the arms apart" if is_telling(found) else "does not tell the arms apart"
    return f"{how} (AUC {found:.2f})"


def sign_test(first: Values, second: Values) -> float:
    """Exact, two-sided: whether the second of a pair is above the first as often as below."""
    up, down = int((second > first).sum()), int((second < first).sum())
    untied = up + down
    if untied == 0:
        return 1.0
    return float(binomtest(up, untied).pvalue)


LOOKS = (file_size, metadata, colour_profile, compressor, shape, jpeg_grid, mean_colour)
