"""Draw a reader's orders from the study's secret, and store them before the first image."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.readers.service import seed_for
from app.reading.order import sittings
from app.reading.orientation import orientations, symmetries_of
from app.reading.pairs import pair_order
from app.storage.models import Presentation, Reader, Sitting, Stimulus
from app.vocabulary import Part
from app.web.identity import new_token


@dataclass(frozen=True)
class Shown:
    """One place in an order; `beside` is the right image of a pair."""

    stimulus: int
    beside: int | None = None
    set_number: int | None = None
    sitting: int = 1


def store_practice(session: Session, reader: Reader) -> None:
    images = [stimulus.id for stimulus in reader.study.stimuli_of(Part.PRACTICE)]
    store(session, reader, Part.PRACTICE, [Shown(image) for image in images])


def store_sittings(session: Session, reader: Reader) -> None:
    study = reader.study
    numbers = range(1, study.waves + 1)
    seeds = [seed_for(study, reader, f"sitting/{number}") for number in numbers]
    reader.sittings = [
        Sitting(number=number, seed=seed) for number, seed in zip(numbers, seeds, strict=True)
    ]
    drawn = sittings(
        versions(study.stimuli),
        sets=study.sets,
        waves=study.waves,
        minimum_gap=study.minimum_gap,
        seeds=seeds,
    )
    shown = [
        Shown(placed.stimulus, set_number=placed.set_number, sitting=number)
        for number, order in zip(numbers, drawn, strict=True)
        for placed in order
    ]
    store(session, reader, Part.READING, shown)


def store_pairs(session: Session, reader: Reader) -> None:
    study = reader.study
    if study.pair_task is None:
        return
    drawn = pair_order(
        versions_by_condition(study.stimuli_of(Part.PAIRS)),
        task=study.pair_task,
        seed=seed_for(study, reader, "pairs"),
    )
    store(session, reader, Part.PAIRS, [Shown(pair.left, beside=pair.right) for pair in drawn])


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
    turns = orientations_of(reader, part, shown)
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
            token=new_token(),
        )
        for position, (each, turn) in enumerate(zip(shown, turns, strict=True), start=1)
    )


def orientations_of(reader: Reader, part: Part, shown: Sequence[Shown]) -> list[int]:
    """As delivered, unless the study masks its images by flips and rotations."""
    study = reader.study
    if not study.masking:
        return [0] * len(shown)
    stimuli: Mapping[int, Stimulus] = {each.id: each for each in study.stimuli_of(part)}
    cases_and_arms = [
        (stimuli[each.stimulus].case_id, stimuli[each.stimulus].condition_id or 0) for each in shown
    ]
    shapes = {(image.stimulus.height, image.stimulus.width) for image in study.images}
    return orientations(
        cases_and_arms,
        symmetries=symmetries_of(shapes),
        seed=seed_for(study, reader, f"orientations/{part}"),
    )
