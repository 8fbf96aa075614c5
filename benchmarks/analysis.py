"""How long the analysis of a study takes, section by section, without a server.

A made-up study: readers who differ, cases that are plain or not, three epsilons, two sets, pairs of
60 cases. CPU seconds of this process, which other work on the machine changes less than the clock.

    python benchmarks/analysis.py --json --readers 20 --cases 250
"""

import json
import math
import time
from collections.abc import Iterator

import click
import numpy as np

from app.analysis.analyse import SECTIONS
from app.analysis.exported import Attack, NetworkEpsilon, Pair, Plan, Shown, Tidy
from app.analysis.sections.rows import Options, rows_of
from app.analysis.statistics.detection import share_of

EPSILONS, SETS, CASES_OF_PAIRS = (1, 2, 4), 2, 60
SEED = 1


def made(readers: int, cases: int) -> Tidy:
    rng = np.random.default_rng(SEED)
    attacks = {name(e): Attack(name(e), "pgd", "linf", float(e)) for e in EPSILONS}
    shown = list(presentations(rng, readers, cases))
    return Tidy(shown, list(pairs(rng, readers, cases)), None, attacks, Plan(), ())


def name(epsilon: int) -> str:
    return f"linf-{epsilon}"


def presentations(rng: np.random.Generator, readers: int, cases: int) -> Iterator[Shown]:
    """Two cases of three are tumour; one answer of 100 is missing."""
    hard, arms = rng.normal(0, 1.5, cases), (None, *EPSILONS)
    places = [(case, arm) for case in range(cases) for arm in arms]
    for reader in range(readers):
        for number in range(1, SETS + 1):
            for position, at in enumerate(rng.permutation(len(places)), start=1):
                case, epsilon = places[at]
                truth = int(case % 3 < 2)
                logit = hard[case] + (2 if truth else -2) - 0.2 * (epsilon or 0)
                said = int(rng.random() < 1 / (1 + math.exp(-logit)))
                label = said if rng.random() < 0.99 else None
                rating = None if label is None else 50 + (20 * label - 10) * int(rng.integers(1, 6))
                yield Shown(
                    reader=f"R{reader:02}",
                    set_number=number,
                    index=(number - 1) * len(places) + position,
                    position=position,
                    case=f"c{case:04}",
                    condition=name(epsilon) if epsilon else None,
                    truth=truth,
                    label=label,
                    response="",
                    rating=rating,
                    reading_time_ms=int(rng.lognormal(8, 0.5)),
                    exclusion=None,
                )


def pairs(rng: np.random.Generator, readers: int, cases: int) -> Iterator[Pair]:
    for reader in range(readers):
        for case in range(min(cases, CASES_OF_PAIRS)):
            for epsilon in EPSILONS:
                seen = bool(rng.random() < share_of(epsilon / 3))
                sides = (None, name(epsilon))
                said = "right" if seen else "left"
                yield Pair(f"R{reader:02}", 1, f"c{case:04}", "choice", *sides, False, said, seen)


@click.command()
@click.option("--readers", default=20, show_default=True, type=click.IntRange(1))
@click.option("--cases", default=250, show_default=True, type=click.IntRange(4))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(readers: int, cases: int, as_json: bool) -> None:
    """Analyse a made-up study and tell the CPU seconds of every section."""
    rows = rows_of(made(readers, cases))
    values = tuple(np.geomspace(0.3, 0.9, 40).tolist())
    options = Options(network=(NetworkEpsilon("made up", values, "linf"),))
    seconds = {}
    for section, compute in SECTIONS.items():
        began = time.process_time()
        compute(rows, options)
        seconds[section] = round(time.process_time() - began, 2)
    facts = {"presentations": len(rows.everything), "seconds": round(sum(seconds.values()), 1)}
    if as_json:
        click.echo(json.dumps(facts | {"sections": seconds}))
    else:
        click.echo("  ".join(f"{key} {value}" for key, value in (facts | seconds).items()))


if __name__ == "__main__":
    main()
