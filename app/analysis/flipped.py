"""The images whose answers flipped: original and perturbed of the same case, reader and set."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.analysis.sections.rows import Answered, Rows, answered
from app.analysis.wording import harmless
from app.batches.service import saliency_of
from app.storage.models import Stimulus, Study

FLIPS_A_PAGE = 12


@dataclass(frozen=True)
class Flip:
    """One perturbed image that was answered otherwise than its original, and by whom. `saliency`
    has the addresses of where the network looks in both, if the batch tells."""

    case: str
    condition: str
    truth: str
    said: Sequence[str]
    original: str
    perturbed: str
    difference: str
    saliency: Sequence[str]
    width: int
    height: int


@dataclass(frozen=True)
class Flips:
    """One page of them, those that flipped most often first."""

    flips: Sequence[Flip]
    total: int
    page: int
    pages: int


Key = tuple[str, str]
Images = Mapping[tuple[str, str | None], Stimulus]


def flips_of(study: Study, rows: Rows, page: int) -> Flips:
    told = sorted(said_of(rows).items(), key=lambda item: (-len(item[1]), item[0]))
    pages = max(1, -(-len(told) // FLIPS_A_PAGE))
    page = min(page, pages)
    shown = told[(page - 1) * FLIPS_A_PAGE : page * FLIPS_A_PAGE]
    images = images_of(study)
    return Flips([flip(rows, images, key, said) for key, said in shown], len(told), page, pages)


def said_of(rows: Rows) -> dict[Key, list[str]]:
    """Of each case and condition every reader and set in which the answer flipped."""
    found: dict[Key, list[str]] = defaultdict(list)
    for condition in rows.conditions:
        for truth in (1, 0):
            for pair in answered(rows, condition, truth):
                if pair.original != pair.perturbed:
                    found[pair.place.case, condition].append(place_of(pair, truth))
    return {key: sorted(said) for key, said in found.items()}


def place_of(pair: Answered, truth: int) -> str:
    only = "original" if pair.original == bool(truth) else "perturbed"
    return f"{pair.place.reader}, set {pair.place.set_number}: tumour on the {only} only"


def images_of(study: Study) -> Images:
    """By the names that the analysis knows."""
    return {
        (
            str(harmless(image.case.name)),
            str(harmless(image.condition.name)) if image.condition else None,
        ): image
        for image in study.stimuli
    }


def flip(rows: Rows, images: Images, key: Key, said: Sequence[str]) -> Flip:
    case, condition = key
    original, perturbed = images[case, None], images[case, condition]
    base = f"/batches/{perturbed.case.batch_id}"
    return Flip(
        case,
        condition,
        "tumour" if rows.truths[case] else "no tumour",
        said,
        f"{base}/images/{original.id}",
        f"{base}/images/{perturbed.id}",
        f"{base}/differences/{perturbed.id}",
        saliency(original, perturbed),
        perturbed.width,
        perturbed.height,
    )


def saliency(original: Stimulus, perturbed: Stimulus) -> list[str]:
    batch = perturbed.case.batch
    if not (saliency_of(batch, original) and saliency_of(batch, perturbed)):
        return []
    return [f"/batches/{batch.id}/saliency/{each.id}" for each in (original, perturbed)]
