"""What a researcher may see while a study is read: nothing by arm, no answer, no single time."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, or_, select
from sqlalchemy.orm import Session

from app.storage.models import (
    Amendment,
    Presentation,
    ProblemReport,
    Reader,
    Response,
    ScreenCheck,
    Sitting,
    Study,
    Undone,
)
from app.storage.types import UTCDateTime
from app.studies.service import standing
from app.vocabulary import Part, StudyState
from app.web.listing import Columns, Listing, listed

HERE_WITHIN = timedelta(minutes=5)
STALLED_AFTER = timedelta(days=3)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
OPEN = (StudyState.READY, StudyState.READING)
Rows = Select[*tuple[Any, ...]]


class Standing(IntEnum):
    """Where a reader is, in the order in which a researcher should look at it."""

    STALLED = 1
    EXPIRED = 2
    HERE = 3
    UNDER_WAY = 4
    WAITING = 5
    NOT_BEGUN = 6
    WITHDRAWN = 7
    UNFINISHED = 8
    FINISHED = 9


def standing_of(study: Study, now: datetime) -> ColumnElement[int]:
    """Of a query on readers of this study: the Standing of each, as a number.

    Who could go on for some days and was not seen has stalled; a later sitting that opened only
    lately is no delay.
    """
    if study.state not in OPEN:
        is_finished = Reader.finished_at.is_not(None)
        return case((is_finished, Standing.FINISHED.value), else_=Standing.UNFINISHED.value)
    next_one = select(Sitting.number).where(
        Sitting.reader_id == Reader.id, Sitting.finished_at.is_(None)
    )
    opens_later = next_one.where(Sitting.opens_at > now).exists()
    opened_lately = next_one.where(Sitting.opens_at > now - STALLED_AFTER).exists()
    was_seen = func.coalesce(Reader.last_seen_at, Reader.began_at)
    return case(
        (Reader.finished_at.is_not(None), Standing.FINISHED.value),
        (Reader.revoked_at.is_not(None), Standing.WITHDRAWN.value),
        (Reader.expires_at <= now, Standing.EXPIRED.value),
        (Reader.began_at.is_(None), Standing.NOT_BEGUN.value),
        (opens_later, Standing.WAITING.value),
        (was_seen > now - HERE_WITHIN, Standing.HERE.value),
        (or_(was_seen > now - STALLED_AFTER, opened_lately), Standing.UNDER_WAY.value),
        else_=Standing.STALLED.value,
    )


@dataclass(frozen=True)
class Display:
    """The screen of the last answer; `zoom` is the browser's, 1 for 100 %, if it is known."""

    device_pixel_ratio: float
    viewport_width: int
    viewport_height: int
    zoom: float | None


@dataclass
class Watched:
    """One reader as the monitor knows them.

    done, total: images by part and sitting, as far as they are drawn. median_ms: of `timed`
    answers of the reading part. exact: of `answers`, those whose image was whole pixels.
    """

    reader: Reader
    standing: Standing
    opens_at: datetime | None = None
    done: dict[tuple[Part, int], int] = field(default_factory=dict)
    total: dict[tuple[Part, int], int] = field(default_factory=dict)
    median_ms: float = 0
    timed: int = 0
    answers: int = 0
    exact: int = 0
    display: Display | None = None
    problems: int = 0


def watch(
    session: Session, study: Study, now: datetime, path: str, page: int = 1, sort: str = ""
) -> tuple[list[Watched], Listing]:
    """One page of the study's readers, by as many queries whatever their number."""
    where = standing_of(study, now)
    columns: Columns = {
        "state": where,
        "reader": Reader.id,
        "read": images_read(),
        "seen": func.coalesce(Reader.last_seen_at, literal(NEVER, UTCDateTime)),
        "number": Reader.id,
    }
    query = select(Reader).where(Reader.study_id == study.id)
    readers, listing = listed(session, query, columns, path, page, sort, fragment="readers")
    return watched(session, readers, where), listing


def watch_one(session: Session, reader: Reader, now: datetime) -> Watched:
    return watched(session, [reader], standing_of(reader.study, now))[0]


def tally(session: Session, study: Study, now: datetime) -> dict[Standing, int]:
    """How many of all readers of the study are where."""
    where = standing_of(study, now).label("standing")
    each = select(where).where(Reader.study_id == study.id).subquery()
    rows = session.execute(select(each.c.standing, func.count()).group_by(each.c.standing))
    found = {Standing(value): count for value, count in rows}
    return {one: found[one] for one in Standing if one in found}


def images_read() -> ColumnElement[int]:
    """Of what counts for the results: practice and pairs are apart."""
    done = standing(select(func.count()).select_from(Response).join(Presentation))
    return done.where(
        Presentation.reader_id == Reader.id, Presentation.part == Part.READING
    ).scalar_subquery()


