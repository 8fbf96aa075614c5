"""The rows of every exported table, as the columns of app.analysis.columns name them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.analysis.exported import Plan
from app.analysis.service import (
    PairShown,
    chunks_of_pairs,
    chunks_of_presentations,
    notes_of,
    reader_records,
    undone_answers,
)
from app.reading.domain import Choice
from app.reading.service import choices_for
from app.storage.models import (
    Case,
    Condition,
    Presentation,
    Reader,
    Response,
    ScreenCheck,
    Stimulus,
    Study,
)
from app.studies.domain import receipt
from app.vocabulary import Answer, Part

SCHEMA_VERSION = "1.2"
CLOCK_MAY_BE_AHEAD = timedelta(minutes=1)
Values = dict[str, object]


def whose(study: Study, reader: Reader) -> Values:
    return {"schema_version": SCHEMA_VERSION, "study_id": study.id, "reader_id": reader.label}


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
                "set": presentation.set_number,
                "presentation_index": presentation.position,
                **place.of(reader, presentation, case),
                "presentation_id": presentation.token,
                "image_id": case.name,
                **image_values(stimulus, condition, presentation),
                "truth": case.truth,
                "key_mapping": mapping(choices_for(reader, Part.READING)),
                **notes.of(presentation),
                **exclusion(plan, response),
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
            "position_in_set": self._in_set[presentation.set_number],
            "gap_same_image": presentation.position - previous if previous else None,
        }


def exclusion(plan: Plan, response: Response | None) -> Values:
    rule = plan.exclusion(response.reading_time_ms if response else None)
    return {"excluded": int(rule is not None), "exclusion_reason": rule}


def image_values(
    stimulus: Stimulus, condition: Condition | None, presentation: Presentation
) -> Values:
    return {
        "stimulus_id": stimulus.id,
        "stimulus_sha256": stimulus.delivered_sha256,
        "condition": "perturbed" if condition else "original",
        "copy": presentation.set_number,
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


def label_of(answer: Answer) -> int | None:
    """1 to 4 tumour cells are below the criterion: not tumour."""
    match answer:
        case Answer.TUMOUR:
            return 1
        case Answer.NO_TUMOUR | Answer.FEW_CELLS:
            return 0
        case _:
            return None


def score(label: int | None, confidence: int | None) -> int | None:
    """From 0, surely not tumour, to 100, surely tumour."""
    if label is None or confidence is None:
        return None
    return 50 + 10 * confidence * (1 if label else -1)


def times(response: Response, reader: Reader) -> Values:
    given = plausible(response, reader)
    on_screen = response.reading_time_ms + response.hidden_ms + response.idle_ms
    return {
        "shown_at": moment(given - timedelta(milliseconds=on_screen)),
        "given_at": moment(response.given_at),
        "answered_at": moment(response.answered_at),
        "rt_ms": response.reading_time_ms,
        "hidden_ms": response.hidden_ms,
        "idle_ms": response.idle_ms,
    }


def plausible(response: Response, reader: Reader) -> datetime:
    """When the answer was given: by the reader's clock, unless it is before the reader began or
    after the server had the answer. Answers that waited for the network arrive later."""
    began_at = reader.began_at or response.answered_at
    earliest, latest = began_at - CLOCK_MAY_BE_AHEAD, response.answered_at + CLOCK_MAY_BE_AHEAD
    return response.given_at if earliest <= response.given_at <= latest else response.answered_at


def display(response: Response) -> Values:
    on_screen = response.scale * response.zoom / response.device_pixel_ratio
    return {
        "zoom_max": round(on_screen, 4),
        "zoom": response.zoom,
        "display_w_px": response.display_width,
        "display_h_px": response.display_height,
        "device_pixel_ratio": response.device_pixel_ratio,
        "viewport": size(response.viewport_width, response.viewport_height),
        "pixel_exact": int(response.pixel_exact),
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


def reader_rows(session: Session, study: Study) -> Iterator[Values]:
    for reader, check, changes, debrief in reader_records(session, study):
        has_finished = reader.finished_at is not None
        yield {
            **whose(study, reader),
            "language": reader.language,
            "consent_version": reader.consent_version,
            "consent_sha256": reader.consent_sha256,
            "invited_at": moment(reader.invited_at),
            "began_at": moment(reader.began_at),
            "finished_at": moment(reader.finished_at),
            "key_mapping": mapping(choices_for(reader, Part.READING)),
            **(check_values(check) if check else {}),
            "screen_changes": changes,
            "saw_repeats": debrief.saw_repeats if debrief else None,
            "odd": " ".join(debrief.odd.split()) if debrief else None,
            "receipt": receipt(study.secret, reader.label) if has_finished else None,
        }


def check_values(check: ScreenCheck) -> Values:
    return {
        "checked_at": moment(check.at),
        "device_pixel_ratio": check.device_pixel_ratio,
        "browser_zoom": check.browser_zoom,
        "screen": size(check.screen_width, check.screen_height),
        "viewport": size(check.viewport_width, check.viewport_height),
        "colour_depth": check.colour_depth,
        "pointer": check.pointer,
        "keys_tried": flag(check.keys_tried),
        "storage_works": flag(check.storage_works),
        "letters_shown": check.letters_shown,
        "letters_read": check.letters_read,
    }


def undone_rows(session: Session, study: Study) -> Iterator[Values]:
    for reader, presentation, response, undone in undone_answers(session, study):
        yield {
            **whose(study, reader),
            "part": presentation.part,
            "presentation_index": presentation.position,
            "presentation_id": presentation.token,
            "attempt": response.attempt,
            "response": response.answer.value,
            "confidence": response.confidence,
            **times(response, reader),
            "undone_at": moment(undone.undone_at),
        }


def mapping(choices: Sequence[Choice]) -> str:
    """Of the two main keys, such as "f=non_tumour j=tumour"."""
    return " ".join(f"{choice.key}={choice.answer}" for choice in choices[:2])


def size(width: int, height: int) -> str:
    return f"{width}x{height}"


def flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
