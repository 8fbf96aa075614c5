"""200 random designs, read by robots over the real HTTP path: the analysis counts what they said.

Before anything is read, a test draws what each of its robots will say to each image of each set.
The table, the flips and the pairs that are expected are counted here, one by one, from what was
planned and said, and never from the database. Only which case and condition a token stands for
is looked up there: a robot cannot see.
"""

import asyncio
import itertools
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.analysis.findings import findings_of
from app.analysis.flipped import flips_of
from app.batches.service import find_batch, import_batch
from app.designer.service import start_study
from app.main import create_app
from app.readers.service import find_reader, invite
from app.rehearsal.domain import Decision, Seen
from app.rehearsal.key import Key
from app.rehearsal.reader import RobotReader
from app.rehearsal.worker import may_undo
from app.researchers.service import add_researcher, find_researcher
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.session import Database
from app.studies.service import NewStudy, create_study, find_study, lock_study, unblind_study
from app.vocabulary import Answer, PairTask, Part, Undo
from app.web.identity import now

DESIGNS, AT_ONCE = 200, 20
EMAIL = "ada@example.org"
CONDITIONS = ("linf-2", "linf-4", "linf-6", "linf-8")
TRUTHS = {"mixed": (1, 0, 1, 1, 0, 1, 0), "tumours": (1,) * 6}
# Images that the batch has not, and those that fooled no network: such cases are not read.
WITHOUT = {("mixed", "c02", "linf-8"), ("mixed", "c05", "linf-4"), ("tumours", "c01", "linf-6")}
NOT_FOOLED = {("mixed", "c03", "linf-6")}
LABEL = {Answer.TUMOUR: 1, Answer.NO_TUMOUR: 0, Answer.FEW_CELLS: 0, Answer.CANNOT_ASSESS: None}
LEAST_MS = 1000
URL = "http://127.0.0.1:8000"
Image = tuple[str, str | None, int]
"""Case, condition (None: the original), set."""


@dataclass
class Server:
    database: Database
    store: ImageStore
    batches: Mapping[str, int]
    app: FastAPI


