"""The words of the monitor: where each reader is, how fast they are, and on what screen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.storage.models import Reader, Study
from app.studies.domain import (
    SECONDS_A_PAIR,
    SECONDS_A_PRESENTATION,
    Design,
    receipt,
)
from app.studies.monitor import OPEN, Display, Standing, Watched, totals
from app.vocabulary import Part
from app.web.listing import Listing

ENOUGH_FOR_PACE = 10
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WORDS = {
    Standing.STALLED: "stalled",
    Standing.EXPIRED: "link expired",
    Standing.HERE: "here now",
    Standing.UNDER_WAY: "under way",
    Standing.WAITING: "waiting for the next sitting",
    Standing.NOT_BEGUN: "not begun",
    Standing.WITHDRAWN: "link withdrawn",
    Standing.UNFINISHED: "not finished",
    Standing.FINISHED: "finished",
}
KINDS = {Standing.STALLED: "warning", Standing.EXPIRED: "warning"}
NOT_EXACT = "Some images were not drawn 1:1, as whole blocks of screen pixels: details may be lost."
ZOOMED = "The zoom of the browser is not 100 %."
HOW_TO_MEND = "Ask the reader to press Ctrl and 0 and to make the window larger."


@dataclass(frozen=True)
class PartLine:
    """How far one part or sitting is."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class WatchedRow:
    """`kind` marks a row that needs somebody; `warning` says what is wrong with the screen."""

    label: str
    state: str
    kind: str
    done: int
    total: int
    parts: Sequence[PartLine]
    pace: str
    left: str
    seen: str
    screen: str
    exact: str
    warning: str
    problems: int
    link: str
    receipt: str


@dataclass(frozen=True)
class MonitorView:
    """`refresh` is where the same page of it is found again, empty when nothing changes more."""

    rows: Sequence[WatchedRow]
    listing: Listing
    summary: str
    at: str
    refresh: str

    @property
    def has_warnings(self) -> bool:
        return any(row.warning for row in self.rows)


def monitor_view(
    study: Study,
    watched: Sequence[Watched],
    listing: Listing,
    counts: Mapping[Standing, int],
    design: Design,
    now: datetime,
) -> MonitorView:
    is_open = study.state in OPEN
    return MonitorView(
        rows=[watched_row(study, each, design, now) for each in watched],
        listing=listing,
        summary=summary_of(counts),
        at=f"{now:%H:%M:%S} UTC",
        refresh=listing.url(page=listing.page).partition("#")[0] if is_open and counts else "",
    )


def summary_of(counts: Mapping[Standing, int]) -> str:
    readers = sum(counts.values())
    said = ", ".join(f"{count} {WORDS[each]}" for each, count in counts.items())
    return f"{'1 reader' if readers == 1 else f'{readers} readers'}: {said}." if readers else ""


def watched_row(study: Study, each: Watched, design: Design, now: datetime) -> WatchedRow:
    reader = each.reader
    return WatchedRow(
        label=reader.label,
        state=state_text(each),
        kind=KINDS.get(each.standing, ""),
        done=totals(each.done)[Part.READING],
        total=design.presentations,
        parts=parts_of(study, each, design),
        pace=pace_text(each),
        left=left_text(each, design) if study.state in OPEN else "",
        seen=ago(reader.last_seen_at, now),
        screen=screen_text(each.display) if each.display else "",
        exact=f"{each.exact} of {each.answers} answers 1:1" if each.answers else "",
        warning=warning_of(each),
        problems=each.problems,
        link=link_text(reader, now),
        receipt=receipt(study.secret, reader.label) if reader.finished_at else "",
    )


def state_text(each: Watched) -> str:
    if each.standing is Standing.WAITING and each.opens_at:
        return f"waiting until {each.opens_at:%Y-%m-%d}"
    return WORDS[each.standing]


def parts_of(study: Study, each: Watched, design: Design) -> list[PartLine]:
    """Every part of the study for who has begun, also what is not drawn yet; sittings apart."""
    lines: list[PartLine] = []
    if not each.total:
        return lines
    if design.practice:
        lines.append(part_line(each, Part.PRACTICE, 1, "Practice", design.practice))
    if study.waves > 1:
        numbers = range(1, study.waves + 1)
        lines += [part_line(each, Part.READING, at, f"Sitting {at}", 0) for at in numbers]
    if design.pairs:
        lines.append(part_line(each, Part.PAIRS, 1, "Pairs", design.pairs))
    return [line for line in lines if line.total]


def part_line(each: Watched, part: Part, sitting: int, name: str, planned: int) -> PartLine:
    at = (part, sitting)
    return PartLine(name, each.done.get(at, 0), each.total.get(at, planned))


def pace_text(each: Watched) -> str:
    """In whole seconds and of several answers: no single time is told."""
    if each.timed < ENOUGH_FOR_PACE:
        return ""
    seconds = round(each.median_ms / 1000)
    return f"{seconds} s" if seconds else "below 1 s"


def left_text(each: Watched, design: Design) -> str:
    """What is still to be read, at this reader's own pace as soon as there is one."""
    if each.standing in {Standing.FINISHED, Standing.WITHDRAWN}:
        return ""
    a_image = SECONDS_A_PRESENTATION
    if each.timed >= ENOUGH_FOR_PACE:
        a_image = max(1, round(each.median_ms / 1000))
    done = totals(each.done)
    images = design.practice + design.presentations - done[Part.PRACTICE] - done[Part.READING]
    seconds = images * a_image + (design.pairs - done[Part.PAIRS]) * SECONDS_A_PAIR
    minutes = math.ceil(seconds / 60)
    if minutes <= 90:
        return f"{minutes} min"
    return f"{math.ceil(minutes / 60)} h"


def ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    passed = now - moment
    if passed < 2 * MINUTE:
        return "just now"
    if passed < 2 * HOUR:
        return f"{passed // MINUTE} minutes ago"
    if passed < 2 * DAY:
        return f"{passed // HOUR} hours ago"
    return f"{passed // DAY} days ago"


def screen_text(display: Display) -> str:
    zoom = f", zoom {100 * display.zoom:.0f} %" if display.zoom is not None else ""
    return (
        f"{display.viewport_width} by {display.viewport_height}, "
        f"pixel ratio {display.device_pixel_ratio:g}{zoom}"
    )


def warning_of(each: Watched) -> str:
    found = []
    if each.exact < each.answers:
        found.append(NOT_EXACT)
    zoom = each.display.zoom if each.display else None
    if zoom is not None and abs(zoom - 1) > 0.01:
        found.append(ZOOMED)
    return " ".join([*found, HOW_TO_MEND]) if found else ""


def link_text(reader: Reader, now: datetime) -> str:
    if reader.revoked_at is not None:
        return "withdrawn"
    if reader.expires_at is None:
        return "open"
    last_day = f"{reader.expires_at - timedelta(microseconds=1):%Y-%m-%d}"
    return f"expired {last_day}" if reader.expires_at <= now else f"until {last_day}"
