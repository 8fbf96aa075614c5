"""Numbers of papers and of design/statistics.md that are in no file of oracles."""

import pytest
from scipy import stats

from app.analysis.statistics import PairedTable, paired_difference
from app.analysis.statistics.detection import share_of, similarity_p
from app.analysis.statistics.paired import mcnemar
from app.analysis.statistics.planning import choice_power, similarity_power, tost_power
from app.analysis.statistics.unconditional import unconditional_p


def test_cavo_2012() -> None:
    """The worked example of the R package contingencytables."""
    table = PairedTable(59, 6, 16, 80)

    assert mcnemar(table).mid_p == pytest.approx(0.034690, abs=1e-6)
    assert unconditional_p(table) == pytest.approx(0.034204, abs=1e-6)
    assert paired_difference(table)[1:] == pytest.approx((-0.124023, -0.005433), abs=1e-6)


def test_the_example_of_prop_cis_has_the_other_sign() -> None:
    """PropCIs::scoreci.mp(40, 20, 160) gives the interval of (c - b) / n."""
    _, low, high = paired_difference(PairedTable(50, 40, 20, 50))

    assert (-high, -low) == pytest.approx((-0.218064, -0.030865), abs=1e-6)


@pytest.mark.parametrize(
    ("n", "discordant", "margin", "power"),
    [
        (20, 0.05, 0.15, 0.358),
        (40, 0.10, 0.15, 0.626),
        (60, 0.20, 0.20, 0.900),
        (80, 0.30, 0.15, 0.568),
        (100, 0.05, 0.10, 0.966),
        (120, 0.30, 0.15, 0.818),
    ],
)
def test_the_table_of_power(n: int, discordant: float, margin: float, power: float) -> None:
    """Section 2.3; the last is what Liu et al. 2002 say of n = 120."""
    assert tost_power(n, discordant / 2, discordant / 2, margin) == pytest.approx(power, abs=5e-4)


@pytest.mark.parametrize(("n", "needed"), [(20, 15), (40, 26), (60, 37)])
def test_so_many_right_answers_are_more_than_chance(n: int, needed: int) -> None:
    """Section 2.10."""
    assert stats.binom.sf(needed - 1, n, 0.5) <= 0.05 < stats.binom.sf(needed - 2, n, 0.5)
    assert choice_power(n, 0.5) == pytest.approx(stats.binom.sf(needed - 1, n, share_of(0.5)))


@pytest.mark.parametrize(
    ("n", "limit", "at_most", "power"),
    [(20, 0.5, 8, 0.25), (60, 0.5, 31, 0.65), (100, 0.5, 55, 0.86), (20, 1.0, 11, 0.75)],
)
def test_so_few_right_answers_are_not_seeing(
    n: int, limit: float, at_most: int, power: float
) -> None:
    assert similarity_p(at_most, n, limit) <= 0.05 < similarity_p(at_most + 1, n, limit)
    assert similarity_power(n, limit) == pytest.approx(power, abs=0.006)
