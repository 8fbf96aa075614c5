"""The analysis of a study that is in the database: by the code, and on the rows, of its export."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analysis.analyse import analyse, options_of
from app.analysis.export import table_csv
from app.analysis.exported import Tidy
from app.analysis.record import study_json
from app.analysis.sections.rows import Rows, rows_of
from app.analysis.sections.told import Json
from app.analysis.service import require_open_key
from app.analysis.tidy import (
    DETECTIONS,
    NETWORK,
    PRESENTATIONS,
    READERS,
    STUDY,
    read_tables,
)
from app.provenance import code
from app.storage.models import Debrief, Presentation, Reader, Response, Study, Undone

KEPT = 8
ANALYSED = (PRESENTATIONS, DETECTIONS, READERS, NETWORK)


@dataclass(frozen=True)
class Findings:
    """The rows, and all that is computed from them."""

    rows: Rows
    analysis: Json


class Cache:
    """The last few analyses by the stamps of what they were made from. One takes seconds, so who
    asks for what is being made waits for it."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Findings] = OrderedDict()
        self._making: dict[str, Lock] = {}
        self._lock = Lock()

    def of(self, stamp: str, make: Callable[[], Findings]) -> Findings:
        with self._lock:
            making = self._making.setdefault(stamp, Lock())
        with making:
            found = self._found.get(stamp) or make()
        with self._lock:
            self._making.pop(stamp, None)
            self._found[stamp] = found
            self._found.move_to_end(stamp)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return found


CACHE = Cache()


def findings_of(session: Session, study: Study, now: datetime) -> Findings:
    """Conflict while the key is sealed."""
    require_open_key(study)

    def make() -> Findings:
        tidy = tidy_of(session, study, now)
        options = options_of(tidy.plan, network=tidy.network)
        return Findings(rows_of(tidy), analyse(tidy, options, code()))

    return CACHE.of(stamp_of(session, study), make)


def stamp_of(session: Session, study: Study) -> str:
    """Another one when anything has changed that the analysis rests on: study.json but for what
    happened and when it was exported, the answers, and what readers said at the end."""
    record = json.loads(study_json(session, study, study.created_at))
    del record["events"]
    of_study = Reader.study_id == study.id
    answers = (
        select(func.count(Response.id), func.max(Response.id), func.count(Undone.response_id))
        .select_from(Response)
        .outerjoin(Undone, Undone.response_id == Response.id)
        .join(Presentation, Presentation.id == Response.presentation_id)
        .join(Reader, Reader.id == Presentation.reader_id)
        .where(of_study)
    )
    shown = select(func.count(Presentation.id)).join(Reader).where(of_study)
    said = select(Reader.label, Debrief.saw_repeats, Debrief.odd).outerjoin(Debrief)
    told = [
        study.secret,
        record,
        *(list(row) for row in session.execute(answers)),
        session.scalar(shown),
        [list(row) for row in session.execute(said.where(of_study).order_by(Reader.id))],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def tidy_of(session: Session, study: Study, now: datetime) -> Tidy:
    """What the files of an export would be read as, without a file."""
    texts = {
        **{name: table_csv(session, study, name) for name in ANALYSED},
        STUDY: study_json(session, study, now),
    }
    files = {name: text.encode() for name, text in texts.items()}
    return read_tables(f"study {study.id}", files.get)
