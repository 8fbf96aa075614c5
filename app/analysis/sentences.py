"""What a study found, in sentences; a verdict is only ever from an interval and its margin."""

from dataclasses import dataclass

from app.analysis.sections.told import Json
from app.analysis.wording import (
    budget_of,
    interval_points,
    percent,
    points,
    reason_of,
    unsigned,
)
from app.vocabulary import Estimand

MEANING = {
    "equivalent within margin": "The whole interval lies within the margin.",
    "different": "The interval excludes that there is no difference, and reaches past the margin.",
    "different but within margin": "There is a difference, and the whole interval lies within the "
    "margin.",
    "inconclusive": "The interval includes that there is no difference, and reaches past the "
    "margin: neither a difference nor its absence is shown.",
}
NOT_SIGNIFICANT = "Not significant is not equivalent."


@dataclass(frozen=True)
class Verdict:
    """`word` is one of MEANING, or None where nothing can be said."""

    about: str
    word: str | None
    sentence: str


def primary(found: Json, estimand: Estimand) -> list[Verdict]:
    """Of each condition."""
    if estimand is Estimand.FLIPS:
        return [flips_verdict(found, each) for each in found["flips"]]
    return [difference_verdict(found, each) for each in found["tp_difference"] if each["truth"]]


def flips_verdict(found: Json, flips: Json) -> Verdict:
    about = budget_of(found, flips["condition"])
    if flips["verdict"] is None:
        return Verdict(about, None, reason_of(flips))
    bound, level = flips["bound"], percent(1 - found["options"]["alpha"], 0)
    sentence = (
        f"Answers to the original and to the perturbed image differ in {percent(flips['d_op'])} "
        f"of pairs; answers to the very same image shown twice in {percent(flips['d_oo'])} "
        f"(original) and {percent(flips['d_pp'])} (perturbed). The excess is "
        f"{points(flips['excess'], 1)} percentage points, at most {points(bound['high'], 1)} "
        f"(one-sided {level} limit), against a margin of {unsigned(flips['margin'])}."
    )
    return Verdict(about, flips["verdict"], f"{sentence} {MEANING[flips['verdict']]}")


def difference_verdict(found: Json, difference: Json) -> Verdict:
    about = f"{budget_of(found, difference['condition'])}, {difference['measure']}"
    pooled = difference["pooled"]
    if pooled["verdict"] is None:
        return Verdict(about, None, reason_of(pooled))
    sentence = (
        f"{difference['measure'].capitalize()} on original less that on perturbed images is "
        f"{interval_points(pooled['interval_95'])} percentage points (95 % interval, clustered "
        f"by case; 90 %: {interval_points(pooled['interval_90'])}), against a margin of "
        f"{unsigned(difference['margin'])} either way."
    )
    return Verdict(about, pooled["verdict"], f"{sentence} {MEANING[pooled['verdict']]}")
