"""The form of an amendment, as it was typed."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.storage.models import Study
from app.studies.forms import (
    Instructions,
    Number,
    Question,
    Sentence,
    Text,
    form_of,
    lines,
    perhaps_share,
    share,
    whole,
)
from app.studies.service import NewStudy
from app.vocabulary import Estimand
from app.web.fields import WITHOUT_ZERO_BYTE

USUAL = NewStudy("", "")


class AmendForm(BaseModel):
    """All that can change once a study has started, and why it does."""

    model_config = ConfigDict(frozen=True)

    public_title: Text = ""
    question: Question = ""
    criterion: Sentence = ""
    instructions: Instructions = ""
    estimand: Estimand = USUAL.estimand
    margin_flips: Number = ""
    margin_tp: Number = ""
    alpha: Number = ""
    minimum_time_ms: Number = ""
    maximum_time_ms: Number = ""
    catch_least: Number = ""
    reason: Annotated[str, Field(max_length=1000, pattern=WITHOUT_ZERO_BYTE)] = ""

    def changes(self) -> dict[str, Any]:
        return {
            "public_title": self.public_title.strip(),
            "question": self.question.strip(),
            "criterion": self.criterion.strip(),
            "instructions": lines(self.instructions),
            "estimand": self.estimand,
            "margin_flips": share("margin for flips", self.margin_flips, USUAL.margin_flips),
            "margin_tp": share("margin for true positives", self.margin_tp, USUAL.margin_tp),
            "alpha": share("alpha", self.alpha, USUAL.alpha),
            "minimum_time_ms": whole("least time of an answer", self.minimum_time_ms),
            "maximum_time_ms": whole("most time of an answer", self.maximum_time_ms),
            "catch_least": perhaps_share("least share of catch images right", self.catch_least),
        }


def amend_form_of(study: Study) -> AmendForm:
    """The plan and the texts as they are."""
    as_typed = form_of(study).model_dump()
    return AmendForm(
        **{name: as_typed[name] for name in AmendForm.model_fields if name in as_typed}
    )
