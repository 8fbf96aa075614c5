"""How well a classifier tells something from facts: AUC with an interval over readers.

Readers come in blocks; each block is told from the blocks before it and never the other way round.
(In cross-validation two readers who happen to be alike would count twice, and the interval be too
narrow.) The AUC is taken within each reader and averaged over all readers but those of the first
block; the interval is Student's over readers, who are what is independent here.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.blinding.facts import Facts, as_number

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
BLOCKS = 5
FOLDS = 5
PLAIN_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")


@dataclass(frozen=True)
class Auc:
    value: float
    low: float
    high: float

    @property
    def is_chance(self) -> bool:
        return self.low <= 0.5 <= self.high

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Table:
    """Columns of numbers, and columns of names that mean nothing but "the same as before"."""

    numbers: Numbers
    names: NDArray[np.object_]


def table(facts: Sequence[Facts], readers: Labels) -> Table:
    """Columns that never vary are left out. Of names it is also told how often each came."""
    keys = sorted({key for each in facts for key in each})
    numbers: list[Numbers] = []
    names: list[NDArray[np.object_]] = []
    for key in keys:
        column = [each.get(key) for each in facts]
        if len(set(column)) < 2:
            continue
        if all(isinstance(value, float | None) for value in column):
            numbers.append(np.array([np.nan if v is None else v for v in column], float))
            continue
        texts = ["" if value is None else str(value) for value in column]
        names.append(np.array(texts, object))
        numbers.extend(about_names(texts, readers))
    numbers += [ranks(column, readers) for column in numbers]
    return Table(stack(numbers, len(facts), float), stack(names, len(facts), object))


def ranks(column: Numbers, readers: Labels) -> Numbers:
    """Within each reader, since one reader's times are not another's."""
    ranked = np.empty_like(column)
    for reader in set(readers):
        mine = readers == reader
        ranked[mine] = stats.rankdata(column[mine], nan_policy="omit") / mine.sum()
    return ranked


def stack(columns: Sequence[NDArray[Any]], rows: int, kind: type) -> NDArray[Any]:
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0), kind)


def about_names(texts: Sequence[str], readers: Labels) -> list[Numbers]:
    """How often before, how often at all, length, and the number it may be."""
    total = Counter(zip(readers, texts, strict=True))
    so_far: Counter[tuple[int, str]] = Counter()
    before = []
    for pair in zip(readers, texts, strict=True):
        before.append(so_far[pair])
        so_far[pair] += 1
    columns = (
        before,
        [total[pair] for pair in zip(readers, texts, strict=True)],
        [len(text) for text in texts],
        [number(text) for text in texts],
    )
    return [np.array(column, float) for column in columns if len(set(column)) > 1]


def number(text: str) -> float:
    return float(text) if PLAIN_NUMBER.fullmatch(text) else as_number(text[:12])


def auc(rows: Table, labels: Labels, readers: Labels, *, seed: int, confidence: float) -> Auc:
    order = np.random.default_rng(seed).permutation(sorted(set(readers)))
    first, *others = np.array_split(order, min(BLOCKS, len(order)))
    known = list(first)
    of_readers: list[float] = []
    for block in others:
        with threadpool_limits(1):  # the tables are small, and the machine is shared
            scores = predicted(rows, labels, np.isin(readers, known), seed)
        mine = [readers == reader for reader in block]
        of_readers += [of_reader(scores, labels, m) for m in mine if len(set(labels[m])) == 2]
        known += list(block)
    return over_readers(np.array(of_readers), confidence)


def of_reader(scores: Numbers, labels: Labels, mine: Mask) -> float:
    return float(roc_auc_score(labels[mine], scores[mine]))


def predicted(rows: Table, labels: Labels, known: Mask, seed: int) -> Numbers:
    """A score for every row, from the labels of the `known` ones.

    Names are told by how often they went with a label among those.
    """
    columns = rows.numbers
    if np.bincount(labels[known], minlength=2).min() < FOLDS:
        return np.zeros(len(labels))  # too few to learn anything
    if rows.names.shape[1]:
        encoded = np.empty(rows.names.shape)
        encoder = TargetEncoder(
            target_type="binary", cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        )
        encoded[known] = encoder.fit_transform(rows.names[known], labels[known])
        encoded[~known] = encoder.transform(rows.names[~known])
        columns = np.hstack([columns, encoded])
    if not columns.shape[1]:
        return np.zeros(len(labels))
    model = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False, random_state=seed
    )
    scores: Numbers = model.fit(columns[known], labels[known]).predict_proba(columns)[:, 1]
    return scores


def over_readers(of_readers: Numbers, confidence: float) -> Auc:
    if len(of_readers) < 2:
        return Auc(0.5, 0.0, 1.0)
    mean = float(of_readers.mean())
    error = of_readers.std(ddof=1) / np.sqrt(len(of_readers))
    half = float(stats.t.ppf((1 + confidence) / 2, len(of_readers) - 1) * error)
    return Auc(mean, max(0.0, mean - half), min(1.0, mean + half))
