"""What a design can show before anybody reads, in numbers."""

import math
from dataclasses import dataclass
from functools import cache

from scipy import stats

from app.analysis.statistics.planning import pairs_without_flip, tost_power, units_for_flips
from app.analysis.statistics.proportions import bound_of_no_event
from app.designer.planned import Planned, minutes_of_sittings
from app.designer.warnings import warnings

POWER = 0.8
UNSTEADY = (0.05, 0.10, 0.20, 0.30)
MOST_ENUMERATED = 400


@dataclass(frozen=True)
class Row:
    """If two showings of one image get different answers with the probability `unsteady`.

    `units` and `tumours` are what is needed, None for more than is enumerated; `power` is the
    chance of this design to show that the true positives are within their margin.
    """

    unsteady: float
    units: int
    cases: int
    power: float | None
    tumours: int | None


@dataclass(frozen=True)
class Reckoning:
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def reckon(planned: Planned) -> Reckoning:
    return Reckoning(
        facts=tuple(facts(planned).items()),
        rows=tuple(row(planned, unsteady) for unsteady in UNSTEADY),
        warnings=warnings(planned),
    )


def facts(planned: Planned) -> dict[str, str]:
    design = planned.design
    also = {"for practice before": design.practice, "pairs afterwards": design.pairs}
    shown = f"{design.presentations} images: {design.cases} cases, {design.versions} of each, "
    shown += f"{planned.design.sets} sets" if planned.design.sets > 1 else "1 set"
    if design.catch:
        shown += f"; catch images: {design.catch} of {design.presentations}"
    limit = bound_of_no_event(design.cases, planned.alpha)
    return {
        "Each reader sees": shown
        + "".join(f"; {count} {what}" for what, count in also.items() if count),
        "Time": time_text(planned),
        "Minimum gap": f"{planned.minimum_gap} presentations",
        "If nothing flips": f"With 0 flips in {design.cases} you could claim that at most "
        f"{percent(limit)} flip ({percent(1 - planned.alpha)} confidence).",
        "Fewest tumour images": f"{planned.fewest_for_tp} for a margin of "
        f"±{planned.margin_tp:g}: with fewer the power is 0, even when every answer is the same.",
    }


def time_text(planned: Planned) -> str:
    minutes = minutes_of_sittings(planned)
    if len(minutes) == 1:
        return f"about {minutes[0]} minutes in one sitting"
    return f"about {', '.join(map(str, minutes))} minutes in {len(minutes)} sittings"


def row(planned: Planned, unsteady: float) -> Row:
    units = units_needed(unstable_at_most(unsteady), planned.margin_flips, planned.alpha)
    margin = planned.margin_tp
    return Row(
        unsteady=unsteady,
        units=units,
        cases=math.ceil(units / planned.readers),
        power=power_for_tp(planned, unsteady),
        tumours=tumours_needed(unsteady, margin, planned.alpha),
    )


def power_for_tp(planned: Planned, unsteady: float) -> float | None:
    """Exact, for one reader and one set; None for more images than are enumerated."""
    if planned.tumours < planned.fewest_for_tp:
        return 0.0
    if planned.tumours > MOST_ENUMERATED:
        return None
    half = unsteady / 2
    return tost_power(planned.tumours, half, half, planned.margin_tp, planned.alpha)


def unstable_at_most(unsteady: float) -> float:
    """The largest share of units with two of four showings called tumour.

    With p the chance of "tumour", a unit is unsteady with 2p(1 - p) and unstable with
    6p^2(1 - p)^2 = 1.5 (2p(1 - p))^2, of which 2p(1 - p) is at most a half.
    """
    return 0.75 * unsteady


def units_needed(unstable: float, margin: float, alpha: float = 0.05) -> int:
    """Cases times readers for an upper limit below the margin, with a power of 80 %."""
    return math.ceil(units_for_flips(unstable, margin, alpha, POWER))


@cache
def tumours_needed(unsteady: float, margin: float, alpha: float = 0.05) -> int | None:
    """The fewest images from which on the power stays at 80 % or more, enumerated exactly.

    The power goes up in a saw-tooth, so the search comes down from where it is surely enough.
    """
    z = float(stats.norm.isf(alpha) + stats.norm.isf((1 - POWER) / 2))
    rough = z**2 * unsteady / margin**2
    n = math.ceil(max(1.2 * rough, pairs_without_flip(margin, alpha)) + 40)
    if rough > MOST_ENUMERATED:
        return None
    half = unsteady / 2
    while tost_power(n, half, half, margin, alpha) >= POWER:
        n -= 1
    return n + 1 if n < MOST_ENUMERATED else None


def percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"
