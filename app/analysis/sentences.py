"""What a study found, in sentences; a verdict is only ever from an interval and its margin."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.sections.told import Json
from app.analysis.wording import (
    budget,
    interval,
    interval_points,
    number,
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


@dataclass(frozen=True)
class Facts:
    """Of the design, what a paragraph needs beside the numbers."""

    estimand: Estimand
    question: str
    criterion: str
    minimum_gap: int
    waves: int
    washout_days: int
    masking: bool
    confidence: bool
    protocol_hash: str | None
    is_demo: bool


def primary(found: Json, estimand: Estimand) -> list[Verdict]:
    """Of each condition."""
    if estimand is Estimand.FLIPS:
        return [flips_verdict(found, each) for each in found["flips"]]
    return [difference_verdict(found, each) for each in found["tp_difference"] if each["truth"]]


def secondary(found: Json, estimand: Estimand) -> list[Verdict]:
    other = Estimand.TP_DIFFERENCE if estimand is Estimand.FLIPS else Estimand.FLIPS
    negatives = [
        difference_verdict(found, each) for each in found["tp_difference"] if not each["truth"]
    ]
    return [*primary(found, other), *negatives]


def budget_of(found: Json, condition: str) -> str:
    [listed] = [x for x in found["study"]["conditions"] if x["condition"] == condition]
    return budget(listed)


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


def paragraph(found: Json, facts: Facts) -> str:
    """Methods and results, plain text, ready to edit."""
    return f"{methods(found, facts)}\n\n{results(found, facts)}\n"


def methods(found: Json, facts: Facts) -> str:
    study = found["study"]
    cases = number(study["positives"], "tumour case")
    if study["negatives"]:
        cases += f" and {number(study['negatives'], 'case')} without tumour"
    conditions = "; ".join(budget(each) for each in study["conditions"])
    versions = 1 + len(study["conditions"])
    sets = len(study["sets"])
    said = [
        (
            f"{number(len(study['readers']), 'reader')} labelled {cases}, each as the original and "
            f"as a perturbed image ({conditions}), in {number(sets, 'set')}: "
            f"{number(study['cases'] * versions * sets, 'presentation')} for each reader."
        ),
        f'The question was "{facts.question}" and the criterion "{facts.criterion}".',
        (
            "The order was shuffled for each reader, with presentations of one case at least "
            f"{number(facts.minimum_gap, 'place')} apart."
        ),
        *waves(facts),
        *(["Images were flipped and turned at random."] if facts.masking else []),
        blinded(facts),
        *(["Readers said how confident they were, from 1 to 5."] if facts.confidence else []),
        primary_in_words(found, facts),
        "The case is the unit of independence: intervals are clustered by case.",
    ]
    return " ".join(said)


def blinded(facts: Facts) -> str:
    if facts.is_demo:
        return "This was a demo: its results were shown to the researcher while it was read."
    return (
        "Readers and researchers did not know which image was which until the answers were "
        "locked; readers were not told that images were perturbed or shown again."
    )


def waves(facts: Facts) -> Sequence[str]:
    if facts.waves < 2:
        return ()
    return (
        (
            f"The sets were read in {facts.waves} sittings, at least "
            f"{number(facts.washout_days, 'day')} apart."
        ),
    )


def primary_in_words(found: Json, facts: Facts) -> str:
    options = found["options"]
    is_flips = facts.estimand is Estimand.FLIPS
    named = (
        "the excess flip rate, by how much original and perturbed disagree more often than two "
        "showings of one image"
        if is_flips
        else "the paired difference in sensitivity, original minus perturbed"
    )
    margin = options["margin_flips"] if is_flips else options["margin_tp"]
    frozen = (
        f" laid down before the reading (protocol SHA-256 {facts.protocol_hash})"
        if facts.protocol_hash
        else ""
    )
    return (
        f"The primary result was {named}, with a margin of {unsigned(margin)} percentage "
        f"points at alpha {options['alpha']:g}{frozen}."
    )


def results(found: Json, facts: Facts) -> str:
    verdicts = [*primary(found, facts.estimand), *secondary(found, facts.estimand)]
    missing = found["missing"]
    said = [
        *table_in_words(found),
        *(f"{each.about}: {each.word or 'not known'}. {each.sentence}" for each in verdicts),
        *thresholds(found),
        (
            f"Of {number(missing['presentations'], 'presentation')}, {missing['labelled']} had a "
            f"label, {missing['cannot_assess']} could not be assessed, "
            f"{missing['not_answered']} had no answer."
        ),
    ]
    if any(each.word == "inconclusive" for each in verdicts):
        said.append(NOT_SIGNIFICANT)
    return " ".join(said)


def table_in_words(found: Json) -> list[str]:
    lines = [each for each in found["table"]["lines"] if each["truth"]]
    return [
        f"{each['reader']} found {each['original']['tumour']} of {each['original']['n']} tumour "
        f"cases on original and {each['perturbed']['tumour']} of {each['perturbed']['n']} on "
        f"perturbed images in set {each['set']} ({each['condition']})."
        for each in lines
    ]


def thresholds(found: Json) -> list[str]:
    return [
        f"Readers told perturbed images ({each['attack']}, norm {each['norm']}) apart with d' = 1 "
        f"from an epsilon of {interval(each['threshold_over_cases'])} grey levels (95 % interval "
        "over resampled cases)."
        for each in found["detection"].get("psychometric", ())
        if each["threshold_over_cases"]["estimate"] is not None
    ]
