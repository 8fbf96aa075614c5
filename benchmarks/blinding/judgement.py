"""What the adversary makes of what several readers saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.reading.order import order
from benchmarks.blinding.classifier import Auc, Labels, Table, auc, table
from benchmarks.blinding.facts import Facts, facts_of
from benchmarks.blinding.links import Design, balanced_pairs, pair_table
from benchmarks.blinding.secrets import Key, Secret
from benchmarks.blinding.seen import Visit
from benchmarks.blinding.structure import problems, told_once

CHANCE = Auc(0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Seen:
    """Presentations of one part: what was seen of each, and what the key says."""

    facts: list[Facts]
    secrets: list[Secret]

    @property
    def readers(self) -> Labels:
        return np.array([secret.reader for secret in self.secrets])


@dataclass(frozen=True)
class Judgement:
    """How well arm, truth and link are told, two copies of one image, and in pairs the side; and
    what is not as it is allowed to be."""

    arm: Auc
    truth: Auc
    link: Auc
    copies: Auc
    side: Auc
    problems: list[str]
    presentations: int

    @property
    def told(self) -> dict[str, Auc]:
        aucs = {"arm": self.arm, "truth": self.truth, "link": self.link}
        aucs |= {"copies": self.copies, "side": self.side}
        return {name: auc for name, auc in aucs.items() if not auc.is_chance}

    @property
    def why(self) -> str:
        """Nothing when there is nothing to notice."""
        aucs = [f"{name} {auc}" for name, auc in self.told.items()]
        return "; ".join(aucs + self.problems[:3])


@dataclass(frozen=True)
class Judge:
    """confidence: of each interval, such as 0.99."""

    design: Design
    seed: int
    confidence: float

    def judged(self, visits: Sequence[Visit], key: Key) -> Judgement:
        read, pairs = (self.seen(visits, key, part) for part in ("reading", "pairs"))
        rows = table(read.facts, read.readers)
        return Judgement(
            arm=self.of(rows, [secret.arm for secret in read.secrets], read.readers),
            truth=self.of(rows, [secret.truth for secret in read.secrets], read.readers),
            link=self.link(rows, read),
            copies=self.link(rows, read, copies=True),
            side=self.side(pairs),
            problems=told_once(problems(visits, key, self.design)),
            presentations=len(read.facts),
        )

    def reason(self, visits: Sequence[Visit], key: Key, *, thorough: bool = False) -> str:
        """Why a leak is noticed, or nothing: by an allow-list, else by the classifier."""
        found = told_once(problems(visits, key, self.design))
        return self.judged(visits, key).why if thorough or not found else "; ".join(found[:3])

    def seen(self, visits: Sequence[Visit], key: Key, part: str) -> Seen:
        places = key.by_place()
        facts, secrets = [], []
        for visit in visits:
            shown = visit.part(part)
            guesses = guessed(visit.reader, len(shown), self.design)
            facts += [{**facts_of(one), **guess} for one, guess in zip(shown, guesses, strict=True)]
            secrets += [places[visit.reader, part, one.position] for one in shown]
        return Seen(facts, secrets)

    def of(self, rows: Table, labels: Sequence[int], readers: Labels) -> Auc:
        return auc(rows, np.array(labels), readers, seed=self.seed, confidence=self.confidence)

    def link(self, rows: Table, seen: Seen, *, copies: bool = False) -> Auc:
        pairs = balanced_pairs(seen.secrets, self.design, self.seed, copies=copies)
        return self.of(pair_table(seen.facts, rows, pairs), list(pairs.labels), pairs.readers)

    def side(self, seen: Seen) -> Auc:
        """Of pairs of two different images: whether the left one is perturbed."""
        differ = [i for i, each in enumerate(seen.secrets) if each.arm != each.beside_arm]
        if not differ:
            return CHANCE
        facts = [seen.facts[i] for i in differ]
        readers = seen.readers[differ]
        labels = [seen.secrets[i].arm for i in differ]
        return self.of(table(facts, readers), labels, readers)


def guessed(reader: int, length: int, design: Design) -> list[Facts]:
    """What the source code would show next, were the seed one of these."""
    facts: list[Facts] = [{} for _ in range(length)]
    for guess, seed in enumerate((f"R{reader:02}", str(reader), "0", "")):
        images = {case: list(range(2 * case, 2 * case + 2)) for case in range(design.cases)}
        placed = order(images, sets=design.sets, minimum_gap=design.minimum_gap, seed=seed)
        for number, each in enumerate(placed[:length]):
            facts[number][f"guess {guess}: arm"] = float(each.stimulus % 2)
            facts[number][f"guess {guess}: case"] = f"case {each.stimulus // 2}"
    return facts
