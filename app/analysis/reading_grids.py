"""Tables of a study's results: agreement, times, ratings, pairs, what is missing."""

from app.analysis.grids import Grid
from app.analysis.sections.told import Json
from app.analysis.wording import (
    interval,
    interval_percent,
    number,
    p_value,
    percent,
)


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
    arms = ("original", "perturbed", "difference")
    rows = [
        (
            f"{each['reader']}, set {each['set']}",
            each["condition"],
            *(
                (interval(each["areas"][name]) for name in arms)
                if each["areas"]["original"]
                else (each["areas"]["reason"], "", "")
            ),
        )
        for each in roc["lines"]
        if each["curves"]["original"]
    ]
    header = ("Reader", "Condition", "Original", "Perturbed", "Difference")
    return [Grid("Areas under the curve, DeLong", header, rows)] if rows else []


def ratings(roc: Json) -> list[Grid]:
    """Over all readers and sets."""
    names = list(dict.fromkeys(line["condition"] for line in roc["lines"]))
    counts: dict[float, dict[str, list[int]]] = {}
    for line in roc["lines"]:
        arms = {line["condition"]: line["ratings"]["perturbed"]}
        if line["condition"] == names[0]:
            arms["original"] = line["ratings"]["original"]
        for name, given in arms.items():
            for each in given:
                row = counts.setdefault(each["rating"], {})
                both = row.setdefault(name, [0, 0])
                both[0] += each["positives"]
                both[1] += each["negatives"]
    rows = [
        (
            f"{rating:g}",
            *("{}, {}".format(*row.get(name, (0, 0))) for name in ("original", *names)),
        )
        for rating, row in sorted(counts.items())
    ]
    caption = "How often each rating was given to images with tumour, without tumour"
    return [Grid(caption, ("Rating", "original", *names), rows)] if rows else []


def pairs(detection: Json) -> list[Grid]:
    choice = [
        (
            each["condition"],
            f"{each['right']} of {each['n']}",
            interval_percent(each["over_cases"]),
            interval(each["d_prime"]),
            p_value(each["p_chance"]),
            " and ".join(p_value(limit["p"]) for limit in each["similarity"]),
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
            (
                *("Condition", "Right", "Share over cases", "d'", "p of chance"),
                "p of a d' of 0.5 and of 1 or more",
            ),
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


SAID = {None: "", True: "fewer", False: "yes"}


def attention(found: Json) -> list[Grid]:
    """None where the study has no catch images."""

    def share(each: Json) -> str:
        ends = (each["wilson"]["low"], each["wilson"]["high"])
        return " to ".join(percent(end, 0) for end in ends) if each["n"] else "not known"

    least = found["options"].get("catch_least")
    allowed = () if least is None else (f"At least {percent(least, 0)}",)
    rows = [
        (
            *(each["reader"], str(each["shown"]), f"{each['right']} of {each['n']}", share(each)),
            *(SAID[each.get("is_below")] for _ in allowed),
        )
        for each in found["exclusions"]["catch"]
    ]
    header = ("Reader", "Shown", "Right", "Wilson's interval", *allowed)
    return [Grid("Right answers to catch images", header, rows)] if rows else []
