"""The rows of presentations.csv and detections.csv, as app.analysis.columns names their columns."""

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.analysis.exported import Plan
from app.analysis.service import PairShown, chunks_of_pairs, chunks_of_presentations, notes_of
from app.analysis.values import Values, display, label_of, mapping, score, times, whose
from app.reading.service import choices_for
from app.storage.models import Case, Condition, Presentation, Reader, Response, Stimulus, Study
from app.vocabulary import Answer, Part

CATCH = "catch image"


def presentation_rows(session: Session, study: Study) -> Iterator[Values]:
    plan = Plan(minimum_time_ms=study.minimum_time_ms, maximum_time_ms=study.maximum_time_ms)
    place = Place()
    for chunk in chunks_of_presentations(session, study):
        notes = notes_of(session, [shown.presentation for shown in chunk])
        for reader, presentation, stimulus, case, condition, response in chunk:
            yield {
                **whose(study, reader),
                "protocol_hash": study.protocol_hash,
                "sitting_id": presentation.sitting,
                "presentation_index": presentation.position,
                **({} if presentation.is_catch else place.of(reader, presentation, case)),
                "presentation_id": presentation.token,
                "image_id": case.name,
                **image_values(stimulus, condition, presentation),
                "truth": case.truth,
                "key_mapping": mapping(choices_for(reader, Part.READING)),
                **notes.of(presentation),
                **exclusion(plan, presentation, response),
                "is_catch": int(presentation.is_catch),
                **(answer_values(response, reader, case) if response else {}),
            }


class Place:
    """Where in the order of its reader each presentation stands; readers come one by one."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._in_set: dict[int | None, int] = {}
        self._last_shown: dict[int, int] = {}

    def of(self, reader: Reader, presentation: Presentation, case: Case) -> Values:
        if reader.id != self._reader:
            self._reader, self._in_set, self._last_shown = reader.id, defaultdict(int), {}
        self._in_set[presentation.set_number] += 1
        previous = self._last_shown.get(case.id)
        self._last_shown[case.id] = presentation.position
        return {
            "set": presentation.set_number,
            "copy": presentation.set_number,
            "position_in_set": self._in_set[presentation.set_number],
            "gap_same_image": presentation.position - previous if previous else None,
        }


def exclusion(plan: Plan, presentation: Presentation, response: Response | None) -> Values:
    if presentation.is_catch:
        return {"excluded": 1, "exclusion_reason": CATCH}
    rule = plan.exclusion(response.reading_time_ms if response else None)
    return {"excluded": int(rule is not None), "exclusion_reason": rule}


def image_values(
    stimulus: Stimulus, condition: Condition | None, presentation: Presentation
) -> Values:
    return {
        "stimulus_id": stimulus.id,
        "stimulus_sha256": stimulus.delivered_sha256,
        "condition": "perturbed" if condition else "original",
        "attack_id": condition.name if condition else None,
        "orientation": presentation.orientation,
    }


def answer_values(response: Response, reader: Reader, case: Case) -> Values:
    label = label_of(response.answer)
    return {
        "label": label,
        "response": response.answer.value,
        "confidence": response.confidence,
        "score": score(label, response.confidence),
        "correct": None if label is None else int(label == case.truth),
        **times(response, reader),
        **display(response),
    }


def detection_rows(session: Session, study: Study) -> Iterator[Values]:
    for chunk in chunks_of_pairs(session, study):
        notes = notes_of(session, [shown.presentation for shown in chunk])
        for shown in chunk:
            reader, presentation, response = shown.reader, shown.presentation, shown.response
            yield {
                **whose(study, reader),
                "trial_index": presentation.position,
                "presentation_id": presentation.token,
                "task": study.pair_task,
                **pair_values(shown),
                "orientation": presentation.orientation,
                "key_mapping": mapping(choices_for(reader, Part.PAIRS)),
                **notes.of(presentation),
                **(pair_answer_values(shown, response) if response else {}),
            }


def pair_values(shown: PairShown) -> Values:
    left, right = shown.left.condition, shown.right.condition
    return {
        "image_id": shown.left.case.name,
        "left_stimulus_id": shown.left.id,
        "right_stimulus_id": shown.right.id,
        "left_attack_id": left.name if left else "original",
        "right_attack_id": right.name if right else "original",
        "altered_side": altered_side(shown),
        "is_catch": int(shown.is_catch),
    }


def altered_side(shown: PairShown) -> str:
    match (shown.left.condition is not None, shown.right.condition is not None):
        case (True, True):
            return "both"
        case (True, False):
            return "left"
        case (False, True):
            return "right"
        case _:
            return "none"


def pair_answer_values(shown: PairShown, response: Response) -> Values:
    return {
        "response": response.answer.value,
        "correct": pair_is_right(shown, response.answer),
        **times(response, shown.reader),
        **display(response),
    }


def pair_is_right(shown: PairShown, answer: Answer) -> int | None:
    match answer:
        case Answer.SAME | Answer.DIFFERENT:
            return int((answer is Answer.SAME) == shown.is_catch)
        case Answer.LEFT | Answer.RIGHT:
            return int(answer == altered_side(shown))
        case _:
            return None
