"""The form of a study, as it was typed: what is wrong comes back with all of it."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Invalid
from app.storage.models import Batch, Stimulus, Study
from app.studies.domain import QUESTION
from app.studies.service import NewStudy
from app.vocabulary import Estimand, PairTask, Part, Undo
from app.web.fields import LARGEST, WITHOUT_ZERO_BYTE

Text = Annotated[str, Field(max_length=200, pattern=WITHOUT_ZERO_BYTE)]
Sentence = Annotated[str, Field(max_length=500, pattern=WITHOUT_ZERO_BYTE)]
Question = Annotated[str, Field(max_length=300, pattern=WITHOUT_ZERO_BYTE)]
Instructions = Annotated[str, Field(max_length=2000, pattern=WITHOUT_ZERO_BYTE)]
Number = Annotated[str, Field(max_length=10)]
USUAL = NewStudy("", "")


class StudyForm(BaseModel):
    """Numbers are as they were typed; empty ones take what NewStudy takes."""

    model_config = ConfigDict(frozen=True)

    batch: Number = ""
    internal_title: Text = ""
    public_title: Text = ""
    question: Question = QUESTION
    criterion: Sentence = ""
    sets: Number = str(USUAL.sets)
    cases: Number = ""
    negatives: Number = ""
    conditions: Sentence = ""
    minimum_gap: Number = ""
    masking: bool = False
    is_demo: bool = False
    confidence: bool = False
    few_cells: bool = False
    cannot_assess: bool = False
    undo: Undo = USUAL.undo
    waves: Number = str(USUAL.waves)
    washout_days: Number = str(USUAL.washout_days)
    break_after_images: Number = str(USUAL.break_after_images)
    break_after_minutes: Number = str(USUAL.break_after_minutes)
    practice: Number = str(USUAL.practice)
    practice_batch: Number = ""
    catch: Number = str(USUAL.catch)
    catch_batch: Number = ""
    feedback: bool = False
    pair_task: Literal["", "choice", "same_different"] = ""
    pair_conditions: Sentence = ""
    not_sure: bool = False
    estimand: Estimand = USUAL.estimand
    margin_flips: Number = str(USUAL.margin_flips)
    margin_tp: Number = str(USUAL.margin_tp)
    alpha: Number = str(USUAL.alpha)
    minimum_time_ms: Number = ""
    maximum_time_ms: Number = ""
    catch_least: Number = ""
    instructions: Instructions = ""
    scan_reason: Sentence = ""
    planned_readers: Number = "1"

    @property
    def readers(self) -> int:
        """For the reckoning alone: a study has as many readers as are invited."""
        return max(1, few("number of readers", self.planned_readers, 1000, 1))

    @property
    def batch_number(self) -> int:
        number = whole("batch", self.batch)
        if number is None:
            raise Invalid("Choose a batch.")
        return number

    @property
    def practice_batch_number(self) -> int | None:
        return whole("batch for practice", self.practice_batch)

    @property
    def catch_batch_number(self) -> int | None:
        return whole("batch for catch images", self.catch_batch)

    def new_study(
        self, practice_batch: Batch | None = None, catch_batch: Batch | None = None
    ) -> NewStudy:
        """Invalid when something is no number, or a set too many for one sitting of a person."""
        return NewStudy(
            internal_title=self.internal_title,
            public_title=self.public_title,
            sets=few("number of sets", self.sets, 10, USUAL.sets),
            question=self.question,
            criterion=self.criterion.strip() or None,
            minimum_gap=whole("minimum gap", self.minimum_gap),
            conditions=names(self.conditions),
            is_demo=self.is_demo,
            cases=whole("number of cases", self.cases),
            negatives=whole("number of cases without tumour", self.negatives),
            waves=few("number of sittings", self.waves, 10, USUAL.waves),
            washout_days=few("washout", self.washout_days, 365, USUAL.washout_days),
            practice=few("number of practice images", self.practice, 1000, USUAL.practice),
            practice_batch=practice_batch,
            catch=few("number of catch images", self.catch, 1000, USUAL.catch),
            catch_batch=catch_batch,
            feedback=self.feedback,
            confidence=self.confidence,
            few_cells=self.few_cells,
            cannot_assess=self.cannot_assess,
            undo=self.undo,
            break_after_images=few(
                "break after images", self.break_after_images, 1000, USUAL.break_after_images
            ),
            break_after_minutes=few(
                "break after minutes", self.break_after_minutes, 1000, USUAL.break_after_minutes
            ),
            masking=self.masking,
            pair_task=PairTask(self.pair_task) if self.pair_task else None,
            pair_conditions=names(self.pair_conditions),
            not_sure=self.not_sure,
            estimand=self.estimand,
            margin_flips=share("margin for flips", self.margin_flips, USUAL.margin_flips),
            margin_tp=share("margin for true positives", self.margin_tp, USUAL.margin_tp),
            alpha=share("alpha", self.alpha, USUAL.alpha),
            minimum_time_ms=whole("least time of an answer", self.minimum_time_ms),
            maximum_time_ms=whole("most time of an answer", self.maximum_time_ms),
            catch_least=perhaps_share("least share of catch images right", self.catch_least),
            instructions=lines(self.instructions),
            scan_reason=self.scan_reason.strip(),
        )


def whole(name: str, text: str) -> int | None:
    typed = text.strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and int(typed) <= LARGEST):
        raise Invalid(f"The {name} is a whole number, or empty.")
    return int(typed)


def few(name: str, text: str, most: int, usual: int) -> int:
    number = whole(name, text)
    if number is not None and number > most:
        raise Invalid(f"The {name} is at most {most}.")
    return usual if number is None else number


def share(name: str, text: str, usual: float) -> float:
    typed = text.strip().replace(",", ".")
    try:
        number = float(typed) if typed else usual
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(f"The {name} is a share, such as {usual}.")
    return number


def perhaps_share(name: str, text: str) -> float | None:
    return share(name, text, 0.8) if text.strip() else None


def lines(text: str) -> str:
    """As it was typed, with the line ends that every system has."""
    return text.replace("\r\n", "\n").strip()


def names(text: str) -> list[str]:
    """Conditions, with commas or spaces between them."""
    return text.replace(",", " ").split()


TYPED_AS_STORED = (
    *("internal_title", "public_title", "question", "criterion", "masking", "is_demo"),
    *("confidence", "few_cells", "cannot_assess", "undo", "feedback", "not_sure"),
    *("estimand", "instructions", "scan_reason"),
)
NUMBERS = (
    *("sets", "minimum_gap", "waves", "washout_days", "break_after_images", "break_after_minutes"),
    *("margin_flips", "margin_tp", "alpha", "minimum_time_ms", "maximum_time_ms"),
    "catch_least",
)


def form_of(study: Study) -> StudyForm:
    """The form that makes this very study, unless its negatives were asked for."""
    practice, catch = study.stimuli_of(Part.PRACTICE), study.catch_images
    return StudyForm.model_validate(
        {
            "batch": str(study.batch_id),
            "cases": str(len({stimulus.case_id for stimulus in study.stimuli})),
            "conditions": condition_names(study.stimuli),
            "practice": str(len(practice)),
            "practice_batch": str(practice[0].case.batch_id) if practice else "",
            "catch": str(len(catch)),
            "catch_batch": str(catch[0].case.batch_id) if catch else "",
            "pair_task": study.pair_task or "",
            "pair_conditions": condition_names(study.stimuli_of(Part.PAIRS)),
            **{name: getattr(study, name) for name in TYPED_AS_STORED},
            **{name: number_text(getattr(study, name)) for name in NUMBERS},
        }
    )


def with_negatives(form: StudyForm, study: Study) -> StudyForm:
    """The same form, which asks for as many cases without tumour as the study has."""
    truths = {stimulus.case_id: stimulus.case.truth for stimulus in study.stimuli}
    return form.model_copy(update={"negatives": str(sum(not truth for truth in truths.values()))})


def number_text(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def condition_names(stimuli: list[Stimulus]) -> str:
    found = {each.condition_id: each.condition.name for each in stimuli if each.condition}
    return " ".join(found[number] for number in sorted(found, key=lambda each: each or 0))
