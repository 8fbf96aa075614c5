"""A delivery arrives in pieces or whole, waits, is imported once, or says what is wrong."""

import base64
import hashlib
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.batches import worker as working
from app.batches.check import check_batch
from app.batches.delivery_folder import DeliveryFolder
from app.batches.service import import_batch
from app.batches.worker import Worker
from app.main import create_app
from app.researchers.service import researcher_of_token
from app.settings import Settings
from app.storage import jobs
from app.storage.images import ImageStore
from app.storage.jobs import StoppedError, alone
from app.storage.models import ApiToken, Batch, Delivery, Researcher, Stimulus
from app.storage.session import Database
from app.vocabulary import DeliveryKind, DeliveryState
from app.web.identity import digest, now
from app.web.security import PIECE_BYTES

Office = Callable[..., TestClient]
Make = Callable[..., Path]
EMAIL = "ada@example.org"


@pytest.fixture
def desk(office: Office, employ: Callable[[str], str]) -> TestClient:
    return office(employ(EMAIL))


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture
def batch(make_batch: Make, tmp_path: Path) -> bytes:
    return zipped(make_batch(tmp_path / "sent", cases=3, size=16))


@pytest.fixture
def worker(database: Database, store: ImageStore, settings: Settings) -> Worker:
    return Worker(database, store, DeliveryFolder(settings.deliveries), now)


def announce(desk: TestClient, content: bytes, **said: str) -> dict[str, Any]:
    form = {"file_name": "b.zip", "kind": "batch", "total_bytes": str(len(content)), **said}
    answered = desk.post("/deliveries", data=form, headers={"accept": "application/json"})
    assert answered.status_code == 201, answered.text
    told: dict[str, Any] = answered.json()
    return told


def put(desk: TestClient, token: str, offset: int, piece: bytes, **headers: str) -> Any:
    return desk.put(
        f"/deliveries/{token}/bytes",
        params={"offset": offset},
        content=piece,
        headers={"accept": "application/json", **headers},
    )


def sent(piece: bytes) -> dict[str, str]:
    sha256 = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    return {"content-digest": f"sha-256=:{sha256}:"}


def count(database: Database, table: type[Any] = Batch) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def state_of(database: Database) -> list[str]:
    with database.reading() as session:
        return [row.state.value for row in session.scalars(select(Delivery).order_by(Delivery.id))]


def test_pieces_become_a_batch_of_the_researcher_who_sent_them(
    desk: TestClient, batch: bytes, worker: Worker, database: Database, settings: Settings
) -> None:
    told = announce(desk, batch)
    token, half = told["delivery"], len(batch) // 2
    assert told["received_bytes"] == 0
    assert told["piece_bytes"] == PIECE_BYTES
    first = put(desk, token, 0, batch[:half], **sent(batch[:half])).json()
    assert (first["state"], first["received_bytes"]) == ("receiving", half)
    assert put(desk, token, half, batch[half:]).json()["state"] == "waiting"
    page = desk.get(told["url"])
    assert "waits for its turn" in page.text
    assert 'hx-trigger="every 1s"' in page.text
    worker.work_off()
    assert desk.get(told["url"]).headers["location"] == "/batches/1"
    assert desk.get(told["url"], headers={"hx-request": "true"}).headers["hx-redirect"]
    with database.reading() as session:
        brought = session.scalars(select(Batch)).one()
        owner = session.get_one(Researcher, brought.researcher_id)
        assert owner.email == EMAIL
    assert [path.name for path in settings.deliveries.iterdir()] == []


def test_only_the_next_piece_is_taken_and_the_sender_is_told_what_is_here(
    desk: TestClient, batch: bytes, worker: Worker
) -> None:
    token = announce(desk, batch)["delivery"]
    assert put(desk, token, 0, batch[:100]).status_code == 200
    for offset in (0, 99, 101, 200):
        refused = put(desk, token, offset, batch[offset : offset + 50])
        assert refused.status_code == 409
        assert refused.json()["message"] == f"The next byte is 100, not {offset}."
    here = desk.get(f"/deliveries/{token}/bytes").json()
    assert here["received_bytes"] == 100
    assert here["digests"] == [hashlib.sha256(batch[:100]).hexdigest()]
    assert put(desk, token, 100, batch[100:]).status_code == 200
    worker.work_off()
    assert desk.get(f"/deliveries/{token}").status_code == 303


