"""What is frozen at the start is hashed, the same everywhere; no change of it goes unnoticed."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, update

from app.batches.service import find_batch, import_batch
from app.designer.domain import canonical, digest_of
from app.designer.protocol import COMMITTED_READERS, DESIGN, PLAN, READERS_SEE, protocol_of
from app.designer.service import amend_study, problems_with, start_study
from app.errors import Conflict, Invalid
from app.readers.service import invite
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.models import (
    Amendment,
    Batch,
    Event,
    Presentation,
    Researcher,
    Stimulus,
    Study,
    StudyStimulus,
)
from app.storage.session import Database
from app.studies import service as studies
from app.studies.service import OPTIONS, NewStudy, create_study, find_study
from app.vocabulary import Estimand, PairTask, Part, StudyState, Undo

Make = Callable[..., Path]
Office = Callable[..., TestClient]
Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
EMAIL = "ada@example.org"


@pytest.fixture(autouse=True)
def one_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every study has the same secret, so that nothing but the choices can differ."""
    monkeypatch.setattr(studies, "secrets", SimpleNamespace(token_hex=lambda size: "5e" * size))


@pytest.fixture
def batch(database: Database, store: ImageStore, tmp_path: Path, make_batch: Make) -> int:
    path = make_batch(tmp_path / "batch", cases=8, conditions=2, truths=(1,) * 8, size=16)
    with database.writing() as session:
        add_researcher(session, EMAIL, "correct horse battery", NOW)
    return import_batch(path, database, store, NOW)


@pytest.fixture
def start(database: Database, store: ImageStore, batch: int) -> Callable[..., str]:
    """`start(title, sets=3)` makes a study, starts it, and tells its protocol."""

    def begin(title: str = "Linf 2", **options: Any) -> str:
        given = {"cases": 4, "scan_reason": "Made for a test.", **options}
        with database.writing() as session:
            owner = session.get_one(Researcher, 1)
            new = NewStudy(title, **{"public_title": "Tissue images", **given})
            study = create_study(session, owner, find_batch(session, batch), new, NOW)
            start_study(session, store, study, EMAIL, NOW)
            assert study.protocol is not None
            return study.protocol

    return begin


OTHER: dict[str, Any] = {
    "sets": 3,
    "waves": 2,
    "washout_days": 7,
    "feedback": True,
    "confidence": True,
    "few_cells": True,
    "cannot_assess": True,
    "undo": Undo.ALL,
    "break_after_images": 10,
    "break_after_minutes": 0,
    "masking": True,
    "pair_task": PairTask.COMPARE,
    "not_sure": True,
    "question": "Is there tumour in this image?",
    "is_demo": True,
    "instructions": "Look at the whole image.",
    "scan_reason": "Another reason.",
    "estimand": Estimand.TP_DIFFERENCE,
    "margin_flips": 0.06,
    "margin_tp": 0.11,
    "alpha": 0.025,
    "minimum_time_ms": 200,
    "maximum_time_ms": 60_000,
    "catch_least": 0.8,
    "minimum_gap": 3,
    "public_title": "Other images",
    "criterion": "Tumour: six or more tumour cells.",
    "cases": 5,
    "conditions": ("linf-2",),
    "practice": 1,
    "catch": 2,
}


def test_every_choice_of_a_study_is_frozen() -> None:
    assert {*DESIGN, *PLAN, *READERS_SEE} == {*OPTIONS, "minimum_gap", "public_title", "criterion"}
    assert set(OTHER) >= {*DESIGN, *PLAN, *READERS_SEE}


def test_the_hash_changes_with_every_choice_and_with_nothing_else(
    start: Callable[..., str],
) -> None:
    """The title is left out of the comparison: two studies cannot have the same."""
    plain = hash_without_title(start())
    assert hash_without_title(start("The same again")) == plain
    seen = {plain}
    for name, value in OTHER.items():
        seen.add(hash_without_title(start(f"Other {name}", **{name: value})))
    assert len(seen) == 1 + len(OTHER)


def hash_without_title(protocol: str) -> str:
    record = json.loads(protocol)
    del record["title"]
    return digest_of(canonical(record))


def test_pairs_of_other_conditions_are_another_protocol(start: Callable[..., str]) -> None:
    texts = [
        start(name, pair_task=PairTask.CHOICE, pair_conditions=(name,))
        for name in ("linf-2", "linf-4")
    ]
    assert hash_without_title(texts[0]) != hash_without_title(texts[1])


