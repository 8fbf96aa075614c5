"""The rows of readers.csv and undone.csv."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.analysis.service import reader_records, undone_answers
from app.analysis.values import Values, flag, mapping, moment, size, times, whose
from app.reading.service import choices_for
from app.storage.models import ScreenCheck, Study
from app.studies.domain import receipt
from app.vocabulary import Part


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
