"""The analysis of a study that is in the database: by the code, and on the rows, of its export."""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

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
from app.storage.models import Study

KEPT = 8
ANALYSED = (PRESENTATIONS, DETECTIONS, READERS, NETWORK)


@dataclass(frozen=True)
class Findings:
    """The rows, and all that is computed from them."""

    rows: Rows
    analysis: Json


class Cache:
    """The last few analyses by the digests of what they were made from: one takes seconds."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Findings] = OrderedDict()
        self._lock = Lock()

    def of(self, tidy: Tidy) -> Findings:
        key = digest_of(tidy)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        options = options_of(tidy.plan, network=tidy.network)
        found = Findings(rows_of(tidy), analyse(tidy, options, code()))
        with self._lock:
            self._found[key] = found
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return found


def digest_of(tidy: Tidy) -> str:
    """Of the tables, attacks and plan; study.json as a whole also tells when it was exported."""
    tables = [each.sha256 for each in tidy.files if each.file != STUDY]
    attacks = sorted(map(str, tidy.attacks.values()))
    told = json.dumps([tables, attacks, str(tidy.plan)])
    return hashlib.sha256(told.encode()).hexdigest()


CACHE = Cache()


def findings_of(session: Session, study: Study, now: datetime) -> Findings:
    """Conflict while the key is sealed."""
    require_open_key(study)
    return CACHE.of(tidy_of(session, study, now))


def tidy_of(session: Session, study: Study, now: datetime) -> Tidy:
    """What the files of an export would be read as, without a file."""
    texts = {
        **{name: table_csv(session, study, name) for name in ANALYSED},
        STUDY: study_json(session, study, now),
    }
    files = {name: text.encode() for name, text in texts.items()}
    return read_tables(f"study {study.id}", files.get)