def test_sqlite_and_postgres_freeze_the_same_text(
    migrated_sqlite: Path, migrated_postgres: Callable[[], URL], tmp_path: Path, make_batch: Make
) -> None:
    """In one database another batch came before, so that its numbers differ."""
    shutil.copyfile(migrated_sqlite, tmp_path / "plainsight.db")
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'plainsight.db'}",
        "postgres": migrated_postgres().render_as_string(hide_password=False),
    }
    batch, other = (
        make_batch(tmp_path / name, cases=cases, conditions=2, truths=(1,) * cases, size=16)
        for name, cases in (("batch", 6), ("other", 3))
    )
    texts = []
    for name, url in urls.items():
        settings = Settings(home=tmp_path / name, database_url=url)
        database, store = Database(settings.database), ImageStore(settings.images)
        if name == "postgres":
            import_batch(other, database, store, NOW)
        number = import_batch(batch, database, store, NOW)
        with database.writing() as session:
            owner = add_researcher(session, EMAIL, "correct horse battery", NOW)
            new = NewStudy(
                *("Tübingen", "Bilder"),
                cases=4,
                practice=2,
                masking=True,
                pair_task=PairTask.COMPARE,
                scan_reason="A test.",
                alpha=0.1,
            )
            study = create_study(session, owner, find_batch(session, number), new, NOW)
            start_study(session, store, study, EMAIL, NOW)
            texts.append((study.protocol, study.protocol_hash))
        database.close()
    assert texts[0] == texts[1]
    text, said = texts[0]
    assert text is not None
    assert hashlib.sha256(text.encode()).hexdigest() == said
    assert "Tübingen" in text
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"),
                      ensure_ascii=False) == text  # fmt: skip


def test_files_are_told_part_by_part_and_never_by_arm(
    start: Callable[..., str], database: Database
) -> None:
    record = json.loads(start(practice=2, pair_task=PairTask.CHOICE))
    with database.reading() as session:
        study = session.get_one(Study, 1)
        assert record["files"]["batch"] == study.batch.digest
        for part in Part:
            digests = sorted(image.sha256 for image in study.stimuli_of(part))
            assert record["files"][part] == digests, "sorted by digest alone"
        assert len(record["files"]["reading"]) == 12
        assert study.secret not in json.dumps(record)
        names = [case.name for case in study.batch.cases]
        assert sorted(names) != record["design"]["cases"]