def test_a_piece_that_is_too_long_or_was_damaged_is_refused(desk: TestClient, batch: bytes) -> None:
    token = announce(desk, batch)["delivery"]
    damaged = put(desk, token, 0, b"x" + batch[1:50], **sent(batch[:50]))
    assert (damaged.status_code, "damaged on its way" in damaged.text) == (422, True)
    assert put(desk, token, 0, batch + b"x").status_code == 413
    assert put(desk, token, -1, b"").status_code == 422
    assert desk.get(f"/deliveries/{token}/bytes").json()["received_bytes"] == 0
    large = {"content-length": str(PIECE_BYTES + 1)}
    assert desk.put(f"/deliveries/{token}/bytes", content=b"", headers=large).status_code == 413


def test_the_same_file_announced_again_goes_on_and_another_begins(
    desk: TestClient, batch: bytes, database: Database
) -> None:
    token = announce(desk, batch)["delivery"]
    put(desk, token, 0, batch[:64])
    again = announce(desk, batch)
    assert (again["delivery"], again["received_bytes"]) == (token, 64)
    assert announce(desk, batch, file_name="other.zip")["delivery"] != token
    assert announce(desk, batch + b"x")["delivery"] != token
    page = desk.get("/batches").text
    assert page.count(f"/deliveries/{token}") == 1
    assert "MiB have arrived" in page
    assert count(database, Delivery) == 3


def test_what_a_crash_left_behind_the_last_piece_is_written_over(
    desk: TestClient, batch: bytes, worker: Worker, settings: Settings, database: Database
) -> None:
    token = announce(desk, batch)["delivery"]
    put(desk, token, 0, batch[:64])
    with DeliveryFolder(settings.deliveries).content(token).open("ab") as file:
        file.write(b"written, but never told to the database" * 1000)
    put(desk, token, 64, batch[64:])
    worker.work_off()
    assert count(database) == 1


def test_a_delivery_is_of_its_researcher_alone(
    desk: TestClient, batch: bytes, office: Office, employ: Callable[[str], str]
) -> None:
    token = announce(desk, batch)["delivery"]
    other = office(employ("eve@example.org"))
    assert other.get(f"/deliveries/{token}").status_code == 404
    assert other.get(f"/deliveries/{token}/bytes").status_code == 404
    assert put(other, token, 0, batch).status_code == 404
    assert other.post(f"/deliveries/{token}/discard").status_code == 404
    assert token not in other.get("/batches").text
    assert announce(other, batch)["delivery"] != token


def test_a_delivery_can_be_discarded_until_it_is_imported(
    desk: TestClient, batch: bytes, worker: Worker, settings: Settings, database: Database
) -> None:
    token = announce(desk, batch)["delivery"]
    put(desk, token, 0, batch[:64])
    assert desk.post(f"/deliveries/{token}/discard").headers["location"] == "/batches"
    assert desk.get(f"/deliveries/{token}").status_code == 404
    assert list(settings.deliveries.iterdir()) == []
    token = announce(desk, batch)["delivery"]
    put(desk, token, 0, batch)
    assert desk.post(f"/deliveries/{token}/discard").status_code == 409
    worker.work_off()
    assert desk.post(f"/deliveries/{token}/discard").status_code == 409
    assert count(database) == 1


