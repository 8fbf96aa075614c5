"""Methods and results as a paragraph for a paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.sections.told import Json
from app.analysis.sentences import NOT_SIGNIFICANT
from app.analysis.wording import (
    budget,
    budget_of,
    in_letters,
    interval,
    interval_points,
    number,
    percent,
    points,
    reason_of,
    unsigned,
)
from app.vocabulary import Estimand


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


def paragraph(found: Json, facts: Facts) -> str:
    """Methods and results, plain text, ready to edit."""
    return f"{methods(found, facts)}\n\n{results(found)}\n"


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
            f"{in_letters(len(study['readers']), 'reader')} labelled {cases}, each as the original "
            f"and as perturbed images ({conditions}), in {number(sets, 'set')}: "
            f"{number(study['cases'] * versions * sets, 'presentation')} for each reader."
        ),
        f'The question was "{facts.question}" and the criterion "{facts.criterion.rstrip(".")}".',
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
        "the excess flip rate (how much more often original and perturbed disagree than two "
        "showings of one image)"
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
        f"The primary outcome was {named}, with a margin of {unsigned(margin)} percentage "
        f"points at alpha {options['alpha']:g}{frozen}."
    )


def results(found: Json) -> str:
    missing = found["missing"]
    tested = [flips(found, each) for each in found["flips"] if each["verdict"]]
    tested += [difference(found, each) for each in found["tp_difference"] if each["pooled"]["n"]]
    said = [
        *(told(found, each) for each in found["study"]["conditions"]),
        *tested,
        *thresholds(found),
        (
            f"Of {number(missing['presentations'], 'presentation')}, {missing['labelled']} had a "
            f"label, {missing['cannot_assess']} could not be assessed, and "
            f"{missing['not_answered']} had no answer."
        ),
    ]
    if "inconclusive" in " ".join(tested):
        said.append(NOT_SIGNIFICANT)
    return " ".join(said)


def told(found: Json, condition: Json) -> str:
    """Of all readers and sets together; the table has them one by one."""
    lines = [
        each for each in found["table"]["lines"] if each["condition"] == condition["condition"]
    ]

    def said(truth: int) -> str:
        counts = [
            " of ".join(
                str(sum(line[arm][what] for line in lines if line["truth"] == truth))
                for what in ("tumour", "n")
            )
            for arm in ("original", "perturbed")
        ]
        return "{} original and {} perturbed".format(*counts)

    without = f", and for {said(0)} images of cases without" if found["study"]["negatives"] else ""
    return (
        f"With {budget(condition)}, readers answered tumour for {said(1)} images of tumour "
        f"cases{without}, over all readers and sets."
    )


def flips(found: Json, each: Json) -> str:
    level = percent(1 - found["options"]["alpha"], 0)
    return (
        f"With {budget_of(found, each['condition'])}, answers to the original and to the perturbed "
        f"image differed in {percent(each['d_op'])} of pairs, and answers to one image shown twice "
        f"in {percent(each['d_oo'])} (original) and {percent(each['d_pp'])} (perturbed): an excess "
        f"of {points(each['excess'], 1)} percentage points, at most "
        f"{points(each['bound']['high'], 1)} (one-sided {level} limit), with a margin of "
        f"{unsigned(each['margin'])}: {each['verdict']}."
    )


def difference(found: Json, each: Json) -> str:
    pooled = each["pooled"]
    if pooled["verdict"] is None:
        return f"{each['measure'].capitalize()}: {reason_of(pooled)}"
    low, high = (points(pooled["interval_90"][end], 1) for end in ("low", "high"))
    return (
        f"With {budget_of(found, each['condition'])}, {each['measure']} on original less that on "
        f"perturbed images was {interval_points(pooled['interval_95'])} percentage points (95 % "
        f"interval; 90 %: {low} to {high}), with a margin of {unsigned(each['margin'])} either "
        f"way: {pooled['verdict']}."
    )


def thresholds(found: Json) -> list[str]:
    """What readers see, and what that is in terms of what fools the network."""
    return [
        f"Readers told perturbed images ({each['attack']}, norm {each['norm']}) apart with d' = 1 "
        f"from an epsilon of {interval(each['threshold_over_cases'])} grey levels (95 % interval "
        f"over resampled cases){in_margins(each)}."
        for each in found["detection"].get("psychometric", ())
        if each["threshold_over_cases"]["estimate"] is not None
    ]


def in_margins(function: Json) -> str:
    margin = function["perceptibility_margin"]
    if margin["estimate"] is None:
        return ""
    return f", {interval(margin)} times the network's median smallest epsilon"
