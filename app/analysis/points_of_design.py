"""The points of a report that the design of a study fills in."""

from collections.abc import Sequence

from app.analysis.sections.told import Json
from app.analysis.wording import NOT_KNOWN, budget, decimals, number, percent, unsigned
from app.storage.models import Condition, Study
from app.vocabulary import Part

Filled = tuple[str, Sequence[str], Sequence[str]]
"""The title; what is said; what is not known."""


def readers(study: Study, found: Json) -> Filled:
    names = found["study"]["readers"]
    practice = len(study.stimuli_of(Part.PRACTICE))
    trained = (
        f"Training: {number(practice, 'practice image')}, "
        + ("with" if study.feedback else "without")
        + " the right answer shown."
        if practice
        else "There was no practice."
    )
    return (
        "Readers",
        [
            f"{number(len(names), 'reader')}: {', '.join(names)}. {trained}",
            "Screens, window sizes and what every reader could read on theirs are in readers.csv.",
        ],
        ["Role, board certification, years of experience and recruitment of the readers."],
    )


def images(study: Study, found: Json) -> Filled:
    counted, delivered = found["study"], len(study.batch.cases)
    sources = sorted({f"{s.case.data_set}, {s.case.fold}" for s in study.stimuli})
    drawn = "" if counted["cases"] == delivered else ", drawn at random"
    return (
        "Images",
        [
            f"Batch {study.batch.name} (SHA-256 {study.batch.digest}); from {'; '.join(sources)}.",
            (
                f"{number(delivered, 'case')} delivered, {counted['cases']} read{drawn}: "
                f"{counted['positives']} with tumour, {counted['negatives']} without; each as the "
                f"original and in {number(len(counted['conditions']), 'condition')}."
            ),
        ],
        ["How many cases were eligible and attacked before this batch was made, and why these."],
    )


def reference(study: Study) -> Filled:
    return (
        "Reference standard",
        [f'The label of the data set, by the criterion "{study.batch.criterion}"'],
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
    powers = ", ".join(
        f"{percent(each['power'])} with {percent(each['discordant'], 0)} discordant pairs"
        for each in plan["power_of_equivalence"]
        if each["power"] is not None
    )
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
            *(
                [f"Power to show equivalence of true positives, one reader and set: {powers}."]
                if powers
                else []
            ),
        ],
        [] if study.protocol_hash else ["Whether the margins were set before the reading."],
    )


def attack(study: Study, found: Json) -> Filled:
    return (
        "Attack and network",
        [
            "Conditions: " + "; ".join(budget(each) for each in found["study"]["conditions"]) + ".",
            *(measure(study, condition) for condition in conditions_of(study)),
            network(study.batch.network),
        ],
        [],
    )


def network(told: Json) -> str:
    """What the batch says of it: its name, its file, the data, and how good it is."""
    data, metrics = told.get("data") or {}, told.get("metrics") or {}
    said = [
        told.get("architecture"),
        f"file SHA-256 {told['file_sha256']}" if told.get("file_sha256") else None,
        f"data {data['name']}" if data.get("name") else None,
        *(
            f"{name.replace('_', ' ')} {value if isinstance(value, int) else decimals(value, 3)}"
            for name, value in metrics.items()
            if isinstance(value, int | float)
        ),
    ]
    known = ", ".join(str(each) for each in said if each)
    return f"Network: {known}." if known else "The batch does not tell the network."


def conditions_of(study: Study) -> list[Condition]:
    found = {s.condition.id: s.condition for s in study.stimuli if s.condition is not None}
    return [found[key] for key in sorted(found)]


def measure(study: Study, condition: Condition) -> str:
    """Of the 8-bit images that were shown."""
    shown = [s for s in study.stimuli if s.condition_id == condition.id]
    fooled = sum(s.success is True for s in shown)
    largest = max(s.linf or 0 for s in shown)
    distances = [s.l2_rmsd for s in shown if s.l2_rmsd is not None]
    mean = decimals(sum(distances) / len(distances), 2) if distances else NOT_KNOWN
    return (
        f"{condition.name}, after rounding to 8 bit: {fooled} of {len(shown)} images fool the "
        f"network; the largest change is {number(largest, 'grey level')}, the root mean square "
        f"{mean} on average."
    )


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