def test_orders_are_promised_and_cannot_be_told_from_the_promise(
    start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another secret promises otherwise, with the same order; whoever does not know it can only
    guess 256 bits."""
    record = json.loads(start())
    promised = record["orders"]["hmac_sha256"]
    assert list(promised) == [f"R{number:02}" for number in range(1, COMMITTED_READERS + 1)]
    told = [digest for each in promised.values() for digest in each.values()]
    assert len({*told}) == 3 * COMMITTED_READERS
    secret = bytes.fromhex("5e" * 32)
    assert record["orders"]["secret_sha256"] == hashlib.sha256(secret).hexdigest()
    monkeypatch.setattr(studies, "secrets", SimpleNamespace(token_hex=lambda size: "5f" * size))
    other = json.loads(start("Other secret"))["orders"]["hmac_sha256"]
    assert not {*told} & {digest for each in other.values() for digest in each.values()}


def test_what_readers_are_shown_is_what_was_promised(
    start: Callable[..., str],
    database: Database,
    browser: Browser,
    begin: Callable[[TestClient, str], None],
) -> None:
    start(masking=True)
    with database.writing() as session:
        study = session.get_one(Study, 1)
        links = [invite(session, study, EMAIL, NOW).url("http://127.0.0.1") for _ in range(2)]
    for link in links:
        begin(browser(), link)
    with database.reading() as session:
        assert problems_with(session, session.get_one(Study, 1)) == []
    with database.writing() as session:
        shown = session.query(Presentation).filter_by(reader_id=2, position=1).one()
        shown.orientation = (shown.orientation + 1) % 8
    with database.reading() as session:
        [problem] = problems_with(session, session.get_one(Study, 1))
    assert problem == "R02 is not shown what the protocol promised (reading)."


TAMPERED: list[tuple[dict[str, Any], str]] = [
    ({"margin_flips": 0.2}, "plan.margin_flips is 0.2; the protocol says 0.05."),
    ({"alpha": 0.1}, "plan.alpha is 0.1; the protocol says 0.05."),
    ({"minimum_time_ms": 500}, "plan.minimum_time_ms is 500; the protocol says null."),
    ({"criterion": "Another"}, 'readers_see.criterion is "Another"; the protocol says '),
    ({"sets": 3}, "design.sets is 3; the protocol says 2."),
    ({"secret": "5d" * 32}, "orders.secret_sha256 is "),
    ({"protocol": "{}"}, "Version 1 of the protocol is not the text that was hashed."),
    ({"protocol_hash": "0" * 64}, "Version 1 of the protocol is not the text that was hashed."),
]


@pytest.mark.parametrize(("change", "problem"), TAMPERED, ids=[str(*each[0]) for each in TAMPERED])
def test_whoever_changes_the_database_is_found_out(
    change: dict[str, Any], problem: str, start: Callable[..., str], database: Database
) -> None:
    start()
    with database.reading() as session:
        assert problems_with(session, session.get_one(Study, 1)) == []
    with database.writing() as session:
        session.execute(update(Study).values(**change))
    with database.reading() as session:
        found = problems_with(session, session.get_one(Study, 1))
    assert any(each.startswith(problem) for each in found), found


def test_another_image_in_the_place_of_one_is_found_out(
    start: Callable[..., str], database: Database
) -> None:
    start()
    with database.writing() as session:
        shown = session.query(StudyStimulus).first()
        assert shown is not None
        session.execute(
            update(Stimulus).where(Stimulus.id == shown.stimulus_id).values(sha256="0" * 64)
        )
    with database.reading() as session:
        [problem] = problems_with(session, session.get_one(Study, 1))
    assert problem.startswith("files.reading is ")


def amend(database: Database, reason: str = "The board asked for it.", **changes: Any) -> str:
    with database.writing() as session:
        study = session.get_one(Study, 1)
        return amend_study(session, study, changes, reason, EMAIL, NOW).protocol_hash


def test_an_amendment_is_a_new_version_that_names_the_one_before(
    start: Callable[..., str], database: Database
) -> None:
    first = digest_of(start())
    second = amend(database, margin_flips=0.1)
    third = amend(database, instructions="Look twice.", reason="Readers asked.")
    assert len({first, second, third}) == 3
    with database.reading() as session:
        study = session.get_one(Study, 1)
        assert (study.protocol_hash, study.margin_flips) == (first, 0.1)
        versions = [json.loads(each.protocol) for each in session.query(Amendment)]
        assert [each["amends"] for each in versions] == [first, second]
        assert [each["reason"] for each in versions] == [
            "The board asked for it.",
            "Readers asked.",
        ]
        assert versions[1]["plan"]["margin_flips"] == 0.1
        assert versions[1]["readers_see"]["instructions"] == "Look twice."
        assert problems_with(session, study) == []
        kinds = [each.kind for each in session.query(Event)]
    assert kinds == ["created", "started", "amended the plan", "amended the plan"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reason": " ", "alpha": 0.1}, "needs a reason"),
        ({"alpha": 0.05}, "Nothing of this is different"),
        ({"sets": 3}, "sets cannot change"),
        ({"margin_tp": 0.9}, "The margin for true positives"),
        ({"minimum_time_ms": 9, "maximum_time_ms": 9}, "must be below"),
        ({"public_title": "Adversarial images"}, "use a neutral word"),
        ({"instructions": "Find the original"}, "use a neutral word"),
        ({"criterion": " "}, "needs a criterion"),
    ],
)
def test_an_amendment_that_makes_no_sense_changes_nothing(
    changes: dict[str, Any], problem: str, start: Callable[..., str], database: Database
) -> None:
    start()
    with pytest.raises(Invalid, match=problem):
        amend(database, **changes)
    with database.reading() as session:
        assert session.query(Amendment).all() == []
        assert problems_with(session, session.get_one(Study, 1)) == []


@pytest.mark.parametrize("state", [StudyState.DRAFT, StudyState.UNBLINDED])
def test_there_is_no_amendment_before_the_start_or_after_the_key_is_open(
    state: StudyState, start: Callable[..., str], database: Database
) -> None:
    start()
    with database.writing() as session:
        opened = NOW if state is StudyState.UNBLINDED else None
        session.execute(update(Study).values(state=state, unblinded_at=opened))
    with pytest.raises(Conflict, match=f"A study that is {state} cannot be used to amend its plan"):
        amend(database, alpha=0.1)


def test_an_amendment_that_was_slipped_in_is_found_out(
    start: Callable[..., str], database: Database
) -> None:
    start()
    amend(database, alpha=0.1)
    with database.writing() as session:
        record = json.loads(session.query(Amendment).one().protocol) | {"amends": "0" * 64}
        text = canonical(record)
        session.execute(update(Amendment).values(protocol=text, protocol_hash=digest_of(text)))
    with database.reading() as session:
        assert problems_with(session, session.get_one(Study, 1)) == [
            "Version 2 does not amend the version before it."
        ]


def new_draft(database: Database, batch: int, **options: Any) -> None:
    with database.writing() as session:
        owner = session.get_one(Researcher, 1)
        new = NewStudy("Draft", "Tissue", cases=4, **options)
        create_study(session, owner, find_batch(session, batch), new, NOW)


def start_draft(database: Database, store: ImageStore) -> None:
    with database.writing() as session:
        start_study(session, store, find_study(session, 1), EMAIL, NOW)


def test_an_amber_scan_needs_a_reason_before_the_start(
    database: Database, store: ImageStore, batch: int
) -> None:
    with database.writing() as session:
        session.execute(update(Batch).values(scan={"verdict": "amber", "findings": []}))
    new_draft(database, batch)
    with pytest.raises(Invalid, match="say in the design why it may be read"):
        start_draft(database, store)
    with database.writing() as session:
        session.execute(update(Study).values(scan_reason="The tint is part of the attack."))
    start_draft(database, store)


def test_practice_with_the_pixels_of_a_read_image_stops_the_start(
    database: Database, store: ImageStore, batch: int
) -> None:
    new_draft(database, batch, practice=2, scan_reason="A test.")
    with database.writing() as session:
        study = session.get_one(Study, 1)
        practice, read = study.stimuli_of(Part.PRACTICE)[0], study.stimuli[0]
        practice.sha256, practice.file = read.sha256, f"other/{practice.file}"
    with pytest.raises(Conflict, match="1 practice images have the pixels of images that are read"):
        start_draft(database, store)


def test_an_image_that_is_lost_or_damaged_stops_the_start(
    database: Database, store: ImageStore, batch: int
) -> None:
    new_draft(database, batch, scan_reason="A test.")
    with database.reading() as session:
        path = store.root / session.get_one(Study, 1).stimuli[0].file
    png = path.read_bytes()
    for spoil in (lambda: path.write_bytes(png[:-1] + b"x"), path.unlink):
        spoil()
        with pytest.raises(Conflict, match="Import its batch anew"):
            start_draft(database, store)
        with database.reading() as session:
            study = session.get_one(Study, 1)
            assert (study.state, study.protocol) == (StudyState.DRAFT, None)
    path.write_bytes(png)
    start_draft(database, store)


def test_a_study_starts_once(
    start: Callable[..., str], database: Database, store: ImageStore
) -> None:
    start()
    with pytest.raises(Conflict, match="A study that is ready cannot be used to start it"):
        start_draft(database, store)


def test_the_download_is_the_text_of_the_hash_on_the_page(office: Office, ready: Ready) -> None:
    made, desk = ready(), office()
    page = f"/studies/{made.study}"
    file = desk.get(f"{page}/protocol.json")
    assert file.headers["content-disposition"] == 'attachment; filename="protocol-1-1.json"'
    assert hashlib.sha256(file.content).hexdigest() in desk.get(page).text
    for version in ("0", "2", "-1"):
        assert desk.get(f"{page}/protocol.json?version={version}").status_code == 404


def test_a_plan_is_amended_on_its_page(office: Office, ready: Ready) -> None:
    made, desk = ready(), office()
    page = f"/studies/{made.study}"
    data = {
        "public_title": "Tissue images", "question": "Does this image show tumour?",
        "criterion": "Five cells", "margin_flips": "0.08", "margin_tp": "0.1", "alpha": "0.05",
        "estimand": "flips",
    }  # fmt: skip
    refused = desk.post(f"{page}/amend", data=data)
    assert refused.status_code == 422
    assert "An amendment needs a reason." in refused.text
    assert 'value="0.08"' in refused.text
    assert desk.post(f"{page}/amend", data={**data, "reason": "The board"}).status_code == 303
    shown = desk.get(page).text
    file = desk.get(f"{page}/protocol.json?version=2")
    assert hashlib.sha256(file.content).hexdigest() in shown
    assert "The board" in shown
    assert "0.08" in shown


def test_instructions_are_shown_to_readers_before_they_begin(
    ready: Ready, browser: Browser
) -> None:
    made, reader = ready(instructions="Look at <all> of it.\nThen answer."), browser()
    reader.get(made.links[0])
    page = reader.get("/reading").text
    assert "Look at &lt;all&gt; of it.\nThen answer." in page
    assert "Instructions" in page


def test_a_page_of_a_draft_has_no_protocol(
    office: Office, ready: Ready, database: Database
) -> None:
    made, desk = ready(), office()
    with database.writing() as session:
        study = session.get_one(Study, made.study)
        study.state, study.protocol, study.protocol_hash = StudyState.DRAFT, None, None
        assert protocol_of(study)["title"] == "Linf 2"
    assert desk.get(f"/studies/{made.study}/protocol.json").status_code == 404
    assert "SHA-256</th>" not in desk.get(f"/studies/{made.study}").text
