"""study.json: everything about a study that is not a table."""

import json
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.analysis.service import require_open_key
from app.analysis.values import SCHEMA_VERSION, moment
from app.provenance import code
from app.readers.service import seed_for
from app.storage.models import Amendment, Event, Study
from app.studies.monitor import amendments_of
from app.studies.service import OPTIONS, conditions_of
from app.vocabulary import Part

TOLD_ABOVE = ("question", "is_demo")


def study_json(session: Session, study: Study, now: datetime) -> str:
    """The design, the seeds of the orders, the data and the code behind an export."""
    require_open_key(study)
    events = session.scalars(select(Event).where(Event.study_id == study.id).order_by(Event.id))
    record = {
        "schema_version": SCHEMA_VERSION,
        "title": study.internal_title,
        "public_title": study.public_title,
        "is_demo": study.is_demo,
        "is_rehearsal": study.is_rehearsal,
        "state": study.state.value,
        "created_at": moment(study.created_at),
        "frozen_at": moment(study.started_at),
        "locked_at": moment(study.locked_at),
        "unblinded_at": moment(study.unblinded_at),
        "protocol_hash": study.protocol_hash,
        "protocol": study.protocol,
        "amendments": [amendment_record(each) for each in amendments_of(session, study)],
        "question": study.question,
        "labelling_instructions": study.criterion,
        "options": {
            **{option: getattr(study, option) for option in OPTIONS if option not in TOLD_ABOVE},
            "minimum_gap": study.minimum_gap,
            "conditions": [condition.name for condition in conditions_of(session, study)],
            "pair_conditions": condition_names(study, Part.PAIRS),
            "cases": case_names(study, Part.READING),
            "practice_cases": case_names(study, Part.PRACTICE),
            "catch_cases": sorted(image.case.name for image in study.catch_images),
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
            "catch_seeds": {
                reader.label: seed_for(study, reader, "catch")
                for reader in study.readers
                if study.catch_images
            },
        },
        "batch": {
            "name": study.batch.name,
            "sha256": study.batch.digest,
            "network": study.batch.network,
            "provenance": study.batch.provenance,
            "evidence": evidence_record(study),
        },
        "events": [
            {
                "at": moment(event.at),
                "actor": event.actor,
                "kind": event.kind,
                "detail": event.detail,
            }
            for event in events
        ],
        "exported_at": moment(now),
        "code": code(),
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def evidence_record(study: Study) -> dict[str, object] | None:
    """But for the smallest perturbations, which are network.csv, and for images."""
    if study.batch.evidence is None:
        return None
    apart = ("minimal", "saliency")
    return {name: told for name, told in study.batch.evidence.items() if name not in apart}


def amendment_record(amendment: Amendment) -> dict[str, object]:
    return {
        "at": moment(amendment.at),
        "actor": amendment.actor,
        "reason": amendment.reason,
        "protocol_hash": amendment.protocol_hash,
        "protocol": amendment.protocol,
    }


def case_names(study: Study, part: Part) -> list[str]:
    return sorted({stimulus.case.name for stimulus in study.stimuli_of(part)})


def condition_names(study: Study, part: Part) -> list[str]:
    conditions = {stimulus.condition for stimulus in study.stimuli_of(part)}
    return sorted(condition.name for condition in conditions if condition)
