"""The results in the order in which they are told: headings, sentences, charts and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.charts import Chart
from app.analysis.sections.told import Json
from app.analysis.wording import (
    budget,
    decimals,
    interval,
    interval_percent,
    interval_points,
    number,
    p_value,
    percent,
    points,
)

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Grid:
    """A table in words. The first cell of each row names it."""

    caption: str
    header: Sequence[str]
    rows: Rows
    is_text: bool = False


@dataclass(frozen=True)
class Block:
    """`name` is its place on the page; charts come before tables."""

    name: str
    title: str
    sentences: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()


def blocks_of(found: Json, charts: Sequence[Chart]) -> list[Block]:
    """What there is nothing to tell about is left out."""
    by_name = {chart.name: chart for chart in charts}

    def named(*names: str) -> list[Chart]:
        return [by_name[name] for name in names if name in by_name]

    def beginning(word: str) -> list[Chart]:
        return [chart for chart in charts if chart.name.startswith(word)]

    made = [
        Block(
            "difference",
            "Paired difference and noise floor",
            charts=named("difference", "excess", "noise-floor"),
        ),
        Block("conditions", "By condition", grids=[conditions(found)]),
        Block("readers", "By reader", charts=named("by-reader"), grids=[readers(found)]),
        Block(
            "course",
            "Over time",
            order_sentences(found["order"]),
            named("over-time"),
            carry_over(found["order"]),
        ),
        Block("discrimination", "Telling tumour from none", grids=discrimination(found)),
        Block("agreement", "Agreement", grids=agreement(found["agreement"])),
        Block("time", "Reading time", grids=times(found["time"])),
        Block("roc", "ROC curves", charts=beginning("roc-"), grids=areas(found["roc"])),
        Block(
            "pairs",
            "The block of pairs",
            pair_sentences(found["detection"]),
            beginning("psychometric-"),
            pairs(found["detection"]),
        ),
        Block("missing", "What is missing", exclusions(found), grids=[missing(found)]),
        Block("blinding", "Blinding check", blinding(found["blinding_check"])),
    ]
    return [each for each in made if each.sentences or each.charts or filled(each.grids)]


def filled(grids: Sequence[Grid]) -> bool:
    return any(grid.rows for grid in grids)


def conditions(found: Json) -> Grid:
    measures = {(each["condition"], each["measure"]): each for each in found["tp_difference"]}

    def difference(condition: str, measure: str) -> str:
        each = measures.get((condition, measure))
        return interval_points(each["pooled"]["interval_95"]) if each else "not asked"

    return Grid(
        "By attack, norm and epsilon; differences are original minus perturbed, in percentage "
        "points, with 95 % intervals",
        ("Condition", "Excess flips, at most", "Sensitivity", "Specificity", "Flips verdict"),
        [
            (
                budget(listed),
                f"{points(flips['excess'], 1)}, {points(flips['bound']['high'], 1)}"
                if flips["excess"] is not None
                else flips["reason"],
                difference(listed["condition"], "sensitivity"),
                difference(listed["condition"], "specificity"),
                flips["verdict"] or "not known",
            )
            for listed, flips in zip(found["study"]["conditions"], found["flips"], strict=True)
        ],
    )


def readers(found: Json) -> Grid:
    return Grid(
        "How often two answers of one reader to one case differ",
        ("Reader", "Condition", "Cases", *("Original, perturbed", "Noise floor", "Excess")),
        [
            (
                each["reader"],
                flips["condition"],
                str(each["units"]),
                percent(each["d_op"]),
                f"{percent(each['d_oo'])}, {percent(each['d_pp'])}",
                points(each["excess"], 1),
            )
            for flips in found["flips"]
            for each in flips["by_reader"]
        ],
    )


def order_sentences(order: Json) -> list[str]:
    said = []
    if order["position"]["estimate"] is not None:
        said.append(
            "From a reader's first presentation to the last, the share of right answers changes "
            f"by {interval_points(order['position'])} percentage points."
        )
    said += [
        f"Right answers in set {each['sets'][0]} less those in set {each['sets'][1]}, to the same "
        f"images: {interval_points(each)} percentage points."
        for each in order["sets"]
        if each["estimate"] is not None
    ]
    return said


def carry_over(order: Json) -> list[Grid]:
    rows = [
        (
            each["condition"],
            "tumour" if each["truth"] else "no tumour",
            interval_points(each["original_first"]),
            interval_points(each["perturbed_first"]),
            interval_points(each["effect"]),
        )
        for each in order["carry_over"]
        if each["effect"]["estimate"] is not None
    ]
    caption = "Original minus perturbed by which of them came first in its set, percentage points"
    header = ("Condition", "Truth", "Original first", "Perturbed first", "Effect of the order")
    return [Grid(caption, header, rows)] if rows else []


def discrimination(found: Json) -> list[Grid]:
    rows = [
        (
            f"{each['reader']}, set {each['set']}",
            each["condition"],
            *(
                decimals(each[arm][name], 2)
                for arm in ("original", "perturbed")
                for name in ("d_prime", "criterion")
            ),
        )
        for each in found["table"]["discrimination"]
        if each["original"]["d_prime"] is not None or each["perturbed"]["d_prime"] is not None
    ]
    header = ("Reader", "Condition", "d' original", "criterion", "d' perturbed", "criterion")
    caption = "d' and criterion, log-linear; a criterion below 0 leans to tumour"
    return [Grid(caption, header, rows)] if rows else []


def agreement(found: Json) -> list[Grid]:
    def coefficients(each: Json) -> tuple[str, ...]:
        return (
            interval_percent(each["percent"], 0),
            interval(each["kappa"]),
            interval(each["ac1"]),
        )

    within = [
        (
            f"{each['reader']}, sets {each['sets'][0]} and {each['sets'][1]}",
            each["condition"],
            *coefficients(each),
        )
        for each in found["intra"]
    ]
    between = [
        (
            f"{' and '.join(each['readers'])}, set {each['set']}",
            each["condition"],
            *coefficients(each),
        )
        for each in found["inter_pairs"]
    ]
    several = [
        (
            f"{number(each['readers'], 'reader')}, set {each['set']}",
            each["condition"],
            interval_percent(each["percent"], 0),
            interval(each["fleiss"]),
            interval(each["ac1"]),
        )
        for each in found["inter"]
        if each["readers"] > 2
    ]
    header = ("Readers", "Images", "Agreement", "Cohen's kappa", "Gwet's AC1")
    made = [
        Grid("Of a reader with themselves", header, within),
        Grid("Of two readers with each other", header, between),
        Grid("Of all readers", (*header[:3], "Fleiss' kappa", header[4]), several),
    ]
    return [grid for grid in made if grid.rows]


def times(time: Json) -> list[Grid]:
    medians = [
        (
            each["reader"],
            each["condition"],
            str(each["n"]),
            f"{each['median'] / 1000:.1f} s",
        )
        for each in time["medians_ms"]
        if each["n"]
    ]
    ratios = [
        (
            each["condition"],
            interval(each["perturbed"]),
            p_value(each["perturbed"]["p"]),
        )
        for each in time["ratios"]
        if each["perturbed"] and each["perturbed"]["estimate"] is not None
    ]
    made = [
        Grid("Median reading times", ("Reader", "Images", "Answers", "Median"), medians),
        Grid(
            "Times on perturbed images as a multiple of those on originals, geometric means",
            ("Condition", "Ratio with 95 % interval", "p"),
            ratios,
        ),
    ]
    return [grid for grid in made if grid.rows]


def areas(roc: Json) -> list[Grid]:
    rows = [
        (
            f"{each['reader']}, set {each['set']}",
            each["condition"],
            *(interval(each["areas"][name]) for name in ("original", "perturbed", "difference")),
        )
        for each in roc["lines"]
        if each["areas"]["original"] and each["areas"]["original"]["estimate"] is not None
    ]
    header = ("Reader", "Condition", "Original", "Perturbed", "Difference")
    return [Grid("Areas under the curve, DeLong", header, rows)] if rows else []


def pair_sentences(detection: Json) -> list[str]:
    if not detection["pairs"]:
        return []
    said = [
        (
            f"{number(detection['pairs'], 'pair')} were shown after the labelling; "
            f"{detection['not_sure']} were answered with not sure, "
            f"{detection['not_answered']} not at all."
        )
    ]
    for each in detection["psychometric"]:
        place = f"{each['attack']}, norm {each['norm']}"
        said.append(
            f"{place}: the readers' threshold (d' = 1) is an epsilon of "
            f"{interval(each['threshold_over_cases'])} grey levels."
        )
        if each["perceptibility_margin"]["estimate"] is not None:
            said.append(
                f"{place}: the attack is {interval(each['perceptibility_margin'])} times smaller "
                "than what readers see."
            )
    return said


def pairs(detection: Json) -> list[Grid]:
    choice = [
        (
            each["condition"],
            f"{each['right']} of {each['n']}",
            interval_percent(each["over_cases"]),
            interval(each["d_prime"]),
            p_value(each["p_chance"]),
        )
        for each in detection.get("choice", ())
    ]
    comparison = [
        (
            each["condition"],
            f"{each['hits']} of {each['different']}",
            f"{each['false_alarms']} of {each['same']}",
            interval(each["differencing"]),
            p_value(each["p_chance"]),
        )
        for each in detection.get("same_different", ())
    ]
    made = [
        Grid(
            "Which of two was altered; chance is 50 %",
            ("Condition", "Right", "Share", "d'", "p of chance"),
            choice,
        ),
        Grid(
            "Same or different, held against false alarms",
            ("Condition", "Hits", "False alarms", "d' (differencing)", "p of chance"),
            comparison,
        ),
    ]
    return [grid for grid in made if grid.rows]


def missing(found: Json) -> Grid:
    names = ("presentations", "labelled", "few_cells", "cannot_assess", "not_answered")
    return Grid(
        "Presentations by what was answered",
        ("Reader", "Images", "Shown", "Labelled", "1 to 4 cells", "Cannot assess", "No answer"),
        [
            (each["reader"], each["condition"], *(str(each[name]) for name in names))
            for each in found["missing"]["lines"]
        ],
    )


def exclusions(found: Json) -> list[str]:
    return [
        f"{number(each['presentations'], 'presentation')} left out: {each['rule']}."
        for each in found["exclusions"]["reasons"]
    ]


def blinding(check: Json) -> list[str]:
    if not check["readers_asked"]:
        return ["No reader has said yet whether images seemed to come up again."]
    said = check["saw_repeats"]
    return [
        (
            f"Did any image seem to come up more than once? Of "
            f"{number(check['readers_asked'], 'reader')}, {said['yes']} said yes, {said['no']} no, "
            f"{said['unsure']} unsure."
        ),
        *(f'{each["reader"]} found odd: "{each["said"]}"' for each in check["odd"]),
    ]
