"""Draw a reader's orders from the study's secret, and store them before the first image."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy.orm import Session

from app.readers.service import Labelled, seed_for
from app.reading.order import sittings
from app.reading.orientation import orientations, symmetries_of
from app.reading.pairs import pair_order
from app.storage.models import Presentation, Reader, Sitting, Stimulus, Study
from app.vocabulary import Part
from app.web.identity import new_token

CATCH = -1  # beside the numbers of conditions


@dataclass(frozen=True)
class Shown:
    """One place in an order; `beside` is the right image of a pair."""

    stimulus: int
    beside: int | None = None
    set_number: int | None = None
    sitting: int = 1
    is_catch: bool = False


def store_practice(session: Session, reader: Reader) -> None:
    images = [stimulus.id for stimulus in reader.study.stimuli_of(Part.PRACTICE)]
    store(session, reader, Part.PRACTICE, [Shown(image) for image in images])


def store_sittings(session: Session, reader: Reader) -> None:
    study = reader.study
    numbers = range(1, study.waves + 1)
    reader.sittings = [
        Sitting(number=number, seed=seed_of_sitting(study, reader, number)) for number in numbers
    ]
    store(session, reader, Part.READING, reading_order(study, reader))


def store_pairs(session: Session, reader: Reader) -> None:
    if reader.study.pair_task is not None:
        store(session, reader, Part.PAIRS, order_of_pairs(reader.study, reader))


def seed_of_sitting(study: Study, reader: Labelled, number: int) -> str:
    return seed_for(study, reader, f"sitting/{number}")


def reading_order(study: Study, reader: Labelled) -> list[Shown]:
    """What this reader sees, or will see: it follows from the study's secret and the label."""
    numbers = range(1, study.waves + 1)
    drawn = sittings(
        versions(study.stimuli),
        sets=study.sets,
        waves=study.waves,
        minimum_gap=study.minimum_gap,
        seeds=[seed_of_sitting(study, reader, number) for number in numbers],
    )
    read = [
        Shown(placed.stimulus, set_number=placed.set_number, sitting=number)
        for number, order in zip(numbers, drawn, strict=True)
        for placed in order
    ]
    catch = sorted(stimulus.id for stimulus in study.catch_images)
    return with_catch(read, catch, seed_for(study, reader, "catch")) if catch else read


def with_catch(read: Sequence[Shown], images: Sequence[int], seed: str) -> list[Shown]:
    """Each of `images` once, at a random place in one of as many equal stretches of the order.

    It comes in the sitting of what follows it. What is read keeps its order, so that no gap gets
    smaller; two catch images never follow each other, and none is the last image of a sitting.
    """
    chance = random.Random(seed)  # noqa: S311 (the seed itself is a secret HMAC)
    waiting = iter(chance.sample(images, len(images)))
    ends = [len(read) * number // len(images) for number in range(len(images) + 1)]
    places = {chance.randrange(start, end) for start, end in pairwise(ends)}
    return [
        each
        for place, shown in enumerate(read)
        for each in (
            [Shown(next(waiting), set_number=1, sitting=shown.sitting, is_catch=True), shown]
            if place in places
            else [shown]
        )
    ]


def order_of_pairs(study: Study, reader: Labelled) -> list[Shown]:
    if study.pair_task is None:
        return []
    drawn = pair_order(
        versions_by_condition(study.stimuli_of(Part.PAIRS)),
        task=study.pair_task,
        seed=seed_for(study, reader, "pairs"),
    )
    return [Shown(pair.left, beside=pair.right) for pair in drawn]


def versions(stimuli: Iterable[Stimulus]) -> dict[int, list[int]]:
    """Of each case its images, the original first."""
    found: dict[int, list[int]] = defaultdict(list)
    for stimulus in sorted(stimuli, key=lambda each: (each.condition_id or 0, each.id)):
        found[stimulus.case_id].append(stimulus.id)
    return found


def versions_by_condition(stimuli: Sequence[Stimulus]) -> dict[int, list[int | None]]:
    """Of each case the original and one image for every condition; None where it has none."""
    conditions = sorted({each.condition_id or 0 for each in stimuli})
    found = {(each.case_id, each.condition_id or 0): each.id for each in stimuli}
    return {
        case: [found.get((case, condition)) for condition in conditions]
        for case in sorted({each.case_id for each in stimuli})
    }


def store(session: Session, reader: Reader, part: Part, shown: Sequence[Shown]) -> None:
    turns = orientations_of(reader.study, reader, part, shown)
    session.add_all(
        Presentation(
            reader_id=reader.id,
            part=part,
            sitting=each.sitting,
            position=position,
            stimulus_id=each.stimulus,
            beside_id=each.beside,
            set_number=each.set_number,
            orientation=turn,
            is_catch=each.is_catch,
            token=new_token(),
        )
        for position, (each, turn) in enumerate(zip(shown, turns, strict=True), start=1)
    )


def orientations_of(
    study: Study, reader: Labelled, part: Part, shown: Sequence[Shown]
) -> list[int]:
    """As delivered, unless the study masks its images by flips and rotations; catch images are
    balanced for themselves."""
    if not study.masking:
        return [0] * len(shown)
    stimuli: Mapping[int, Stimulus] = {each.id: each for each in study.shown_in(part)}
    cases_and_arms = [
        (
            stimuli[each.stimulus].case_id,
            CATCH if each.is_catch else stimuli[each.stimulus].condition_id or 0,
        )
        for each in shown
    ]
    shapes = {(image.stimulus.height, image.stimulus.width) for image in study.images}
    return orientations(
        cases_and_arms,
        symmetries=symmetries_of(shapes),
        seed=seed_for(study, reader, f"orientations/{part}"),
    )
