"""The sixteen points of a report, filled in from the study; what is not known says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.analysis.sections.told import Json
from app.analysis.sentences import NOT_SIGNIFICANT
from app.analysis.wording import budget, number, percent, unsigned
from app.storage.models import Condition, Study

GUIDELINES = {
    1: "GRRAS 4, 12; DECIDE-AI 3b-c",
    2: "STARD 6-9, 19; CLAIM",
    3: "STARD 10b-11",
    4: "STARD 12",
    5: "STARD 13; GRRAS 8",
    6: "GRRAS 6, 8",
    7: "GRRAS 6; STARD 18",
    8: "GRRAS 10",
    9: "GRRAS 13",
    10: "STARD 15-16",
    11: "MRMC",
    12: "GRRAS 13",
    13: "CLAIM; STARD-AI",
    14: "GRRAS 8",
    15: "STARD 28-30; GRRAS 15",
    16: "STARD 26-27",
}


@dataclass(frozen=True)
class Point:
    """`unknown` is what Plainsight does not know: the authors are to add it."""

    number: int
    title: str
    guidelines: str
    said: Sequence[str]
    unknown: Sequence[str]


def checklist(study: Study, found: Json) -> list[Point]:
    made = (
        readers(found),
        images(study, found),
        reference(study),
        instructions(study),
        knowledge(study),
        replicates(study),
        planning(study, found),
        methods(study, found),
        main_results(),
        missing(found),
        scores(found),
        times(found),
        attack(study, found),
        blinding(found),
        registration(study),
        limitations(found),
    )
    return [
        Point(place, title, GUIDELINES[place], said, unknown)
        for place, (title, said, unknown) in enumerate(made, start=1)
    ]


Filled = tuple[str, Sequence[str], Sequence[str]]


def readers(found: Json) -> Filled:
    names = found["study"]["readers"]
    return (
        "Readers",
        [f"{number(len(names), 'reader')}: {', '.join(names)}. Their screens are in readers.csv."],
        ["Role, years of experience, training and recruitment of the readers."],
    )


def images(study: Study, found: Json) -> Filled:
    counted = found["study"]
    sources = sorted({f"{s.case.data_set}, {s.case.fold}" for s in study.stimuli})
    return (
        "Images",
        [
            f"Batch {study.batch.name} (SHA-256 {study.batch.digest}); from {'; '.join(sources)}.",
            (
                f"{number(counted['cases'], 'case')} read: {counted['positives']} with tumour, "
                f"{counted['negatives']} without."
            ),
        ],
        ["How many cases were eligible, selected and attacked before this batch was made."],
    )


def reference(study: Study) -> Filled:
    return (
        "Reference standard",
        [f'The label of the data set, by the criterion "{study.batch.criterion}".'],
        ["Who labelled the data set, and how."],
    )


def instructions(study: Study) -> Filled:
    said = [f'Question: "{study.question}" Criterion: "{study.criterion}"']
    if study.instructions:
        said.append(f'Instructions: "{study.instructions}"')
    return "Instructions, word for word", said, []


def knowledge(study: Study) -> Filled:
    if study.is_demo:
        return "Blinding", ["A demo: results by arm were shown live, so nobody was blinded."], []
    at = study.unblinded_at
    return (
        "Blinding",
        [
            (
                "Readers were told neither that images were perturbed nor that they came again; "
                "researchers saw nothing by arm before unblinding."
            ),
            f"Unblinded {at:%Y-%m-%d %H:%M} UTC." if at else "Not unblinded.",
        ],
        ["What readers knew from elsewhere."],
    )


def replicates(study: Study) -> Filled:
    sittings = (
        f"{study.waves} sittings, at least {number(study.washout_days, 'day')} apart"
        if study.waves > 1
        else "one sitting, without a washout"
    )
    turned = "; images flipped and turned at random" if study.masking else ""
    return (
        "Replicates and order",
        [
            (
                f"{number(study.sets, 'set')} in {sittings}{turned}. A constrained shuffle for "
                f"each reader; presentations of one case at least {study.minimum_gap} places "
                "apart. The seeds are in study.json."
            )
        ],
        [],
    )


def planning(study: Study, found: Json) -> Filled:
    options, plan = found["options"], found["planning"]
    return (
        "Margin, alpha, sample size",
        [
            f"Margins: {unsigned(options['margin_flips'])} percentage points of excess flips, "
            f"{unsigned(options['margin_tp'])} of true positives; alpha {options['alpha']:g}"
            + (", frozen before the first reader was invited." if study.protocol_hash else "."),
            (
                f"With no flip in {number(plan['cases'], 'case')}, an excess above "
                f"{percent(plan['excess_excluded_by_no_flip'])} is excluded; the margin of true "
                f"positives needs {plan['positives_for_equivalence_without_flip']} tumour cases "
                f"without any discordance, {plan['positives']} were read."
            ),
        ],
        [] if study.protocol_hash else ["Whether the margins were set before the reading."],
    )


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


def main_results() -> Filled:
    said = "The table of the paper, flips and agreement, each with intervals, are below."
    return "Results with intervals", [said], []


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
            )
        ],
        [],
    )


def scores(found: Json) -> Filled:
    reason = found["roc"].get("reason")
    return (
        "Scores and ROC curves",
        [reason or "Curves for each reader are below; distributions of ratings in analysis.json."],
        [],
    )


def times(found: Json) -> Filled:
    said = f"{number(found['time']['answers'], 'answer')} with a time; medians and order below."
    return "Reading times and order", [said], []


def attack(study: Study, found: Json) -> Filled:
    measured = [measure(study, condition) for condition in conditions_of(study)]
    network = study.batch.network
    named = ", ".join(f"{name} {value}" for name, value in network.items() if value)
    return (
        "Attack and network",
        [
            "Conditions: " + "; ".join(budget(each) for each in found["study"]["conditions"]) + ".",
            *measured,
            f"Network: {named}." if named else "The batch does not tell the network.",
        ],
        [],
    )


def conditions_of(study: Study) -> list[Condition]:
    found = {s.condition.id: s.condition for s in study.stimuli if s.condition is not None}
    return [found[key] for key in sorted(found)]


def measure(study: Study, condition: Condition) -> str:
    """Of the 8-bit images that were shown."""
    shown = [s for s in study.stimuli if s.condition_id == condition.id]
    fooled = sum(s.success is True for s in shown)
    largest = max(s.linf or 0 for s in shown)
    return (
        f"{condition.name}, after rounding to 8 bit: {fooled} of {len(shown)} images fool the "
        f"network; the largest change is {number(largest, 'grey level')}."
    )


def blinding(found: Json) -> Filled:
    check = found["blinding_check"]
    if not check["readers_asked"]:
        return "Blinding check", [], ["No reader was asked whether images seemed to come again."]
    said: dict[str, Any] = check["saw_repeats"]
    words = f"{said['yes']} yes, {said['no']} no, {said['unsure']} unsure"
    return "Blinding check", [f"Did any image seem to come up more than once? {words}."], []


def registration(study: Study) -> Filled:
    frozen = (
        f"Protocol SHA-256 {study.protocol_hash}."
        if study.protocol_hash
        else "No protocol was frozen."
    )
    return (
        "Registration, ethics, data",
        [frozen, "Data: the export of this study, with a dictionary."],
        ["Registration number, ethics, funding, conflicts, where data and code are kept."],
    )


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
