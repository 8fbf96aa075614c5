"""The files that a statistician takes away: one row a presentation, and what made them."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.analysis.service import presentations
from app.provenance import code
from app.storage.models import Condition, Event, Presentation, Response, Stimulus, Study

SCHEMA_VERSION = "1.0"


class Column(NamedTuple):
    name: str
    type: str
    unit: str
    meaning: str


COLUMNS = [
    Column("schema_version", "str", "", "version of this table"),
    Column("study_id", "int", "", "number of the study on its server"),
    Column("protocol_hash", "str", "", "SHA-256 of the frozen protocol; empty: none was frozen"),
    Column("reader_id", "str", "", "pseudonym of the reader"),
    Column("sitting_id", "str", "", "empty: the study is read in one sitting"),
    Column("set", "int", "", "which showing of this very image to this reader this was"),
    Column("presentation_index", "int", "", "place in the reader's order, from 1"),
    Column("position_in_set", "int", "", "place among the presentations of the same set, from 1"),
    Column("presentation_id", "str", "", "the random token that the reader's browser knew"),
    Column("image_id", "str", "", "the case: the same for original, perturbed and all sets"),
    Column("stimulus_id", "int", "", "number of the image that was shown"),
    Column("stimulus_sha256", "str", "", "SHA-256 of the file that the batch delivered"),
    Column("condition", "enum", "original|perturbed", "the arm"),
    Column("copy", "int", "", "the same as set"),
    Column("truth", "int", "1|0", "tumour or not, by the data set"),
    Column("attack_id", "str", "", "condition id in the batch; empty for an original"),
    Column("label", "int", "1|0", "the answer: tumour or not; empty: not answered"),
    Column("response", "enum", "tumour|non_tumour", "the answer in words"),
    Column("score", "int", "0-100", "empty: confidence was not asked for"),
    Column("correct", "int", "1|0", "label equals truth"),
    Column("shown_at", "datetime", "UTC", "answered_at minus rt_ms and hidden_ms"),
    Column("answered_at", "datetime", "UTC", "when the server had the answer"),
    Column(
        "rt_ms", "int", "ms", "from the frame that painted the image to the key, less hidden_ms"
    ),
    Column("hidden_ms", "int", "ms", "how long the page was hidden in between"),
    Column("n_changes", "int", "", "always 0: an answer is final"),
    Column("zoom_max", "float", "CSS px", "width of one image pixel on the screen"),
    Column("display_w_px", "int", "device px", "width of the image on the screen"),
    Column("display_h_px", "int", "device px", "height of the image on the screen"),
    Column("device_pixel_ratio", "float", "", "device pixels per CSS pixel"),
    Column("viewport", "str", "CSS px", "width x height of the window"),
    Column("gap_same_image", "int", "", "presentations since the case was last shown"),
    Column("excluded", "int", "1|0", "always 0: no exclusion rule was set"),
    Column("exclusion_reason", "str", "", "empty"),
    Column("pixel_exact", "int", "1|0", "every image pixel was a whole block of device pixels"),
]

Values = dict[str, object]


def export_files(session: Session, study: Study, now: datetime) -> dict[str, str]:
    """File name to text. Conflict while the key is sealed."""
    return {
        "presentations.csv": presentations_csv(session, study),
        "data_dictionary.csv": to_csv(Column._fields, [column._asdict() for column in COLUMNS]),
        "study.json": study_json(session, study, now),
    }


def presentations_csv(session: Session, study: Study) -> str:
    return to_csv([column.name for column in COLUMNS], rows(session, study))


def rows(session: Session, study: Study) -> Iterator[Values]:
    last_shown: dict[tuple[int, int], int] = {}
    in_set: dict[tuple[int, int | None], int] = defaultdict(int)
    for reader, presentation, stimulus, case, condition, response in presentations(session, study):
        in_set[reader.id, presentation.set_number] += 1
        previous = last_shown.get((reader.id, case.id))
        last_shown[reader.id, case.id] = presentation.position
        yield {
            "schema_version": SCHEMA_VERSION,
            "study_id": study.id,
            "reader_id": reader.label,
            "set": presentation.set_number,
            "presentation_index": presentation.position,
            "position_in_set": in_set[reader.id, presentation.set_number],
            "presentation_id": presentation.token,
            "image_id": case.name,
            **image_values(stimulus, condition, presentation),
            "truth": case.truth,
            "gap_same_image": presentation.position - previous if previous else None,
            "excluded": 0,
            **(answer_values(response, case.truth) if response else {}),
        }


def image_values(
    stimulus: Stimulus, condition: Condition | None, presentation: Presentation
) -> Values:
    return {
        "stimulus_id": stimulus.id,
        "stimulus_sha256": stimulus.delivered_sha256,
        "condition": "perturbed" if condition else "original",
        "copy": presentation.set_number,
        "attack_id": condition.name if condition else None,
    }


def answer_values(response: Response, truth: int) -> Values:
    label = int(response.answer == "tumour")
    on_screen = timedelta(milliseconds=response.reading_time_ms + response.hidden_ms)
    return {
        "label": label,
        "response": response.answer.value,
        "correct": int(label == truth),
        "shown_at": moment(response.answered_at - on_screen),
        "answered_at": moment(response.answered_at),
        "rt_ms": response.reading_time_ms,
        "hidden_ms": response.hidden_ms,
        "n_changes": 0,
        "zoom_max": round(response.scale / response.device_pixel_ratio, 4),
        "display_w_px": response.display_width,
        "display_h_px": response.display_height,
        "device_pixel_ratio": response.device_pixel_ratio,
        "viewport": f"{response.viewport_width}x{response.viewport_height}",
        "pixel_exact": int(response.pixel_exact),
    }


def moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def study_json(session: Session, study: Study, now: datetime) -> str:
    """The design, the seeds of the orders, the data and the code behind an export."""
    events = session.scalars(select(Event).where(Event.study_id == study.id).order_by(Event.id))
    record = {
        "schema_version": SCHEMA_VERSION,
        "title": study.internal_title,
        "public_title": study.public_title,
        "is_demo": study.is_demo,
        "state": study.state.value,
        "question": study.question,
        "labelling_instructions": study.criterion,
        "randomisation": {
            "algorithm": "one constrained shuffle of all sets, app/reading/order.py",
            "sets": study.sets,
            "minimum_gap": study.minimum_gap,
            "seeds": {
                reader.label: [sitting.seed for sitting in reader.sittings]
                for reader in study.readers
            },
        },
        "batch": {
            "name": study.batch.name,
            "sha256": study.batch.digest,
            "network": study.batch.network,
            "provenance": study.batch.provenance,
        },
        "events": [
            {"at": moment(event.at), "actor": event.actor, "kind": event.kind} for event in events
        ],
        "exported_at": moment(now),
        "code": code(),
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def to_csv(header: Sequence[str], values: Iterable[Values]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(values)
    return buffer.getvalue()
