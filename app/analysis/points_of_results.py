"""The points of a report that the results of a study fill in."""

from typing import Any

from app.analysis.points_of_design import Filled
from app.analysis.remarks import attention
from app.analysis.sections.told import Json
from app.analysis.sentences import NOT_SIGNIFICANT, Verdict, primary
from app.analysis.wording import number, unsigned
from app.storage.models import Study


def methods(study: Study, found: Json) -> Filled:
    code = found["code"]
    return (
        "Estimand, methods, software",
        [
            "Primary: "
            + (
                "the excess flip rate (disagreement of original and perturbed beyond that of two "
                "showings of one image), one-sided t limit over cases."
                if study.estimand == "flips"
                else "the paired difference in sensitivity, by clustered intervals over cases."
            ),
            (
                f"{code['name']} {code['version']}, commit {code['commit'] or 'not known'}; "
                "formulas and sources in docs/statistics.md."
            ),
        ],
        [],
    )


def main_results(study: Study, found: Json) -> Filled:
    return (
        "Results with intervals",
        [
            *(said(each) for each in primary(found, study.estimand)),
            "Table, flips, differences and agreement, each with intervals, are in this report.",
        ],
        [],
    )


def said(verdict: Verdict) -> str:
    return f"{verdict.about}: {verdict.word or verdict.sentence}".rstrip(".") + "."


def missing(found: Json) -> Filled:
    counts, left_out = found["missing"], found["exclusions"]["presentations"]
    return (
        "Missing, indeterminate, excluded",
        [
            (
                f"Of {number(counts['presentations'], 'presentation')}: {counts['labelled']} "
                f"labelled ({counts['few_cells']} as 1 to 4 tumour cells), "
                f"{counts['cannot_assess']} not assessable, {counts['not_answered']} not answered; "
                f"{left_out} left out by rule."
            ),
            *attention(found),
        ],
        [],
    )


def scores(found: Json) -> Filled:
    reason = found["roc"].get("reason")
    said = "Curves of each reader and set, and how often each rating was given, are in this report."
    return "Scores and ROC curves", [reason or said], []


def times(found: Json) -> Filled:
    time = found["time"]
    said = (
        f"{number(time['answers'], 'answer')} with a time, "
        f"{time['outside_200_ms_to_10_min']} of them outside 200 ms to 10 minutes; medians, "
        "ratios and the effects of order are in this report."
    )
    return "Reading times and order", [said], []


def blinding(found: Json) -> Filled:
    check = found["blinding_check"]
    if not check["readers_asked"]:
        return "Blinding check", ["No reader came to the question at the end."], []
    said: dict[str, Any] = check["saw_repeats"]
    words = f"{said['yes']} yes, {said['no']} no, {said['unsure']} unsure"
    return "Blinding check", [f"Did any image seem to come up more than once? {words}."], []


def limitations(found: Json) -> Filled:
    counted, options = found["study"], found["options"]
    return (
        "Limitations",
        [
            (
                f"{number(counted['cases'], 'case')} and "
                f"{number(len(counted['readers']), 'reader')}; margins of "
                f"{unsigned(options['margin_flips'])} and "
                f"{unsigned(options['margin_tp'])} percentage points. The results are of these "
                f"readers. {NOT_SIGNIFICANT}"
            ),
            *([] if counted["negatives"] else ["Only tumour cases: specificity is not known."]),
            *{each["caution"] for each in found["flips"] if each["caution"]},
        ],
        [],
    )
