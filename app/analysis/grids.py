"""Tables of a study's results by condition, reader, and all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.sections.told import Json
from app.analysis.wording import (
    budget,
    budget_of,
    decimals,
    interval,
    interval_points,
    p_value,
    percent,
    points,
    unsigned,
)


@dataclass(frozen=True)
class Grid:
    """A table in words. The first cell of each row names it."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def flips(found: Json) -> Grid:
    level = 1 - found["options"]["alpha"]
    return Grid(
        f"How often answers differ, by attack, norm and epsilon; the excess in percentage points "
        f"with its one-sided upper {percent(level, 0)} limit",
        (
            "Condition",
            "Cases",
            "Original, perturbed",
            "Noise floor",
            "Excess, at most",
            "p, permuted",
            "To no tumour, to tumour",
            "Verdict",
        ),
        [
            (
                budget(listed),
                str(each["cases"]),
                *(
                    (
                        percent(each["d_op"]),
                        f"{percent(each['d_oo'])}, {percent(each['d_pp'])}",
                        f"{points(each['excess'], 1)}, {points(each['bound']['high'], 1)}",
                    )
                    if each["excess"] is not None
                    else (each["reason"], "", "")
                ),
                p_value(each["p_exact"]),
                f"{each['flipped_to_no_tumour']}, {each['flipped_to_tumour']}",
                each["verdict"] or "not known",
            )
            for listed, each in zip(found["study"]["conditions"], found["flips"], strict=True)
        ],
    )


def differences(found: Json) -> Grid:
    return Grid(
        "Right answers, original minus perturbed, in percentage points, clustered by case; "
        f"the margin is {unsigned(found['options']['margin_tp'])} either way",
        ("Condition", "Measure", "95 % interval", "90 % interval", "Verdict"),
        [
            (
                budget_of(found, each["condition"]),
                each["measure"],
                interval_points(each["pooled"]["interval_95"]),
                interval_points(each["pooled"]["interval_90"]),
                each["pooled"]["verdict"] or "not known",
            )
            for each in found["tp_difference"]
        ],
    )


def by_set(found: Json) -> Grid:
    """Of each reader and set; the columns are conditions."""
    names = [each["condition"] for each in found["study"]["conditions"]]
    told: dict[tuple[str, str, int], dict[str, str]] = {}
    for each in found["tp_difference"]:
        for line in each["lines"]:
            row = told.setdefault((each["measure"], line["reader"], line["set"]), {})
            row[each["condition"]] = interval_points(line["tango_95"], 0)
    return Grid(
        "Right answers in each set, original minus perturbed, in percentage points, with Tango's "
        "95 % intervals",
        ("Reader and set", "Measure", *names),
        [
            (f"{reader}, set {number}", measure, *(row.get(name, "not asked") for name in names))
            for (measure, reader, number), row in told.items()
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


def of_all_sets(found: Json) -> list[Json]:
    """Of the analyses by Obuchowski and Rockette, those that are of every set."""
    return [each for each in found["mrmc"] if each["sets"] == found["study"]["sets"]]


def readers_and_cases(found: Json) -> list[Grid]:
    """Obuchowski and Rockette's analysis."""
    compared = [each for each in of_all_sets(found) if "judged_by" in each]
    rows = [
        (
            each["condition"],
            each["metric"].replace("auc", "AUC"),
            f"{len(each['readers'])}, {each['cases']}",
            *(interval(each[arm]["mean"]) for arm in ("original", "perturbed")),
            interval(each[each["judged_by"]]["difference"] or {}),
            p_value(each[each["judged_by"]]["p"]),
            each["verdict"] or "not judged",
        )
        for each in compared
    ]
    caption = "Readers and cases together: means and differences with 95 % intervals"
    header = (
        *("Condition", "Metric", "Readers, cases", "Original", "Perturbed"),
        *("Difference", "p", "Verdict"),
    )
    return [Grid(caption, header, rows)] if rows else []
