"""A design before anybody reads, as far as what it can show depends on it."""

import math
from dataclasses import dataclass

from app.analysis.statistics.planning import pairs_without_flip
from app.reading.order import sets_of_waves
from app.studies.domain import Design
from app.vocabulary import Estimand, PairTask


@dataclass(frozen=True)
class Planned:
    """`tumours` of the cases have tumour, and `catch_tumours` of the catch images; `readers` is how
    many will be invited."""

    design: Design
    tumours: int
    minimum_gap: int
    waves: int = 1
    washout_days: int = 14
    readers: int = 1
    estimand: Estimand = Estimand.FLIPS
    margin_flips: float = 0.05
    margin_tp: float = 0.10
    alpha: float = 0.05
    confidence: bool = False
    masking: bool = False
    pair_task: PairTask | None = None
    is_scan_amber: bool = False
    catch_least: float | None = None
    catch_tumours: int = 0

    @property
    def units(self) -> int:
        return self.design.cases * self.readers

    @property
    def fewest_for_tp(self) -> int:
        return pairs_without_flip(self.margin_tp, self.alpha)


def minutes_of_sittings(planned: Planned) -> list[int]:
    """Practice is before the first sitting, pairs are after the last."""
    design = planned.design
    waves = sets_of_waves(design.sets, planned.waves)
    last = len(waves) - 1
    return [
        Design(
            design.cases,
            design.versions,
            len(sets),
            practice=design.practice if number == 0 else 0,
            pairs=design.pairs if number == last else 0,
            catch=math.ceil(design.catch * len(sets) / design.sets),
        ).minutes
        for number, sets in enumerate(waves)
    ]
