"""The main results of an analysis in a few lines, for a person at a terminal."""

from app.analysis.sections.told import Json


def summary(found: Json) -> list[str]:
    lines = []
    for flips in found["flips"]:
        said = (
            flips["reason"]
            if "reason" in flips
            else (
                f"excess flips {percent(flips['excess'])}, at most {percent(flips['upper95'])} "
                f"(margin {percent(flips['margin'])}): {flips['verdict']}"
            )
        )
        lines.append(f"{flips['condition']}: {said}")
    for difference in found["tp_difference"]:
        pooled = difference["pooled"]
        interval = pooled["interval_95"]
        said = (
            pooled["reason"]
            if "reason" in pooled
            else (
                f"{percent(interval['estimate'])} ({percent(interval['low'])} to "
                f"{percent(interval['high'])}): {pooled['verdict']}"
            )
        )
        lines.append(f"{difference['condition']}: {difference['measure']} lost {said}")
    lines = lines or ["There is no perturbed image in this study."]
    lines += [
        f"{each['reader']}: {each['right']} of {each['n']} catch images right, below the plan"
        for each in found["exclusions"]["catch"]
        if each.get("is_below")
    ]
    return [*lines, "All numbers: add --json."]


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"
