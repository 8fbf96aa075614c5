"""What is shown of a design: the form of a study, what it can show, and its facts in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.storage.models import Batch, Study
from app.studies.domain import Design
from app.studies.forms import StudyForm
from app.studies.service import design_of_study, scan_is_amber
from app.vocabulary import Estimand, PairTask, Undo


@dataclass(frozen=True)
class BatchChoice:
    id: int
    name: str
    cases: int
    conditions: str
    is_amber: bool


@dataclass(frozen=True)
class Fact:
    """One line of the design."""

    name: str
    value: str


@dataclass(frozen=True)
class Needed:
    """What a steady or less steady reader makes necessary, as it is shown."""

    unsteady: str
    cases: str
    power: str
    tumours: str


@dataclass(frozen=True)
class ReckoningView:
    """What the design can show; of one that is not possible only the problem."""

    problem: str = ""
    facts: Sequence[Fact] = ()
    rows: Sequence[Needed] = ()
    warnings: Sequence[str] = ()
    margin_flips: str = ""
    margin_tp: str = ""
    tumours: int = 0
    readers: int = 1
    title: str = "What this design can show"


@dataclass(frozen=True)
class NewStudyPage:
    """Also of a draft that is changed: `study_id` is empty for a new one."""

    batches: Sequence[BatchChoice]
    form: StudyForm = field(default_factory=StudyForm)
    problem: str = ""
    reckoning: ReckoningView | None = None
    study_id: int | None = None
    title: str = "New study"

    @property
    def has_amber_batch(self) -> bool:
        return any(batch.is_amber for batch in self.batches)


def batch_choices(batches: Sequence[Batch]) -> list[BatchChoice]:
    return [
        BatchChoice(
            batch.id,
            batch.name,
            len(batch.cases),
            ", ".join(condition.name for condition in batch.conditions),
            scan_is_amber(batch),
        )
        for batch in batches
    ]


UNDO = {
    Undo.NONE: "an answer is final",
    Undo.ONE: "the last answer can be taken back",
    Undo.ALL: "answers can be taken back one after another",
}
PAIR_TASKS = {
    PairTask.CHOICE: "which of two images was altered",
    PairTask.COMPARE: "whether two images are the same or different",
}


ESTIMANDS = {
    Estimand.FLIPS: "answers flip no more than they do between two showings of one image",
    Estimand.TP_DIFFERENCE: "as many tumours are found under every condition",
}


def facts_of(study: Study) -> list[Fact]:
    design = design_of_study(study)
    facts = {
        "Title for readers": study.public_title,
        "Question": study.question,
        "Criterion": study.criterion,
        "Instructions": study.instructions or "none",
        "A reader sees": shown_text(study, design),
        "Minimum gap": f"{study.minimum_gap} presentations between two showings of one case",
        "Answers": answers_text(study),
        "Undo": UNDO[study.undo],
        "Sittings": sittings_text(study),
        "Breaks": breaks_text(study),
        "Practice": practice_text(study, design),
        "Pairs": pairs_text(study, design),
        "Primary": ESTIMANDS[study.estimand],
        "Margins": f"excess flips {study.margin_flips:g}, sensitivity ±{study.margin_tp:g}; "
        f"alpha {study.alpha:g}",
        "Left out": exclusions_text(study),
    }
    if design.catch:
        facts["Catch images"] = catch_text(study, design)
    if scan_is_amber(study.batch):
        facts["Amber blinding scan"] = study.scan_reason or "no reason given yet"
    return [Fact(name, value) for name, value in facts.items()]


def shown_text(study: Study, design: Design) -> str:
    masked = ", each in one of its flips and rotations" if study.masking else ""
    sets = "set" if study.sets == 1 else "sets"
    catch = f", {design.catch} catch images among them" if design.catch else ""
    return (
        f"{design.presentations} images{masked}: {design.cases} cases, {study.sets} {sets}{catch}; "
        f"about {design.minutes} minutes in all"
    )


def answers_text(study: Study) -> str:
    also = {
        "1 to 4 tumour cells": study.few_cells,
        "cannot assess": study.cannot_assess,
        "and how sure, 1 to 5": study.confidence,
    }
    return ", ".join(["tumour", "no tumour", *(text for text, asked in also.items() if asked)])


def sittings_text(study: Study) -> str:
    if study.waves == 1:
        return "one"
    return f"{study.waves}, at least {study.washout_days} days apart"


def breaks_text(study: Study) -> str:
    after = {"images": study.break_after_images, "minutes": study.break_after_minutes}
    offered = [f"{number} {what}" for what, number in after.items() if number]
    return f"offered after {' or '.join(offered)}" if offered else "none offered"


def practice_text(study: Study, design: Design) -> str:
    if not design.practice:
        return "none"
    told = "the right answer is told" if study.feedback else "the right answer is not told"
    return f"{design.practice} images of cases that are not read; {told}"


def catch_text(study: Study, design: Design) -> str:
    shown = f"{design.catch} clear cases, each once, in no result"
    if study.catch_least is None:
        return shown
    return f"{shown}; an attentive reader has {study.catch_least:.0%} of them right"


def pairs_text(study: Study, design: Design) -> str:
    if study.pair_task is None:
        return "none"
    unsure = ", with “not sure”" if study.not_sure else ""
    return f"{design.pairs} after reading: {PAIR_TASKS[study.pair_task]}{unsure}"


def exclusions_text(study: Study) -> str:
    limits = {"less": study.minimum_time_ms, "more": study.maximum_time_ms}
    said = [f"{which} than {time} ms" for which, time in limits.items() if time is not None]
    return f"answers that took {' or '.join(said)}" if said else "nothing"
