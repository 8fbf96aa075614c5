"""Intervals and tests, one subject a file. Every difference is original minus perturbed.

docs/statistics.md has each number's definition, source and assumptions.
"""

from app.analysis.statistics.clustered import CaseCounts, clustered_difference
from app.analysis.statistics.common import CannotSay, Difference, Interval
from app.analysis.statistics.paired import PairedTable, paired_difference, tango_score
from app.analysis.statistics.proportions import wilson_interval

__all__ = [
    "CannotSay",
    "CaseCounts",
    "Difference",
    "Interval",
    "PairedTable",
    "clustered_difference",
    "paired_difference",
    "tango_score",
    "wilson_interval",
]