def watched(
    session: Session, readers: Sequence[Reader], where: ColumnElement[int]
) -> list[Watched]:
    ids = [reader.id for reader in readers]
    standings = dict(session.execute(select(Reader.id, where).where(Reader.id.in_(ids))).all())
    found = {each.id: Watched(each, Standing(standings[each.id])) for each in readers}
    for number, part, sitting, total, done in session.execute(progress(ids)):
        found[number].total[part, sitting] = total
        found[number].done[part, sitting] = done
    for number, median, timed in session.execute(pace(ids)):
        found[number].median_ms, found[number].timed = float(median), timed
    for number, opens_at in session.execute(openings(ids)):
        found[number].opens_at = opens_at
    for number, count in session.execute(problem_counts(ids)):
        found[number].problems = count
    add_displays(session, found)
    return list(found.values())


def progress(readers: Sequence[int]) -> Rows:
    """Reader, part, sitting, how many images it has, and how many of them are answered."""
    is_answered = case(
        (Undone.response_id.is_(None) & Response.id.is_not(None), Presentation.id), else_=None
    )
    return (
        select(
            *(Presentation.reader_id, Presentation.part, Presentation.sitting),
            func.count(Presentation.id.distinct()),
            func.count(is_answered.distinct()),
        )
        .outerjoin(Response, Response.presentation_id == Presentation.id)
        .outerjoin(Undone, Undone.response_id == Response.id)
        .where(Presentation.reader_id.in_(readers))
        .group_by(Presentation.reader_id, Presentation.part, Presentation.sitting)
    )


def pace(readers: Sequence[int]) -> Rows:
    """Reader, the median time of an image in milliseconds, and of how many answers it is.

    In a partition of n times, ordered, the middle ones are those at n/2 and n/2 + 1, or the one
    at (n + 1)/2: the places whose double is n, n + 1 or n + 2.
    """
    of_reader = Presentation.reader_id
    place = func.row_number().over(partition_by=of_reader, order_by=Response.reading_time_ms)
    count = func.count().over(partition_by=of_reader)
    ordered = standing(
        select(
            of_reader.label("reader"),
            Response.reading_time_ms.label("ms"),
            place.label("place"),
            count.label("n"),
        )
        .select_from(Response)
        .join(Presentation)
        .where(of_reader.in_(readers), Presentation.part == Part.READING)
    ).subquery()
    n = ordered.c.n
    return (
        select(ordered.c.reader, func.avg(ordered.c.ms), func.max(n))
        .where((2 * ordered.c.place).in_([n, n + 1, n + 2]))
        .group_by(ordered.c.reader)
    )


def openings(readers: Sequence[int]) -> Rows:
    """Reader, and when the next sitting opens or opened."""
    return (
        select(Sitting.reader_id, func.min(Sitting.opens_at, type_=UTCDateTime))
        .where(Sitting.reader_id.in_(readers), Sitting.finished_at.is_(None))
        .group_by(Sitting.reader_id)
    )


def problem_counts(readers: Sequence[int]) -> Rows:
    return (
        select(Presentation.reader_id, func.count(ProblemReport.id))
        .join(ProblemReport)
        .where(Presentation.reader_id.in_(readers))
        .group_by(Presentation.reader_id)
    )


def add_displays(session: Session, found: dict[int, Watched]) -> None:
    """How many answers were given to whole pixels, and on what screen the last one was."""
    exact = func.sum(case((Response.pixel_exact, 1), else_=0))
    counted = session.execute(
        standing(
            select(Presentation.reader_id, func.count(), exact, func.max(Response.id))
            .select_from(Response)
            .join(Presentation)
        )
        .where(Presentation.reader_id.in_(found))
        .group_by(Presentation.reader_id)
    ).all()
    checked = (
        select(func.max(ScreenCheck.id))
        .where(ScreenCheck.reader_id.in_(found))
        .group_by(ScreenCheck.reader_id)
    )
    checks = {
        check.reader_id: check
        for check in session.scalars(select(ScreenCheck).where(ScreenCheck.id.in_(checked)))
    }
    last = {
        response.id: response
        for response in session.scalars(
            select(Response).where(Response.id.in_([newest for *_, newest in counted]))
        )
    }
    for number, check in checks.items():
        found[number].display = display_of(check, check.browser_zoom)
    for number, answers, whole, newest in counted:
        found[number].answers, found[number].exact = answers, whole
        zoom = checks[number].browser_zoom if number in checks else None
        found[number].display = display_of(last[newest], zoom)


def display_of(seen: Response | ScreenCheck, zoom: float | None) -> Display:
    return Display(seen.device_pixel_ratio, seen.viewport_width, seen.viewport_height, zoom)


def amendments_of(session: Session, study: Study) -> list[Amendment]:
    """The changes of the plan since the start, the first one first."""
    query = select(Amendment).where(Amendment.study_id == study.id).order_by(Amendment.id)
    with session.no_autoflush:
        return list(session.scalars(query))


def totals(by_sitting: dict[tuple[Part, int], int]) -> dict[Part, int]:
    found: dict[Part, int] = defaultdict(int)
    for (part, _), count in by_sitting.items():
        found[part] += count
    return found
