"""All that a reader's browser is told, one class a page; tests hold each to its list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.readers.service import CONSENT_VERSION
from app.reading.domain import (
    PAIR_QUESTIONS,
    Choice,
    Place,
    undo_in,
)
from app.reading.service import choices_for
from app.storage.models import Reader, Study
from app.studies.domain import Design, receipt
from app.studies.service import design_of_study
from app.vocabulary import Part


@dataclass(frozen=True)
class StartPage:
    title: str
    researcher: str
    minutes: int
    total: int
    question: str
    criterion: str
    instructions: str
    choices: Sequence[Choice]
    practice: int
    sittings: int
    washout_days: int
    undo: str
    confidence: bool
    consent_version: str


@dataclass(frozen=True)
class WelcomePage:
    title: str
    done: int
    total: int


@dataclass(frozen=True)
class PhonePage:
    title: str
    link: str


@dataclass(frozen=True)
class CheckPage:
    """`choices` are the two main keys."""

    title: str
    choices: Sequence[Choice]


@dataclass(frozen=True)
class RoomPage:
    """`card`: say that practice is over before the first image. Breaks: 0 for never."""

    title: str
    part: str
    question: str
    criterion: str
    total: int
    choices: Sequence[Choice]
    confidence: bool
    undo: str
    break_after_images: int
    break_after_minutes: int
    card: bool


@dataclass(frozen=True)
class LaterPage:
    """`number` is the sitting that opens then."""

    title: str
    number: int
    opens_on: datetime


@dataclass(frozen=True)
class QuestionsPage:
    title: str


@dataclass(frozen=True)
class PairsPage:
    title: str
    task: str
    total: int
    minutes: int
    choices: Sequence[Choice]


@dataclass(frozen=True)
class DonePage:
    title: str
    receipt: str


def start_page(reader: Reader) -> StartPage:
    study = reader.study
    design = design_of_study(study)
    return StartPage(
        title=study.public_title,
        researcher=study.researcher.email,
        minutes=design.minutes,
        total=design.presentations,
        question=study.question,
        criterion=study.criterion,
        instructions=study.instructions,
        choices=choices_for(reader, Part.READING),
        practice=design.practice,
        sittings=study.waves,
        washout_days=study.washout_days,
        undo=study.undo,
        confidence=study.confidence,
        consent_version=CONSENT_VERSION,
    )


def check_page(reader: Reader) -> CheckPage:
    return CheckPage(reader.study.public_title, choices_for(reader, Part.READING)[:2])


def room_page(reader: Reader, here: Place, *, done: int, total: int) -> RoomPage:
    study = reader.study
    task = study.pair_task if here.part is Part.PAIRS else None
    has_practised = here.part is Part.READING and here.sitting == 1 and practised(study)
    return RoomPage(
        title=study.public_title,
        part=here.part,
        question=PAIR_QUESTIONS[task] if task else study.question,
        criterion="" if task else study.criterion,
        total=total,
        choices=choices_for(reader, here.part),
        confidence=study.confidence and task is None,
        undo=undo_in(here.part, study.undo, study.feedback),
        break_after_images=study.break_after_images,
        break_after_minutes=study.break_after_minutes,
        card=has_practised and done == 0,
    )


def practised(study: Study) -> bool:
    return any(image.part is Part.PRACTICE for image in study.images)


def pairs_page(reader: Reader) -> PairsPage:
    study = reader.study
    pairs = design_of_study(study).pairs
    return PairsPage(
        title=study.public_title,
        task=study.pair_task or "",
        total=pairs,
        minutes=Design(0, 0, 0, pairs=pairs).minutes,
        choices=choices_for(reader, Part.PAIRS),
    )


def done_page(reader: Reader) -> DonePage:
    return DonePage(reader.study.public_title, receipt(reader.study.secret, reader.label))
