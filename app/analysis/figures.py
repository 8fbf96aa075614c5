"""The charts of a study, each made from the numbers of its analysis alone."""

from app.analysis.charts import Chart
from app.analysis.curves import course, psychometric_charts, roc_curves
from app.analysis.interval_chart import PLAIN, SHARES, SIGNED, Bar, Margin, intervals
from app.analysis.sections.told import Json
from app.analysis.wording import unsigned


def charts_of(found: Json) -> list[Chart]:
    """In the order of the results page; what a study did not ask has no chart."""
    made = (
        difference(found),
        excess(found),
        floor(found),
        by_reader(found),
        course(found),
        agreement(found),
    )
    return [
        *(chart for chart in made if chart is not None),
        *roc_curves(found),
        *psychometric_charts(found),
    ]


def confidence(found: Json, tails: int = 1) -> str:
    return f"{100 * (1 - tails * found['options']['alpha']):g} %"


LEVELS = ("95 %", "interval_95"), ("90 %", "interval_90")


def difference(found: Json) -> Chart | None:
    """By two intervals: equivalence is judged from the narrower one."""
    lines = [each for each in found["tp_difference"] if each["pooled"]["n"]]
    if not lines:
        return None
    margin = found["options"]["margin_tp"]
    return Chart(
        "difference",
        "Original minus perturbed, in right answers",
        f"Interval chart: for each condition the paired difference with its 95 % interval and, "
        f"thick inside it, its 90 % interval, clustered by case, before an equivalence margin of "
        f"{unsigned(margin)} percentage points either way.",
        intervals(
            [
                Bar(
                    f"{each['condition']}, {each['measure']}",
                    *ends(each["pooled"]["interval_95"]),
                    inner=ends(each["pooled"]["interval_90"])[1:],
                )
                for each in lines
            ],
            margin=Margin(-margin, margin),
            axis_label="Percentage points; thin 95 %, thick 90 %; shaded: the margin",
            scale=SIGNED,
        ),
        ("condition", "measure", "interval", "estimate", "low", "high", "margin"),
        [
            (each["condition"], each["measure"], level, *ends(each["pooled"][key]), margin)
            for each in lines
            for level, key in LEVELS
        ],
    )


def ends(interval: Json) -> tuple[float | None, float | None, float | None]:
    return interval["estimate"], interval["low"], interval["high"]


def excess(found: Json) -> Chart | None:
    lines = [each for each in found["flips"] if each["excess"] is not None]
    if not lines:
        return None
    margin = found["options"]["margin_flips"]
    level = confidence(found)
    return Chart(
        "excess",
        "Excess flips, beyond what two showings of one image differ by",
        f"Interval chart: the excess flip rate of each condition with its one-sided {level} "
        f"limits, before a margin of {unsigned(margin)} percentage points. Equivalent is what "
        "ends inside it.",
        intervals(
            [Bar(each["condition"], *ends(each["bound"])) for each in lines],
            margin=Margin(None, margin),
            axis_label="Percentage points; the shaded zone ends at the margin",
            scale=SIGNED,
        ),
        ("condition", "excess", "lower_limit", "upper_limit", "margin"),
        [(each["condition"], *ends(each["bound"]), margin) for each in lines],
    )


RATES = {
    "d_op": "original, perturbed",
    "d_oo": "original, original",
    "d_pp": "perturbed, perturbed",
}


def floor(found: Json) -> Chart | None:
    lines = [each for each in found["flips"] if each["d_op"] is not None]
    if not lines:
        return None
    return Chart(
        "noise-floor",
        "How often two answers to one case differ",
        "Dot chart: for each condition how often the answers to the original and to the "
        "perturbed image differ, and below it how often two answers to the very same image do: "
        "the noise floor.",
        intervals(
            [
                Bar(
                    f"{each['condition']}: {label}" if rate == "d_op" else label,
                    *(each[rate], None, None),
                    is_second=rate != "d_op",
                )
                for each in lines
                for rate, label in RATES.items()
            ],
            margin=None,
            axis_label="Share of pairs of answers that differ; squares are the noise floor",
            scale=SHARES,
        ),
        ("condition", "compared", "share_that_differ", "units"),
        [
            (each["condition"], label, each[rate], each["units"])
            for each in lines
            for rate, label in RATES.items()
        ],
    )


def by_reader(found: Json) -> Chart | None:
    lines = [
        (each, of_reader)
        for each in found["tp_difference"]
        for of_reader in each["readers"]
        if of_reader["n"]
    ]
    if not lines:
        return None
    conditions = {each["condition"] for each, _ in lines}
    margin = found["options"]["margin_tp"]

    def label(each: Json, reader: str) -> str:
        words = [reader, each["measure"], *([each["condition"]] if len(conditions) > 1 else [])]
        return ", ".join(words)

    return Chart(
        "by-reader",
        "Original minus perturbed, reader by reader",
        "Interval chart: of each reader the paired difference in right answers over all sets, "
        "with its 95 % interval, clustered by case.",
        intervals(
            [
                Bar(label(each, of_reader["reader"]), *ends(of_reader["interval_95"]))
                for each, of_reader in lines
            ],
            margin=Margin(-margin, margin),
            axis_label="Percentage points; the shaded zone is the margin",
            scale=SIGNED,
        ),
        ("reader", "condition", "measure", "estimate", "low", "high"),
        [
            (
                of_reader["reader"],
                each["condition"],
                each["measure"],
                *ends(of_reader["interval_95"]),
            )
            for each, of_reader in lines
        ],
    )


def agreement(found: Json) -> Chart | None:
    """Of each reader with themselves, and of all readers with each other."""
    within = [
        (each["reader"], each["condition"], each["ac1"]) for each in found["agreement"]["intra"]
    ]
    between = [
        (f"{each['readers']} readers, set {each['set']}", each["condition"], each["ac1"])
        for each in found["agreement"]["inter"]
    ]
    known = [each for each in (*within, *between) if each[2]["estimate"] is not None]
    if not known:
        return None
    return Chart(
        "agreement",
        "Agreement beyond chance, Gwet's AC1",
        "Interval chart: of each reader with themselves from set to set, then of all readers with "
        "each other in each set, on original and on perturbed images, with 95 % intervals. 1 is "
        "full agreement.",
        intervals(
            [
                Bar(f"{who}, {images}", *ends(value), is_second=images != "original")
                for who, images, value in known
            ],
            margin=None,
            axis_label="AC1; dots: original, squares: perturbed images",
            scale=PLAIN,
        ),
        ("who", "images", "ac1", "low", "high"),
        [(who, images, *ends(value)) for who, images, value in known],
    )
