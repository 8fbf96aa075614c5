"""`missing`, `exclusions` and `blinding_check`: what the other numbers do not rest on."""

from collections import Counter, defaultdict

from app.analysis.exported import Shown
from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay, Interval
from app.analysis.statistics.proportions import wilson_interval

ABSENT = "There is no readers.csv, or it does not tell what readers said at the end."


def missing(rows: Rows, _: Options) -> Json:
    lines: list[Json] = []
    of_line: dict[tuple[str, str | None], list[Shown]] = defaultdict(list)
    for each in rows.everything:
        of_line[each.reader, each.condition].append(each)
    for reader in rows.readers:
        for arm in (None, *rows.conditions):
            shown = of_line[reader, arm]
            responses = Counter(each.response for each in shown)
            lines.append(
                {
                    "reader": reader,
                    "condition": arm or "original",
                    "presentations": len(shown),
                    "labelled": sum(each.label is not None for each in shown),
                    "few_cells": responses["few_cells"],
                    "cannot_assess": responses["cannot_assess"],
                    "not_answered": responses[""],
                }
            )
    counts = ("presentations", "labelled", "few_cells", "cannot_assess", "not_answered")
    return {name: sum(line[name] for line in lines) for name in counts} | {"lines": lines}


def exclusions(rows: Rows, options: Options) -> Json:
    excluded = [each for each in rows.everything if each.exclusion is not None]
    counted = Counter(each.exclusion for each in excluded)
    return {
        "presentations": len(excluded),
        "reasons": [
            {"rule": rule, "presentations": counted[rule]} for rule in sorted(counted, key=str)
        ],
        "catch": [caught(rows, reader, options) for reader in catch_readers(rows)],
    }


def catch_readers(rows: Rows) -> list[str]:
    return sorted({each.reader for each in rows.catch})


def caught(rows: Rows, reader: str, options: Options) -> Json:
    """How many catch images a reader has right, of those answered, whatever was answered."""
    shown = [each for each in rows.catch if each.reader == reader]
    answered = [each for each in shown if each.response]
    right, n = sum(each.label == each.truth for each in answered), len(answered)

    def interval() -> Interval:
        if not n:
            raise CannotSay("Nothing was answered.")
        return wilson_interval(right, n, 1 - options.alpha)

    least = options.catch_least
    return {
        "reader": reader,
        "shown": len(shown),
        "n": n,
        "right": right,
        "wilson": told(Interval, interval),
        **({"is_below": right / n < least} if least is not None and n else {}),
    }


def blinding_check(rows: Rows, _: Options) -> Json:
    """Whether readers noticed that images came again, and what seemed odd to them."""
    asked = [each for each in rows.impressions or () if each.saw_repeats]
    if not asked:
        return {"readers_asked": 0, "reason": ABSENT}
    said = Counter(each.saw_repeats for each in asked)
    return {
        "readers_asked": len(asked),
        "saw_repeats": {word: said[word] for word in ("yes", "no", "unsure")},
        "odd": [{"reader": each.reader, "said": each.odd} for each in asked if each.odd],
    }
