"""A whole study by three readers, with everything that may be asked and much that may go wrong."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.batches.service import find_batch
from app.designer.service import start_study
from app.readers.domain import CheckRecord
from app.readers.service import CONSENT_VERSION, Consent, find_reader, invite, note_check
from app.reading.domain import Place, Step
from app.reading.service import begin, begin_pairs, place_of, tell, window
from app.researchers.service import find_researcher
from app.responses.domain import GivenAnswer, Reported
from app.responses.service import record_response, report_problem
from app.storage.images import ImageStore
from app.storage.models import Presentation, Reader, Stimulus
from app.studies.service import NewStudy, create_study, find_study, lock_study, unblind_study
from app.vocabulary import Answer, Impression, PairTask, Part, Problem
from app.web.identity import now
from tests.browser.server import CHECK, EMAIL, READ, Server

CONDITIONS = ("linf-2", "linf-4", "linf-6", "l2-8")
SEEN = {None: 0.0, "linf-2": 0.0, "linf-4": 0.3, "linf-6": 0.75, "l2-8": 0.9}
"""How often the readers see that an image of this condition was altered."""
INSTRUCTIONS = (
    "Look at the whole image \N{EN DASH} as you would at \N{GREATER-THAN OR EQUAL TO}"
    "20\N{MULTIPLICATION SIGN}. There is no hurry."
)
NOISE = 0.06


@dataclass(frozen=True)
class Conducted:
    study: int
    labels: Sequence[str]


def write_rich_batch(
    folder: Path,
    write_batch: Callable[..., Path],
    truths: Sequence[int],
    images: Sequence[Any] = (),
) -> Path:
    """Three epsilons of one norm, and one of another."""
    path = write_batch(
        folder,
        cases=len(truths),
        conditions=len(CONDITIONS),
        truths=truths,
        images=[np.clip(each, 20, 235) for each in images],
        seed=5,
        name="Breast tissue, two norms",
    )
    manifest = path / "batch.json"
    delivered = json.loads(manifest.read_text(encoding="utf-8").replace("linf-8", "l2-8"))
    delivered["conditions"][-1]["norm"] = "l2"
    manifest.write_text(json.dumps(delivered, indent=2), encoding="utf-8")
    return path


def conduct(
    server: Server, batch: int, task: PairTask = PairTask.CHOICE, **options: Any
) -> Conducted:
    """Read and unblinded. R03 stops before the end and sees no pair."""
    database, store = server.database(), ImageStore(server.settings.images)
    with database.writing() as session:
        usual: dict[str, Any] = {
            "conditions": CONDITIONS,
            "confidence": True,
            "few_cells": True,
            "cannot_assess": True,
            "masking": True,
            "pair_task": task,
            "not_sure": True,
            "instructions": INSTRUCTIONS,
            "minimum_time_ms": 300,
            "scan_reason": "Made for a test.",
        }
        new = NewStudy(
            f"Breast, L\N{INFINITY} and L2: {task.value}",
            "Reading study of tissue images",
            **{**usual, **options},
        )
        made = create_study(
            session, find_researcher(session, EMAIL), find_batch(session, batch), new, now()
        )
        start_study(session, store, made, EMAIL, now())
        study = made.id
        labels = [invite(session, made, EMAIL, now()).label for _ in range(3)]
    for number, label in enumerate(labels):
        robot, is_left = Robot(number), True
        while is_left:
            with database.writing() as session:
                reader = find_reader(session, find_study(session, study), label)
                is_left = robot.goes_on(session, reader)
    with database.writing() as session:
        found = find_study(session, study)
        lock_study(session, found, EMAIL, now())
        unblind_study(session, found, EMAIL, now())
    database.close()
    return Conducted(study, labels)


class Robot:
    """Reads the way it was made to: 0 is careful, 1 leans to tumour, 2 stops before the end."""

    def __init__(self, kind: int) -> None:
        self._kind, self._chance = kind, random.Random(kind)

    def goes_on(self, session: Session, reader: Reader) -> bool:
        """One step; False when nothing is left to do."""
        here = place_of(session, reader, now())
        match here.step:
            case Step.CONSENT:
                begin(session, reader, Consent(CONSENT_VERSION, "en", "0" * 64), now())
            case Step.CHECK:
                note_check(session, reader, CheckRecord(**CHECK), now())
            case Step.ROOM:
                return self._answers(session, reader, here)
            case Step.QUESTIONS:
                said = "Some images were <grainy> & one looked familiar" if self._kind else ""
                impression = Impression.YES if self._kind else Impression.NO
                tell(session, reader, impression, said, now())
            case Step.PAIRS:
                begin_pairs(session, reader, now())
            case _:
                return False
        return True

    def _answers(self, session: Session, reader: Reader, here: Place) -> bool:
        due = window(session, reader, here)
        if self._kind == 2 and due.total - due.done <= due.total // 6:
            return False
        shown = session.query(Presentation).filter_by(token=due.tokens[0]).one()
        if due.done == 3:
            reported = Reported(token=shown.token, kind=Problem.UNCLEAR)
            report_problem(session, reader, reported, now())
        is_image = here.part is Part.READING
        answer = self._label(shown) if is_image else self._pair(shown, reader.study.pair_task)
        given = {
            **READ,
            "confidence": self._confidence(shown)
            if is_image and answer is not Answer.CANNOT_ASSESS
            else None,
            "reading_time_ms": self._time(shown),
        }
        told = GivenAnswer(token=shown.token, answer=answer, **given)
        record_response(session, reader, told, now())
        return True

    def _label(self, shown: Presentation) -> Answer:
        truth, condition = shown.stimulus.case.truth, name_of(shown.stimulus)
        roll = self._chance.random()
        if roll < 0.01:
            return Answer.CANNOT_ASSESS
        if condition == "l2-8" and truth and roll < 0.45:
            return Answer.FEW_CELLS if roll < 0.1 else Answer.NO_TUMOUR
        slips = NOISE * (2 if self._kind == 1 and not truth else 1)
        is_tumour = bool(truth) != (roll > 1 - slips)
        return Answer.TUMOUR if is_tumour else Answer.NO_TUMOUR

    def _confidence(self, shown: Presentation) -> int:
        return self._chance.choices(
            range(1, 6), (1, 1, 2, 3, 3) if shown.stimulus.case.truth else (1, 2, 3, 3, 1)
        )[0]

    def _time(self, shown: Presentation) -> int:
        if self._chance.random() < 0.01:
            return 150
        slower = 1.15 if shown.stimulus.condition_id else 1
        return round(self._chance.lognormvariate(8.1, 0.5) * slower)

    def _pair(self, shown: Presentation, task: PairTask | None) -> Answer:
        left, right = shown.stimulus, shown.beside
        assert right is not None
        altered = name_of(left) or name_of(right) if left is not right else None
        roll = self._chance.random()
        if roll > 0.97:
            return Answer.NOT_SURE
        if task is PairTask.CHOICE:
            side = Answer.LEFT if left.condition_id else Answer.RIGHT
            other = Answer.RIGHT if left.condition_id else Answer.LEFT
            return side if roll < SEEN[altered] or self._chance.random() < 0.5 else other
        says_different = roll < max(SEEN[altered], 0.1)
        return Answer.DIFFERENT if says_different else Answer.SAME


def name_of(image: Stimulus) -> str | None:
    return image.condition.name if image.condition else None