def test_what_was_left_alone_for_a_week_is_forgotten(
    desk: TestClient, batch: bytes, settings: Settings, database: Database
) -> None:
    old = announce(desk, batch)["delivery"]
    with database.writing() as session:
        session.scalars(select(Delivery)).one().changed_at = now() - timedelta(days=8)
    new = announce(desk, batch)["delivery"]
    assert old != new
    assert [path.name for path in settings.deliveries.iterdir()] == [new]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "letters"}, "check what is delivered"),
        ({"total_bytes": "0"}, "The file is empty"),
        ({"total_bytes": str(2**40)}, "larger than the limit of 2048 MiB"),
        ({"kind": "folders", "attack": "a b", "norm": "linf"}, "The attack is missing"),
        ({"file_name": "a\x00b"}, "Please check: file_name"),
    ],
)
def test_what_is_announced_wrongly_is_told_at_once(
    change: dict[str, str], words: str, desk: TestClient, database: Database
) -> None:
    form = {"file_name": "b.zip", "kind": "batch", "total_bytes": "9", **change}
    refused = desk.post("/deliveries", data=form, headers={"accept": "application/json"})
    assert refused.status_code in {413, 422}
    assert words in refused.text
    assert count(database, Delivery) == 0


def test_two_zips_in_a_plain_form_are_two_folders(
    desk: TestClient, make_batch: Make, tmp_path: Path, worker: Worker, database: Database
) -> None:
    made = make_batch(tmp_path / "made", cases=2, size=16)
    manifest = json.loads((made / "batch.json").read_text(encoding="utf-8"))
    files = {}
    for side in ("original", "perturbed"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for case in manifest["cases"]:
                image = case["original"] if side == "original" else case["perturbed"][0]
                archive.write(made / image["file"], f"{case['id']}.png")
        files[side] = (f"{side}s.zip", buffer.getvalue(), "application/zip")
    said = {"kind": "folders", "name": "Two zips", "criterion": "Five cells.", "attack": "fgsm"}
    half = desk.post("/batches", data=said, files={"original": files["original"]})
    assert half.status_code == 422
    assert "Choose both zips" in half.text
    assert 'value="Two zips"' in half.text
    wrong = desk.post("/batches", data={**said, "norm": "l2"}, files=files)
    assert "The norm l2 needs an epsilon" in wrong.text
    done = desk.post("/batches", data=said, files=files)
    assert done.status_code == 303
    worker.work_off()
    page = desk.get(desk.get(done.headers["location"]).headers["location"])
    assert "Two zips" in page.text
    assert count(database) == 1


# The worker


def wait(desk: TestClient, content: bytes) -> str:
    """A delivery that waits for its import."""
    token: str = announce(desk, content)["delivery"]
    assert put(desk, token, 0, content).json()["state"] == "waiting"
    return token


def test_what_a_killed_server_left_in_the_middle_starts_anew_and_leaves_no_image(
    desk: TestClient, batch: bytes, worker: Worker, database: Database, store: ImageStore
) -> None:
    token = wait(desk, batch)
    assert worker.claim() is not None
    store.new_folder(token)
    (store.root / token / "half.png").write_bytes(b"half an image")
    assert state_of(database) == ["running"]
    worker.work_off()
    assert state_of(database) == ["done"]
    with database.reading() as session:
        named = set(session.scalars(select(Stimulus.file)))
    assert {path.relative_to(store.root).as_posix() for path in store.root.rglob("*.png")} == named
    worker.work_off()
    assert count(database) == 1


def test_the_batch_and_the_end_of_its_delivery_are_in_one_transaction(
    desk: TestClient,
    batch: bytes,
    worker: Worker,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait(desk, batch)

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            worker.work_off()
    assert (state_of(database), count(database)) == (["running"], 0)
    worker.work_off()
    assert (state_of(database), count(database)) == (["done"], 1)


def test_a_server_that_stops_leaves_the_import_for_the_next(
    desk: TestClient,
    batch: bytes,
    worker: Worker,
    database: Database,
    store: ImageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0)
    wait(desk, batch)
    worker.stopping.set()
    with pytest.raises(StoppedError):
        worker.work_off()
    assert (state_of(database), count(database)) == (["running"], 0)
    assert list(store.root.glob("*")) == []
    worker.stopping.clear()
    worker.work_off()
    assert state_of(database) == ["done"]


def test_the_running_server_imports_by_itself(
    settings: Settings, batch: bytes, employ: Callable[[str], str], sign_in: Callable[..., None]
) -> None:
    employ(EMAIL)
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as desk:
        desk.headers["accept"] = "text/html"
        sign_in(desk)
        token = wait(desk, batch)
        for _ in range(200):
            if desk.get(f"/deliveries/{token}").status_code == 303:
                break
            threading.Event().wait(0.05)
        assert desk.get(f"/deliveries/{token}").headers["location"] == "/batches/1"
    assert not app.state.worker.thread.is_alive()


def test_a_batch_that_is_wrong_keeps_no_other_waiting(
    desk: TestClient,
    batch: bytes,
    worker: Worker,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = wait(desk, b"no zip")
    wait(desk, batch)
    wait(desk, batch)
    calls: list[Any] = []

    def fail_third(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise RuntimeError("a mistake of ours")
        return check_batch(*args)

    monkeypatch.setattr(working, "check_batch", fail_third)
    wait(desk, batch)
    worker.work_off()
    assert state_of(database) == ["failed", "done", "failed", "failed"]
    with database.reading() as session:
        told = [row.problems for row in session.scalars(select(Delivery).order_by(Delivery.id))]
    assert "is not a zip that can be read" in told[0][0]
    assert "imported before, as number 1" in told[2][0]
    assert "went wrong on our side" in told[3][0]
    assert "a mistake of ours" in capsys.readouterr().err
    page = desk.get(f"/deliveries/{bad}").text
    assert "Nothing was imported: one problem." in page
    assert "hx-get" not in page


def test_progress_is_told_in_short_transactions(
    desk: TestClient, batch: bytes, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0)
    token = wait(desk, batch)
    told = []
    tell = Worker.tell

    def note(self: Worker, task: Any, done: int, total: int) -> None:
        tell(self, task, done, total)
        told.append((done, total))
        assert "the images:" in desk.get(f"/deliveries/{token}").text

    monkeypatch.setattr(Worker, "tell", note)
    worker.work_off()
    assert told == [(done, 12) for done in range(1, 13)]


def test_one_worker_at_most_works_in_a_folder(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "worker.lock"
    with alone(lock) as first, alone(lock) as second:
        assert (first, second) == (True, False)
    with alone(lock) as third:
        assert third


def test_old_files_of_deliveries_that_ended_are_removed(
    desk: TestClient, batch: bytes, worker: Worker, settings: Settings
) -> None:
    begun = announce(desk, batch)["delivery"]
    for name in ("over", "young"):
        (settings.deliveries / name).mkdir()
    for name in ("over", begun):
        os.utime(settings.deliveries / name, (0, 0))
    worker.tidy()
    assert {path.name for path in settings.deliveries.iterdir()} == {begun, "young"}


# The HTTP API


@pytest.fixture
def token(desk: TestClient, database: Database) -> str:  # noqa: ARG001 (the researcher)
    with database.writing() as session:
        session.add(
            ApiToken(
                token_digest=digest("a personal token"),
                researcher_id=session.scalars(select(Researcher.id)).one(),
                name="script",
                created_at=now(),
            )
        )
    return "a personal token"


@pytest.fixture
def program(browser: Callable[[], TestClient], token: str) -> TestClient:
    made = browser()
    made.headers.update({"accept": "*/*", "authorization": f"Bearer {token}"})
    return made


def test_a_program_brings_a_batch_and_asks_how_far_it_is(
    program: TestClient, batch: bytes, worker: Worker, desk: TestClient, database: Database
) -> None:
    taken = program.post("/api/v1/batches?name=Night", content=batch, headers=sent(batch))
    assert taken.status_code == 202
    url = taken.json()["url"]
    assert program.get(url).json() == {
        "delivery": taken.json()["delivery"],
        "state": "waiting",
        "done": 0,
        "total": 0,
        "problems": [],
        "batch": None,
    }
    assert "Night" in desk.get("/batches").text
    worker.work_off()
    assert (program.get(url).json()["state"], program.get(url).json()["batch"]) == ("done", 1)
    assert desk.get(taken.json()["page"]).headers["location"] == "/batches/1"
    with database.reading() as session:
        assert session.scalars(select(ApiToken.last_used_at)).one() is not None


def test_a_program_is_told_every_problem(
    program: TestClient, make_batch: Make, tmp_path: Path, worker: Worker
) -> None:
    folder = make_batch(tmp_path / "wrong", size=16)
    for image in sorted(folder.rglob("*.png"))[:2]:
        image.unlink()
    url = program.post("/api/v1/batches", content=zipped(folder)).json()["url"]
    worker.work_off()
    told = program.get(url).json()
    assert (told["state"], len(told["problems"])) == ("failed", 2)


def test_what_is_empty_or_damaged_is_refused_and_not_kept(
    program: TestClient, batch: bytes, settings: Settings, database: Database
) -> None:
    assert program.post("/api/v1/batches", content=b"").status_code == 422
    assert program.post("/api/v1/batches", content=batch, headers=sent(b"x")).status_code == 422
    assert list(settings.deliveries.iterdir()) == []
    assert count(database, Delivery) == 0


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic a", "a personal token"])
def test_without_a_token_nothing_is_read(
    header: str, program: TestClient, batch: bytes, settings: Settings
) -> None:
    program.headers["authorization"] = header
    for answer in (
        program.post("/api/v1/batches", content=batch),
        program.get(f"/api/v1/deliveries/{'0' * 32}"),
    ):
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["message"]
    assert not settings.deliveries.exists()


def test_a_revoked_token_and_a_closed_account_open_nothing(token: str, database: Database) -> None:
    with database.writing() as session:
        found = researcher_of_token(session, token)
        assert found is not None
        found.deactivated_at = now()
        assert researcher_of_token(session, token) is None
        found.deactivated_at = None
        session.scalars(select(ApiToken)).one().revoked_at = now()
        assert researcher_of_token(session, token) is None


def test_the_api_is_described_to_researchers_and_to_nobody_else(
    desk: TestClient, browser: Callable[[], TestClient], ready: Callable[..., Any]
) -> None:
    document = desk.get("/api/v1/openapi.json").json()
    assert sorted(document["paths"]) == ["/api/v1/batches", "/api/v1/deliveries/{token}"]
    assert document["paths"]["/api/v1/batches"]["post"]["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "POST /api/v1/batches" in desk.get("/api/v1").text
    reader = browser()
    reader.get(ready(email="bob@example.org").links[0])
    for visitor in (browser(), reader):
        unknown = visitor.get("/api/v1/nothing")
        for path in ("/api/v1/openapi.json", "/api/v1"):
            answer = visitor.get(path)
            assert (answer.status_code, answer.text) == (404, unknown.text)


def test_batches_brought_by_command_and_by_browser_are_the_same(
    desk: TestClient,
    make_batch: Make,
    tmp_path: Path,
    worker: Worker,
    database: Database,
    store: ImageStore,
) -> None:
    folder = make_batch(tmp_path / "same", cases=2, size=16)
    wait(desk, zipped(folder))
    worker.work_off()
    other = make_batch(tmp_path / "other", cases=2, size=16, name="Other")
    import_batch(other, database, store, now())
    with database.reading() as session:
        first, second = session.scalars(select(Batch).order_by(Batch.id))
        assert first.scan == second.scan
        assert [len(case.stimuli) for case in first.cases] == [2, 2]
        assert session.scalars(select(Delivery.kind)).one() is DeliveryKind.BATCH
        assert session.scalars(select(Delivery.state)).one() is DeliveryState.DONE


def test_all_deliveries_are_listed_page_by_page(desk: TestClient, database: Database) -> None:
    assert "Nothing was delivered yet" in desk.get("/deliveries").text
    for number in range(52):
        announce(desk, b"12345", file_name=f"file-{number:02}.zip")
    newest = desk.get("/deliveries").text
    assert "file-51.zip" in newest
    assert "file-01.zip" not in newest
    assert "file-01.zip" in desk.get("/deliveries", params={"page": 2}).text
    assert "file-01.zip" in desk.get("/deliveries", params={"sort": "name"}).text
    batches = desk.get("/batches").text
    assert batches.count('<th scope="row">') == 5
    assert "52 of them without a batch" in batches
    assert count(database, Delivery) == 52