@pytest.fixture(scope="module")
def server(
    migrated_sqlite: Path,
    make_batch: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """One server for all designs, with two batches that have holes."""
    home = tmp_path_factory.mktemp("rehearsed")
    shutil.copyfile(migrated_sqlite, home / "plainsight.db")
    settings = Settings(home=home)
    app = create_app(settings)
    database, store = app.state.database, app.state.images
    batches = {}
    for number, (name, truths) in enumerate(TRUTHS.items()):
        path = home / name
        make_batch(path, cases=len(truths), conditions=4, truths=truths, size=16, seed=number)
        with_holes(path, name)
        batches[name] = import_batch(path, database, store, now())
    with database.writing() as session:
        add_researcher(session, EMAIL, "correct horse battery", now())
    yield Server(database, store, batches, app)
    database.close()


def with_holes(path: Path, name: str) -> None:
    manifest = json.loads((path / "batch.json").read_text())
    for case in manifest["cases"]:
        kept = []
        for image in case["perturbed"]:
            key = (name, case["id"], image["condition"])
            if key in WITHOUT:
                (path / image["file"]).unlink()
                continue
            if key in NOT_FOOLED:
                image.update(success=False, p_positive=case["original"]["p_positive"])
            kept.append(image)
        case["perturbed"] = kept
    (path / "batch.json").write_text(json.dumps(manifest))


@dataclass(frozen=True)
class Design:
    batch: str
    conditions: Sequence[str]
    cases: int
    sets: int
    readers: int
    options: Mapping[str, Any]

    @property
    def offered(self) -> list[Answer]:
        also = {Answer.FEW_CELLS: "few_cells", Answer.CANNOT_ASSESS: "cannot_assess"}
        more = [answer for answer, option in also.items() if self.options[option]]
        return [Answer.TUMOUR, Answer.NO_TUMOUR, *more]

    @property
    def most_slips(self) -> int:
        """How often in a row an answer can be taken back."""
        return {Undo.NONE: 0, Undo.ONE: 1, Undo.ALL: 3}[self.options["undo"]]


def pool_of(batch: str, conditions: Sequence[str]) -> list[str]:
    """The cases under all of these conditions that a study may read."""
    holes = WITHOUT | NOT_FOOLED
    names = [f"c{number:02d}" for number in range(1, len(TRUTHS[batch]) + 1)]
    return [name for name in names if not any((batch, name, each) in holes for each in conditions)]


def random_design(number: int) -> Design:
    chance = random.Random(f"design/{number}")
    batch = chance.choice(list(TRUTHS))
    conditions = sorted(chance.sample(CONDITIONS, chance.choice([1, 1, 2, 2, 3, 4])))
    pool = len(pool_of(batch, conditions))
    sets = chance.choice([1, 2, 2, 3])
    most = max(2, 18 // (sets * (1 + len(conditions))))
    cases = chance.randint(2, min(pool, most))
    task = chance.choice([None, None, PairTask.CHOICE, PairTask.COMPARE])
    options = {
        "waves": chance.randint(1, sets),
        "washout_days": 0,
        "practice": min(chance.choice([0, 0, 1, 2]), len(TRUTHS[batch]) - cases),
        "feedback": chance.random() < 0.3,
        "confidence": chance.random() < 0.5,
        "few_cells": chance.random() < 0.3,
        "cannot_assess": chance.random() < 0.3,
        "undo": chance.choice(list(Undo)),
        "masking": chance.random() < 0.3,
        "pair_task": task,
        "pair_conditions": chance.sample(CONDITIONS, chance.randint(1, 2)) if task else (),
        "not_sure": chance.random() < 0.5,
        "minimum_time_ms": LEAST_MS if chance.random() < 0.3 else None,
    }
    return Design(batch, conditions, cases, sets, chance.choice([1, 1, 2]), options)


@dataclass
class Injected:
    """One robot: what it will say to everything it may be shown, and what it came to say.

    It answers images at random around a rate of its own for each arm, slips where it can take an
    answer back, and may leave after `stops_at` images.
    """

    design: Design
    label: str
    seed: str
    stops_at: int | None
    said: dict[Image, Decision] = field(default_factory=dict)
    pairs: list[tuple[Seen, Answer]] = field(default_factory=list)

    def plan(self, image: Image, may_undo: bool) -> Decision:
        case, condition, number = image
        chance = random.Random(f"{self.seed}/{self.label}/{case}/{condition}/{number}")
        rate = random.Random(f"{self.seed}/{self.label}/{condition}").choice([0, 0.2, 0.7, 1])
        answer = Answer.TUMOUR if chance.random() < rate else chance.choice(self.design.offered[1:])
        slips = chance.choice([0, 0, 1, self.design.most_slips]) if may_undo else 0
        slips = min(slips, self.design.most_slips)
        first = [chance.choice(self.design.offered) for _ in range(slips)]
        if not self.design.options["confidence"]:
            confidence = None
        else:
            confidence = chance.randint(1, 5)
            first = [each for each in first if each is not Answer.CANNOT_ASSESS]
            if answer is Answer.CANNOT_ASSESS:
                first, confidence = [], None
        return Decision([*first, answer], confidence, chance.choice([700, 999, 1000, 2500, 9000]))

    def decide(self, seen: Seen, may_undo: bool) -> Decision | None:
        if seen.part is Part.PRACTICE:
            return Decision([Answer.TUMOUR], 3 if self.design.options["confidence"] else None, 800)
        if seen.part is Part.PAIRS:
            return Decision([self.answer_pair(seen)], None, 3000)
        if self.stops_at is not None and seen.position > self.stops_at:
            return None
        assert seen.set_number is not None
        image = (seen.case, seen.condition, seen.set_number)
        assert image not in self.said, "every image is shown once a set"
        self.said[image] = self.plan(image, may_undo)
        return self.said[image]

    def answer_pair(self, seen: Seen) -> Answer:
        chance = random.Random(f"{self.seed}/{self.label}/pair/{seen.position}")
        two = {
            PairTask.CHOICE: [Answer.LEFT, Answer.RIGHT],
            PairTask.COMPARE: [Answer.SAME, Answer.DIFFERENT],
        }[self.design.options["pair_task"]]
        unsure = [Answer.NOT_SURE] if self.design.options["not_sure"] else []
        answer = chance.choice([*two, *unsure])
        self.pairs.append((seen, answer))
        return answer

    def label_of(self, image: Image) -> int | None:
        """1 for tumour; None where the answer is missing, says nothing, or is left out."""
        decision = self.said.get(image)
        least = self.design.options["minimum_time_ms"]
        if decision is None or (least is not None and decision.reading_time_ms < least):
            return None
        return LABEL[decision.answers[-1]]


def started(server: Server, number: int, design: Design) -> tuple[int, list[str]]:
    """The study, and the cases that its frozen protocol says it reads."""
    with server.database.writing() as session:
        new = NewStudy(
            f"Design {number}",
            "Tissue images",
            sets=design.sets,
            conditions=design.conditions,
            cases=design.cases,
            scan_reason="Made for a test.",
            **design.options,
        )
        batch = find_batch(session, server.batches[design.batch])
        study = create_study(session, find_researcher(session, EMAIL), batch, new, now())
        start_study(session, server.store, study, EMAIL, now())
        assert study.protocol is not None
        return study.id, json.loads(study.protocol)["design"]["cases"]


def let_read(server: Server, study_id: int, robot: Injected, fetched: set[str]) -> None:
    with server.database.writing() as session:
        study = find_study(session, study_id)
        link = invite(session, study, EMAIL, now())
        session.flush()
        reader = find_reader(session, study, link.label)
        assert reader.label == robot.label
        key = Key(server.database, reader.id)

    async def visit() -> str | None:
        async with AsyncClient(transport=ASGITransport(server.app), base_url=URL) as client:
            rule = partial(may_undo, study)
            at_desk = RobotReader(
                client, robot.label, key.seen, robot.decide, rule, lambda: None, fetched=fetched
            )
            return await at_desk.read(f"/r/{link.token}")

    receipt = asyncio.run(visit())
    assert (receipt is None) is (robot.stops_at is not None)


class Everything(set[str]):
    """Whatever it is, it was fetched before."""

    def __contains__(self, _token: object) -> bool:
        return True


def expected_table(design: Design, cases: Sequence[str], robots: Sequence[Injected]) -> Any:
    truths = {f"c{i:02d}": truth for i, truth in enumerate(TRUTHS[design.batch], start=1)}
    numbers = range(1, design.sets + 1)
    table = {}
    for condition, robot, number, truth in itertools.product(
        design.conditions, robots, numbers, (1, 0)
    ):
        of_truth = [case for case in cases if truths[case] == truth]
        if of_truth:
            counts = []
            for arm in (None, condition):
                labels = [robot.label_of((case, arm, number)) for case in of_truth]
                known = [label for label in labels if label is not None]
                counts += [known.count(1), len(known)]
            table[condition, robot.label, number, truth] = tuple(counts)
    return table


def found_table(found: Mapping[str, Any]) -> Any:
    return {
        (line["condition"], line["reader"], line["set"], line["truth"]): (
            *(line["original"]["tumour"], line["original"]["n"]),
            *(line["perturbed"]["tumour"], line["perturbed"]["n"]),
        )
        for line in found["table"]["lines"]
    }


def expected_flips(design: Design, cases: Sequence[str], robots: Sequence[Injected]) -> Any:
    """Of each condition: whole units, and how often two answers differ, by going through all."""
    numbers = range(1, design.sets + 1)
    flips: dict[str, Any] = {}
    for condition in design.conditions:
        rates = []
        for robot, case in itertools.product(robots, cases):
            original, perturbed = (
                [robot.label_of((case, arm, number)) for number in numbers]
                for arm in (None, condition)
            )
            if None not in original + perturbed:
                rates.append(
                    (
                        differing(itertools.product(original, perturbed)),
                        differing(itertools.combinations(original, 2)),
                        differing(itertools.combinations(perturbed, 2)),
                    )
                )
        is_known = rates and design.sets > 1
        means = [sum(rate) / len(rates) for rate in zip(*rates, strict=True)] if is_known else None
        flips[condition] = (len(rates), means and pytest.approx(means))
    return flips


def differing(pairs: Any) -> float:
    differ = [one != other for one, other in pairs]
    return sum(differ) / len(differ) if differ else 0.0


def found_flips(found: Mapping[str, Any]) -> Any:
    return {
        each["condition"]: (
            each["units"],
            None if each["d_op"] is None else [each["d_op"], each["d_oo"], each["d_pp"]],
        )
        for each in found["flips"]
    }


def expected_flipped(design: Design, cases: Sequence[str], robots: Sequence[Injected]) -> Any:
    """By case and condition, in how many of a robot's sets the two answers differ."""
    flipped: dict[tuple[str, str], int] = defaultdict(int)
    for case, condition, robot, number in itertools.product(
        cases, design.conditions, robots, range(1, design.sets + 1)
    ):
        labels = {robot.label_of((case, arm, number)) for arm in (None, condition)}
        if labels == {0, 1}:
            flipped[case, condition] += 1
    return flipped


def expected_pairs(robots: Sequence[Injected]) -> Any:
    """Of each condition the pairs with an original: shown, not sure, answered, answered rightly;
    and of pairs of one image, which belong to no condition: answered, called different."""
    counts: dict[str | None, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for seen, answer in (pair for robot in robots for pair in robot.pairs):
        [*altered] = {seen.condition, seen.beside} - {None}
        is_catch = seen.condition == seen.beside
        right = {
            PairTask.CHOICE: Answer.RIGHT if seen.beside else Answer.LEFT,
            PairTask.COMPARE: Answer.DIFFERENT,
        }[seen.task or PairTask.CHOICE]
        is_unsure = answer is Answer.NOT_SURE
        told = (1, int(is_unsure), int(not is_unsure), int(answer is right))
        count = counts[None if is_catch else altered[0]]
        count[:] = [a + b for a, b in zip(count, told, strict=True)]
    catches = counts.pop(None, [0, 0, 0, 0])
    return {name: tuple(each) for name, each in counts.items()}, tuple(catches[2:])


def found_pairs(found: Mapping[str, Any]) -> Any:
    detection = found["detection"]
    choices, comparisons = (detection.get(task, []) for task in ("choice", "same_different"))
    shown = {each["condition"]: (each["shown"], each["not_sure"]) for each in choices + comparisons}
    right = {
        **{each["condition"]: (each["n"], each["right"]) for each in choices},
        **{each["condition"]: (each["different"], each["hits"]) for each in comparisons},
    }
    catches = {(each["same"], each["false_alarms"]) for each in comparisons} or {(0, 0)}
    [of_catches] = catches
    return {name: (*shown[name], *right[name]) for name in shown}, of_catches


@pytest.mark.parametrize("first", range(0, DESIGNS, AT_ONCE))
def test_what_robots_were_told_to_say_is_what_the_analysis_counts(
    first: int, server: Server
) -> None:
    for number in range(first, first + AT_ONCE):
        design = random_design(number)
        study_id, cases = started(server, number, design)
        assert len(cases) == design.cases
        assert set(cases) <= set(pool_of(design.batch, design.conditions))
        shown = len(cases) * (1 + len(design.conditions)) * design.sets
        robots = []
        for place in range(1, design.readers + 1):
            leaves = number % 7 == 3 and place == design.readers
            stops_at = shown // 2 if leaves else None
            robots.append(Injected(design, f"R{place:02}", f"truth/{number}", stops_at))
            # Images change no count; robots fetch those of every third design.
            fetched = set[str]() if number % 3 == 0 else Everything()
            let_read(server, study_id, robots[-1], fetched)
            assert len(robots[-1].said) == (stops_at if leaves else shown)
        with server.database.writing() as session:
            study = find_study(session, study_id)
            lock_study(session, study, EMAIL, now())
            unblind_study(session, study, EMAIL, now())
        with server.database.reading() as session:
            study = find_study(session, study_id)
            findings = findings_of(session, study, now())
            found = findings.analysis
            assert found_table(found) == expected_table(design, cases, robots), number
            assert found_flips(found) == expected_flips(design, cases, robots), number
            flipped = {
                (flip.case, flip.condition): len(flip.said)
                for page in range(1, flips_of(study, findings.rows, 1).pages + 1)
                for flip in flips_of(study, findings.rows, page).flips
            }
            assert flipped == expected_flipped(design, cases, robots), number
            assert found_pairs(found) == expected_pairs(robots), number
