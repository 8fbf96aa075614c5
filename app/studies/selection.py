"""Which images of a batch each part of a study shows."""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.storage.models import Batch, Case, Stimulus


def conditions_named(batch: Batch, names: Sequence[str]) -> list[int]:
    """Their numbers; of all conditions of the batch when there are no names."""
    known = {condition.name: condition.id for condition in batch.conditions}
    if unknown := [name for name in names if name not in known]:
        raise Invalid(f"The batch has no condition {unknown[0]!r}; it has {', '.join(known)}.")
    return [known[name] for name in names] or list(known.values())


class Choice(Protocol):
    """What decides which cases are read; None for as many as there are."""

    @property
    def conditions(self) -> Sequence[str]: ...
    @property
    def cases(self) -> int | None: ...
    @property
    def negatives(self) -> int | None: ...


def chosen_cases(
    session: Session, batch: Batch, choice: Choice, chance: random.Random
) -> list[int]:
    """Cases on which every chosen attack succeeded: the study asks about those."""
    wanted = conditions_named(batch, choice.conditions)
    found = session.execute(
        select(Case.id, Case.truth)
        .join(Stimulus)
        .where(Case.batch_id == batch.id, Stimulus.condition_id.in_(wanted))
        .where(Stimulus.success == true())
        .group_by(Case.id, Case.truth)
        .having(func.count() == len(set(wanted)))
        .order_by(Case.id)
    )
    truths = {row.id: row.truth for row in found}
    if not truths:
        raise Invalid("No case has a successful image under all of these conditions; choose fewer.")
    if choice.cases is not None and not 2 <= choice.cases <= len(truths):
        raise Invalid(f"The batch has {len(truths)} such cases; choose 2 to {len(truths)} of them.")
    if choice.negatives is None:
        count = len(truths) if choice.cases is None else choice.cases
        return sorted(drawn(list(truths), chance)[:count])
    return with_negatives(truths, choice.cases, choice.negatives, chance)


def drawn(cases: Sequence[int], chance: random.Random) -> list[int]:
    """All of them by chance: its first are a random choice, whatever their number and kind."""
    return chance.sample(cases, len(cases))


def with_negatives(
    truths: Mapping[int, int], at_most: int | None, negatives: int, chance: random.Random
) -> list[int]:
    """Exactly so many without tumour, the others with it: all of these unless `at_most` says."""
    order = drawn(list(truths), chance)
    without, having = ([case for case in order if truths[case] == truth] for truth in (0, 1))
    if negatives > len(without):
        raise Invalid(f"The batch has {len(without)} such cases without tumour.")
    positives = len(having) if at_most is None else at_most - negatives
    if not 0 <= positives <= len(having):
        raise Invalid(
            f"{at_most} cases cannot have {negatives} without tumour: the batch has "
            f"{len(having)} such cases with tumour and {len(without)} without."
        )
    return sorted([*without[:negatives], *having[:positives]])


def images_of(session: Session, cases: Sequence[int], conditions: Sequence[int]) -> list[Stimulus]:
    """The originals of the cases, and what there is of them under the conditions."""
    return list(
        session.scalars(
            select(Stimulus)
            .where(Stimulus.case_id.in_(cases))
            .where(Stimulus.condition_id.in_(conditions) | Stimulus.condition_id.is_(None))
            .order_by(Stimulus.id)
        )
    )


def pixels_of(session: Session, cases: Sequence[int]) -> set[str]:
    """Digests of every image of these cases, whether the study shows it or not."""
    return set(session.scalars(select(Stimulus.sha256).where(Stimulus.case_id.in_(cases))))


def practice_images(
    session: Session, batch: Batch, cases: Sequence[int], count: int, chance: random.Random
) -> list[Stimulus]:
    """Originals of other cases, both truths in turn as far as possible.

    None of them has the pixels of any image of the study's cases, however it got into the batch.
    """
    pool = originals_without(session, batch, pixels_of(session, cases))
    if len(pool) < count:
        raise Invalid(
            f"Practice needs {count} cases that the study does not read, and the batch "
            f"{batch.name!r} has {len(pool)}; read fewer cases or name another batch for practice."
        )
    return in_turn(pool, chance)[:count]


def catch_images(
    session: Session,
    batch: Batch,
    read: Sequence[Stimulus],
    practised: Sequence[Stimulus],
    count: int,
    chance: random.Random,
) -> list[Stimulus]:
    """Originals as large as those that are read, both truths in turn as far as possible.

    No two have equal pixels, and none those of practice or of any image of the cases `read`.
    """
    sizes = {size_of(stimulus) for stimulus in read}
    shown = pixels_of(session, sorted({stimulus.case_id for stimulus in read}))
    shown |= {stimulus.sha256 for stimulus in practised}
    others = originals_without(session, batch, shown)
    pool = {each.sha256: each for each in others if size_of(each) in sizes}
    if len(pool) < count:
        raise Invalid(
            f"The study needs {count} catch images, as large as those that are read and shown "
            f"nowhere else, and the batch {batch.name!r} has {len(pool)}; name another batch, or "
            "ask for fewer."
        )
    return in_turn(list(pool.values()), chance)[:count]


def size_of(stimulus: Stimulus) -> tuple[int, int]:
    return stimulus.height, stimulus.width


def originals_without(session: Session, batch: Batch, pixels: Collection[str]) -> list[Stimulus]:
    """Those of the batch that are none of these pixels."""
    found = session.scalars(
        select(Stimulus)
        .join(Case)
        .where(Case.batch_id == batch.id, Stimulus.condition_id.is_(None))
        .order_by(Stimulus.id)
    )
    return [stimulus for stimulus in found if stimulus.sha256 not in pixels]


def in_turn(pool: list[Stimulus], chance: random.Random) -> list[Stimulus]:
    """At random, both truths in turn as far as possible."""
    chance.shuffle(pool)
    turns: Counter[int] = Counter()
    places = {}
    for stimulus in pool:
        turns[stimulus.case.truth] += 1
        places[stimulus.id] = turns[stimulus.case.truth]
    return sorted(pool, key=lambda stimulus: places[stimulus.id])
