"""The files that a statistician takes away: one row a presentation, and what made them."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.analysis.columns import TABLES, Column
from app.analysis.rows import ROWS, SCHEMA_VERSION, Values, moment
from app.analysis.service import require_open_key
from app.provenance import code
from app.readers.service import seed_for
from app.storage.models import Event, Study
from app.studies.service import OPTIONS, conditions_of
from app.vocabulary import Part

TOLD_ABOVE = ("question", "is_demo")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_files(session: Session, study: Study, now: datetime) -> dict[str, str]:
    """File name to text. Conflict while the key is sealed."""
    require_open_key(study)
    tables = {name: table_csv(session, study, name) for name in TABLES}
    return {
        **tables,
        "data_dictionary.csv": dictionary_csv(),
        "study.json": study_json(session, study, now),
    }


def table_csv(session: Session, study: Study, name: str) -> str:
    require_open_key(study)
    return to_csv([column.name for column in TABLES[name]], ROWS[name](session, study))


def presentations_csv(session: Session, study: Study) -> str:
    return table_csv(session, study, "presentations.csv")


def dictionary_csv() -> str:
    rows = (
        {"file": name, **column._asdict()} for name, columns in TABLES.items() for column in columns
    )
    return to_csv(["file", *Column._fields], rows)


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
        "options": {
            **{option: getattr(study, option) for option in OPTIONS if option not in TOLD_ABOVE},
            "minimum_gap": study.minimum_gap,
            "conditions": [condition.name for condition in conditions_of(session, study)],
            "pair_conditions": condition_names(study, Part.PAIRS),
            "cases": case_names(study, Part.READING),
            "practice_cases": case_names(study, Part.PRACTICE),
        },
        "attacks": [
            {
                "attack_id": condition.name,
                "attack": condition.attack,
                "norm": condition.norm,
                "epsilon": condition.epsilon,
            }
            for condition in study.batch.conditions
        ],
        "randomisation": {
            "algorithm": "one constrained shuffle a sitting, app/reading/order.py",
            "sets": study.sets,
            "waves": study.waves,
            "minimum_gap": study.minimum_gap,
            "seeds": {
                reader.label: [sitting.seed for sitting in reader.sittings]
                for reader in study.readers
            },
            "pair_seeds": {
                reader.label: seed_for(study, reader, "pairs")
                for reader in study.readers
                if study.pair_task
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


def case_names(study: Study, part: Part) -> list[str]:
    return sorted({stimulus.case.name for stimulus in study.stimuli_of(part)})


def condition_names(study: Study, part: Part) -> list[str]:
    conditions = {stimulus.condition for stimulus in study.stimuli_of(part)}
    return sorted(condition.name for condition in conditions if condition)


def to_csv(header: Sequence[str], values: Iterable[Values]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", lineterminator="\n")
    writer.writeheader()
    for row in values:
        writer.writerow({name: harmless(value) for name, value in row.items()})
    return buffer.getvalue()


def harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if is_formula else value
