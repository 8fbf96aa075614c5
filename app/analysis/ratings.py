"""The answers in the layouts of programs for multi-reader, multi-case analysis.

`original` and `perturbed` are the modalities; of several conditions each has its own name. What
has no label is in none of them, and what the plan excludes neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, select, true
from sqlalchemy.orm import Session

from app.analysis.material import case_numbers
from app.analysis.service import STREAMED, answers_that_stand, require_open_key
from app.analysis.values import Values, label_of, score
from app.storage.models import Case, Condition, Presentation, Reader, Response, Stimulus, Study
from app.studies.service import conditions_of
from app.vocabulary import Answer, Part

IMRMC_COLUMNS = ("readerID", "caseID", "modalityID", "score")
TRUTH = "truth"


class Rated(NamedTuple):
    reader_id: int
    reader: str
    case_id: int
    case: str
    truth: int
    modality: str
    set_number: int
    label: int
    rating: int


@dataclass(frozen=True)
class Extent:
    """What the ratings of one set have: cases as (id, name, truth), and how many of the rest."""

    cases: tuple[tuple[int, str, int], ...]
    readers: int
    modalities: int

    def of_truth(self, truth: int) -> int:
        return sum(each == truth for _, _, each in self.cases)


def rated(session: Session, study: Study, set_number: int | None = None) -> Iterator[Rated]:
    """In each reader's order."""
    require_open_key(study)
    name = modality_names(session, study)
    columns = (Reader.id, Reader.label, Case.id, Case.name, Case.truth, Condition.name)
    query = of_study(
        select(*columns, Presentation.set_number, Response.answer, Response.confidence),
        study,
        set_number,
    ).order_by(Reader.id, Presentation.position)
    for row in session.execute(query, execution_options=STREAMED):
        reader, label_of_reader, case, case_name, truth, condition, copy, answer, confidence = row
        label = label_of(answer)
        rating = score(label, confidence) if study.confidence else label
        if label is not None and rating is not None:
            shown = (reader, label_of_reader, case, case_name, truth, name[condition], copy)
            yield Rated(*shown, label, rating)


def modality_names(session: Session, study: Study) -> dict[str | None, str]:
    names = [condition.name for condition in conditions_of(session, study)]
    told = ["perturbed"] if len(names) == 1 else names
    return {None: "original", **dict[str | None, str](zip(names, told, strict=True))}


def of_study(chosen: Any, study: Study, set_number: int | None) -> Select[Any]:
    query: Select[Any] = (
        chosen.select_from(Reader)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
        .join(Case, Case.id == Stimulus.case_id)
        .outerjoin(Condition, Condition.id == Stimulus.condition_id)
        .join(Response, answers_that_stand())
        .where(Reader.study_id == study.id, Presentation.part == Part.READING)
        .where(Presentation.is_catch.is_(False))
        .where(Response.answer != Answer.CANNOT_ASSESS, within_the_limits(study))
    )
    if study.confidence:
        query = query.where(Response.confidence.is_not(None))
    return query if set_number is None else query.where(Presentation.set_number == set_number)


def within_the_limits(study: Study) -> ColumnElement[bool]:
    """As Plan.exclusion has it."""
    time = Response.reading_time_ms
    conditions: list[ColumnElement[bool]] = [true()]
    if study.minimum_time_ms is not None:
        conditions.append(time >= study.minimum_time_ms)
    if study.maximum_time_ms is not None:
        conditions.append(time <= study.maximum_time_ms)
    return and_(*conditions)


def extent_of(session: Session, study: Study, set_number: int) -> Extent:
    cases = of_study(select(Case.id, Case.name, Case.truth).distinct(), study, set_number)
    cases = cases.order_by(Case.id)
    modality = func.coalesce(Stimulus.condition_id, 0)
    counts: Any = select(func.count(Reader.id.distinct()), func.count(modality.distinct()))
    readers, modalities = session.execute(of_study(counts, study, set_number)).one()
    return Extent(
        tuple((each.id, each.name, each.truth) for each in session.execute(cases)),
        readers,
        modalities,
    )


def mrmcaov_rows(session: Session, study: Study) -> Iterator[Values]:
    for each in rated(session, study):
        yield {
            "reader": each.reader,
            "treatment": each.modality,
            "case": each.case,
            "truth": each.truth,
            "rating": each.rating,
            "label": each.label,
            "set": each.set_number,
        }


def imrmc_rows(session: Session, study: Study, set_number: int) -> Iterator[Values]:
    """The data frame of iMRMC: one row of truth a case, then one an answer."""
    for _, case, truth in extent_of(session, study, set_number).cases:
        yield dict(zip(IMRMC_COLUMNS, (TRUTH, case, TRUTH, truth), strict=True))
    for each in rated(session, study, set_number):
        cells = (each.reader, each.case, each.modality, each.rating)
        yield dict(zip(IMRMC_COLUMNS, cells, strict=True))


def imrmc_lines(session: Session, study: Study, set_number: int) -> Iterator[str]:
    """The text file of iMRMC and RJafroc, whose readers and cases are numbers."""
    cases = case_numbers(study)
    readers = {reader.id: number for number, reader in enumerate(study.readers, start=1)}
    extent = extent_of(session, study, set_number)
    yield f"Plainsight study {study.id}, set {set_number}\n"
    yield "Cases have their case_number of images.csv\n"
    for number, reader in enumerate(study.readers, start=1):
        yield f"Reader {number} is {reader.label}\n"
    yield f"\nN0: {extent.of_truth(0)}\nN1: {extent.of_truth(1)}\n"
    yield f"NR: {extent.readers}\nNM: {extent.modalities}\n\nBEGIN DATA:\n"
    for case, _, truth in extent.cases:
        yield f"-1,{cases[case]},0,{truth}\n"
    for each in rated(session, study, set_number):
        yield f"{readers[each.reader_id]},{cases[each.case_id]},{each.modality},{each.rating}\n"
