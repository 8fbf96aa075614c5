"""The form of a new study, as it was typed: what is wrong comes back with all of it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Invalid
from app.storage.models import Batch
from app.studies.domain import QUESTION
from app.studies.service import NewStudy
from app.vocabulary import PairTask, Undo
from app.web.fields import LARGEST, WITHOUT_ZERO_BYTE

Text = Annotated[str, Field(max_length=200, pattern=WITHOUT_ZERO_BYTE)]
Sentence = Annotated[str, Field(max_length=500, pattern=WITHOUT_ZERO_BYTE)]
Number = Annotated[str, Field(max_length=10)]
USUAL = NewStudy("", "")


class StudyForm(BaseModel):
    """Numbers are as they were typed; empty ones take what NewStudy takes."""

    model_config = ConfigDict(frozen=True)

    batch: Number = ""
    internal_title: Text = ""
    public_title: Text = ""
    question: Annotated[str, Field(max_length=300, pattern=WITHOUT_ZERO_BYTE)] = QUESTION
    criterion: Sentence = ""
    sets: Number = str(USUAL.sets)
    cases: Number = ""
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
    feedback: bool = False
    pair_task: Literal["", "choice", "same_different"] = ""
    pair_conditions: Sentence = ""
    not_sure: bool = False

    @property
    def batch_number(self) -> int:
        number = whole("batch", self.batch)
        if number is None:
            raise Invalid("Choose a batch.")
        return number

    @property
    def practice_batch_number(self) -> int | None:
        return whole("batch for practice", self.practice_batch)

    def new_study(self, practice_batch: Batch | None) -> NewStudy:
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
            waves=few("number of sittings", self.waves, 10, USUAL.waves),
            washout_days=few("washout", self.washout_days, 365, USUAL.washout_days),
            practice=few("number of practice images", self.practice, 1000, USUAL.practice),
            practice_batch=practice_batch,
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


def names(text: str) -> list[str]:
    """Conditions, with commas or spaces between them."""
    return text.replace(",", " ").split()
