"""What a design can show before anybody reads: numbers, and what is weak about it, in words."""

import math
from dataclasses import dataclass
from functools import cache

from scipy import stats

from app.analysis.statistics.planning import pairs_without_flip, tost_power, units_for_flips
from app.analysis.statistics.proportions import bound_of_no_event
from app.reading.order import sets_of_waves
from app.studies.domain import USUAL_GAP, Design
from app.vocabulary import Estimand, PairTask

POWER = 0.8
UNSTEADY = (0.05, 0.10, 0.20, 0.30)
MOST_ENUMERATED = 400
ENOUGH_CASES = 60  # from here on the upper limit of the excess keeps its level
MUCH_IN_A_SITTING = 45  # minutes
WASHOUT = 14


@dataclass(frozen=True)
class Planned:
    """`tumours` of the cases have tumour; `readers` is how many will be invited."""

    design: Design
    tumours: int
    minimum_gap: int
    waves: int = 1
    washout_days: int = 14
    readers: int = 1
    estimand: Estimand = Estimand.FLIPS
    margin_flips: float = 0.05
    margin_tp: float = 0.10
    alpha: float = 0.05
    confidence: bool = False
    masking: bool = False
    pair_task: PairTask | None = None
    is_scan_amber: bool = False

    @property
    def units(self) -> int:
        return self.design.cases * self.readers

    @property
    def fewest_for_tp(self) -> int:
        return pairs_without_flip(self.margin_tp, self.alpha)


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
        warnings=tuple(text for rule in RULES if (text := rule(planned))),
    )


def facts(planned: Planned) -> dict[str, str]:
    design = planned.design
    also = {"for practice before": design.practice, "pairs afterwards": design.pairs}
    shown = f"{design.presentations} images: {design.cases} cases, {design.versions} of each, "
    shown += f"{planned.design.sets} sets" if planned.design.sets > 1 else "1 set"
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


def minutes_of_sittings(planned: Planned) -> list[int]:
    """Practice is before the first sitting, pairs are after the last."""
    design = planned.design
    waves = sets_of_waves(design.sets, planned.waves)
    last = len(waves) - 1
    return [
        Design(
            design.cases,
            design.versions,
            len(sets),
            practice=design.practice if number == 0 else 0,
            pairs=design.pairs if number == last else 0,
        ).minutes
        for number, sets in enumerate(waves)
    ]


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


def no_negatives(planned: Planned) -> str:
    if planned.tumours < planned.design.cases:
        return ""
    return (
        "True positives alone cannot tell a careful reader from one who always answers tumour: "
        "add cases without tumour."
    )


def no_positives(planned: Planned) -> str:
    if planned.tumours:
        return ""
    return "No case has tumour: there are no true positives to compare."


def one_reader(planned: Planned) -> str:
    if planned.readers > 1:
        return ""
    return "One reader: the results say nothing of other pathologists. Plan three or more."


def two_readers(planned: Planned) -> str:
    if planned.readers != 2:
        return ""
    return "Two readers: they are reported one by one; a statement on all readers needs three."


def too_few_tumours(planned: Planned) -> str:
    if not 0 < planned.tumours < planned.fewest_for_tp:
        return ""
    return (
        f"{planned.tumours} tumour images cannot show ±{planned.margin_tp:g}, even when every "
        f"answer is the same: {planned.fewest_for_tp} are the fewest that can."
    )


def few_cases(planned: Planned) -> str:
    if planned.design.cases >= ENOUGH_CASES:
        return ""
    return (
        f"With {planned.design.cases} cases the upper limit of the flips is a little too low: of "
        f"20 cases it covers 89 to 93 % instead of 95 %. Read {ENOUGH_CASES} or more."
    )


def one_set(planned: Planned) -> str:
    if planned.design.sets > 1:
        return ""
    return (
        "With one set nobody knows how often a reader changes their mind about the same image: "
        "flips have nothing to be compared with. Choose two sets."
    )


def no_washout(planned: Planned) -> str:
    if planned.design.sets == 1 or (planned.waves > 1 and planned.washout_days >= WASHOUT):
        return ""
    return (
        f"The sets are less than {WASHOUT} days apart: a reader may remember an image and repeat "
        "the answer. Choose a sitting for each set."
    )


def small_gap(planned: Planned) -> str:
    if planned.minimum_gap >= USUAL_GAP:
        return ""
    return (
        f"A gap of {planned.minimum_gap} is small: two showings of one case may be recognised. "
        f"{USUAL_GAP} or more is usual."
    )


def no_masking(planned: Planned) -> str:
    if planned.masking:
        return ""
    return (
        "Without turning and mirroring, two showings of one image have identical pixels and can "
        "be recognised."
    )


def no_practice(planned: Planned) -> str:
    if planned.design.practice:
        return ""
    return "No practice: the first answers are also the reader's first with this screen."


def no_confidence(planned: Planned) -> str:
    if planned.confidence:
        return ""
    return "Without “how sure, 1 to 5” there are no ROC curves and no AUC."


def no_pairs(planned: Planned) -> str:
    if planned.pair_task:
        return ""
    return (
        "Without pairs the study tells whether answers change, not whether the change can be seen."
    )


def pairs_without_catch(planned: Planned) -> str:
    if planned.pair_task is not PairTask.CHOICE:
        return ""
    return (
        "“Which image was altered?” has no identical pairs: whether readers see changes where "
        "there are none, only “same or different” tells."
    )


def long_sitting(planned: Planned) -> str:
    longest = max(minutes_of_sittings(planned))
    if longest <= MUCH_IN_A_SITTING:
        return ""
    return f"A sitting of about {longest} minutes is long: choose more sittings, or fewer images."


def amber_scan(planned: Planned) -> str:
    if not planned.is_scan_amber:
        return ""
    return (
        "The blinding scan of this batch is amber: its files may give away the arms. The study "
        "starts only with a reason."
    )


RULES = (
    *(amber_scan, no_positives, no_negatives, too_few_tumours, few_cases, one_reader, two_readers),
    *(one_set, no_washout, small_gap, no_masking, no_practice, no_confidence),
    *(no_pairs, pairs_without_catch, long_sitting),
)
