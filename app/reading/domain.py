"""Where a reader is in a study, and what may be answered there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.vocabulary import N_, Answer, PairTask, Part, Undo


class Step(StrEnum):
    """The pages of a study in the order in which a reader comes to them."""

    CONSENT = "consent"
    CHECK = "check"
    ROOM = "room"
    LATER = "later"
    QUESTIONS = "questions"
    PAIRS = "pairs"
    DONE = "done"


@dataclass(frozen=True)
class Facts:
    """What decides where a reader is.

    left: of each part and sitting, how many presentations are unanswered; opens_at: of each
    later sitting, empty until the one before is finished.
    """

    has_consented: bool
    has_checked: bool
    left: Mapping[tuple[Part, int], int]
    opens_at: Mapping[int, datetime | None]
    has_told: bool
    has_pairs: bool
    has_begun_pairs: bool


@dataclass(frozen=True)
class Place:
    """`part` and `sitting` say what is read in the room; a later sitting has its date."""

    step: Step
    part: Part = Part.READING
    sitting: int = 1
    opens_at: datetime | None = None


def place(facts: Facts, now: datetime) -> Place:
    if not facts.has_consented:
        return Place(Step.CONSENT)
    if not facts.has_checked:
        return Place(Step.CHECK)
    if facts.left.get((Part.PRACTICE, 1)):
        return Place(Step.ROOM, Part.PRACTICE)
    if sitting := next_sitting(facts):
        opens_at = facts.opens_at.get(sitting)
        if opens_at is not None and now < opens_at:
            return Place(Step.LATER, Part.READING, sitting, opens_at)
        return Place(Step.ROOM, Part.READING, sitting)
    if not facts.has_told:
        return Place(Step.QUESTIONS)
    if facts.has_pairs and not facts.has_begun_pairs:
        return Place(Step.PAIRS, Part.PAIRS)
    if facts.left.get((Part.PAIRS, 1)):
        return Place(Step.ROOM, Part.PAIRS)
    return Place(Step.DONE)


def next_sitting(facts: Facts) -> int | None:
    return min(
        (sitting for (part, sitting), n in facts.left.items() if part is Part.READING and n),
        default=None,
    )


def opening(finished_at: datetime, washout_days: int) -> datetime:
    """The first moment of the day, in UTC, on which the next sitting opens; at once for 0 days."""
    if washout_days == 0:
        return finished_at
    day = finished_at + timedelta(days=washout_days)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Choice:
    """One thing that a reader can answer, its key, and its words in English."""

    answer: str
    key: str
    label: str


LABELS = {
    Answer.NO_TUMOUR: N_("No tumour"),
    Answer.TUMOUR: N_("Tumour"),
    Answer.FEW_CELLS: N_("1 to 4 tumour cells"),
    Answer.CANNOT_ASSESS: N_("Cannot assess"),
    Answer.LEFT: N_("Left image"),
    Answer.RIGHT: N_("Right image"),
    Answer.SAME: N_("Same"),
    Answer.DIFFERENT: N_("Different"),
    Answer.NOT_SURE: N_("Not sure"),
}
PAIR_QUESTIONS = {
    PairTask.CHOICE: N_("Which image was altered?"),
    PairTask.COMPARE: N_("Are the two images the same or different?"),
}


def choices(main: tuple[Answer, Answer], swapped: bool, more: Mapping[Answer, str]) -> list[Choice]:
    """The two main answers on F and J, for some readers the other way round, then the others."""
    left, right = reversed(main) if swapped else main
    keys = {left: "f", right: "j", **more}
    return [Choice(answer.value, key, LABELS[answer]) for answer, key in keys.items()]


def image_choices(*, swapped: bool, few_cells: bool, cannot_assess: bool) -> list[Choice]:
    more = {Answer.FEW_CELLS: "s"} if few_cells else {}
    if cannot_assess:
        more[Answer.CANNOT_ASSESS] = "x"
    return choices((Answer.NO_TUMOUR, Answer.TUMOUR), swapped, more)


def pair_choices(task: PairTask, *, swapped: bool, not_sure: bool) -> list[Choice]:
    """Left stays on the left key; only same and different change places."""
    more = {Answer.NOT_SURE: "x"} if not_sure else {}
    match task:
        case PairTask.CHOICE:
            return choices((Answer.LEFT, Answer.RIGHT), False, more)
        case PairTask.COMPARE:
            return choices((Answer.SAME, Answer.DIFFERENT), swapped, more)


def undo_in(part: Part, rule: Undo, feedback: bool) -> Undo:
    """Who was told the right answer does not answer again."""
    return Undo.NONE if part is Part.PRACTICE and feedback else rule
