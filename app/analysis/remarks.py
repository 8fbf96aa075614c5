"""What is said in words beside the charts and tables of a study's results."""

import re

from app.analysis.grids import of_all_sets
from app.analysis.sections.told import Json
from app.analysis.wording import (
    MINUS,
    decimals,
    interval,
    interval_percent,
    interval_points,
    number,
    percent,
    reason_of,
)


def of_order(order: Json) -> list[str]:
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


def of_readers_and_cases(found: Json) -> list[str]:
    told = (each.get("said", each.get("reason")) for each in of_all_sets(found))
    return list(dict.fromkeys(re.sub(r"(?<!\S)-(?=\d)", MINUS, each) for each in told if each))


def of_pairs(detection: Json) -> list[str]:
    if not detection["pairs"]:
        return []
    said = [
        (
            f"{number(detection['pairs'], 'pair')} were shown after the labelling: "
            f"{detection['not_sure']} were answered with not sure, "
            f"{detection['not_answered']} not at all."
        )
    ]
    if detection["said_left"]["n"]:
        said.append(
            f"The left image was named in {interval_percent(detection['said_left']['share'])} of "
            "answers; without a preference for a side it is half of them."
        )
    return [*said, *(each for function in detection["psychometric"] for each in seen(function))]


def seen(function: Json) -> list[str]:
    place = f"{function['attack']}, norm {function['norm']}"
    threshold = function["threshold_over_cases"]
    if threshold["estimate"] is None:
        return [f"{place}: no threshold. {reason_of(threshold)}"]
    fit, margin = function["fit"], function["perceptibility_margin"]
    told = (
        f"{place}: the readers' threshold (d' = 1) is an epsilon of {interval(threshold)} grey "
        f"levels, 95 % interval over cases; the lapse rate is {percent(fit['lapse'])}, the guess "
        f"rate {percent(fit['guess'])}."
    )
    if margin["estimate"] is None:
        return [told]
    network = decimals(function["network"]["median_epsilon"]["estimate"], 2)
    return [
        told,
        (
            f"{place}: the perceptibility margin is {interval(margin)}: readers need so many times "
            f"the network's median smallest epsilon, which is {network} grey levels."
        ),
    ]


def cautions(found: Json) -> list[str]:
    return list(dict.fromkeys(each["caution"] for each in found["flips"] if each["caution"]))


def exclusions(found: Json) -> list[str]:
    return [
        f"{number(each['presentations'], 'presentation')} left out: {each['rule']}."
        for each in found["exclusions"]["reasons"]
    ]


def attention(found: Json) -> list[str]:
    """Of catch images, which are in no other number; and who has fewer right than was planned."""
    catch, least = found["exclusions"]["catch"], found["options"].get("catch_least")
    if not catch:
        return []
    return [
        "Catch images are clear cases among the others; they are in no result.",
        *(
            f"{each['reader']} has {each['right']} of {number(each['n'], 'catch image')} right, "
            f"fewer than the {percent(least, 0)} of the plan: this reader may not have paid "
            "attention. Nothing was left out for it."
            for each in catch
            if each.get("is_below")
        ),
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
