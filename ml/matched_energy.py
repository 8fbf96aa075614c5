"""The rows of natural.csv, and for each attack what else has its energy."""

from dataclasses import dataclass

import numpy as np

ATTACK, RANDOM = "pgd_", "random_as_pgd_"
"""What rows of attacks, and of noise as strong as each, begin with; the norm follows."""


@dataclass(frozen=True, kw_only=True)
class NaturalRow:
    """One line of natural.csv: of `n` patches, `successes` change their class; energies are means.

    `change` is one of `ml.natural`, "pgd_linf" or "pgd_l2" with epsilon as `level`, or
    "random_as_pgd_..." for Gaussian noise that has, in each patch, the RMSD of that attack.
    """

    change: str
    level: float
    n: int
    successes: int
    rate: float
    low: float
    high: float
    l1_mad: float
    l2_rmsd: float
    linf: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A natural change, at the mildest of its levels that has the attack's energy or more."""

    change: str
    level: float
    l2_rmsd: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Matched:
    """An attack beside noise of the same energy (RMSD), and natural changes of that or more.

    `natural_rate` is the mean over the `natural` changes; None where none has so much energy.
    """

    change: str
    level: float
    l2_rmsd: float
    rate: float
    random_rate: float
    natural_rate: float | None
    natural: tuple[Peer, ...]


def match(rows: list[NaturalRow]) -> list[Matched]:
    """A line for each attack."""
    random_rates = {(r.change, r.level): r.rate for r in rows if r.change.startswith(RANDOM)}
    natural = [r for r in rows if not r.change.startswith((ATTACK, RANDOM))]
    return [
        _matched(row, random_rates[row.change.replace(ATTACK, RANDOM), row.level], natural)
        for row in rows
        if row.change.startswith(ATTACK)
    ]


def sentence(matched: list[Matched]) -> str:
    """Of the attack that changes most classes; of equals, the one of the least energy."""
    strongest = max(matched, key=lambda m: (m.rate, -m.l2_rmsd))
    natural = strongest.natural_rate
    norm = strongest.change.removeprefix(ATTACK)
    return (
        f"PGD within {norm} {strongest.level:g}, of RMSD {strongest.l2_rmsd:.2f} grey levels, "
        f"changes the class of {strongest.rate:.1%} of the patches, noise of the same RMSD of "
        f"{strongest.random_rate:.1%}"
        + ("." if natural is None else f", natural changes of that RMSD or more of {natural:.1%}.")
    )


def _matched(row: NaturalRow, random_rate: float, natural: list[NaturalRow]) -> Matched:
    stronger = sorted((r for r in natural if r.l2_rmsd >= row.l2_rmsd), key=lambda r: r.l2_rmsd)
    mildest: dict[str, NaturalRow] = {}
    for candidate in stronger:
        mildest.setdefault(candidate.change, candidate)
    rates = [peer.rate for peer in mildest.values()]
    return Matched(
        change=row.change,
        level=row.level,
        l2_rmsd=row.l2_rmsd,
        rate=row.rate,
        random_rate=random_rate,
        natural_rate=float(np.mean(rates)) if rates else None,
        natural=tuple(
            Peer(change=r.change, level=r.level, l2_rmsd=r.l2_rmsd, rate=r.rate)
            for r in mildest.values()
        ),
    )
