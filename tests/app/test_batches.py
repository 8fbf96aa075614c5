"""A batch is imported whole or not at all, by the service and by the upload page."""

import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.batches.service import find_batch_named, import_batch
from app.errors import Conflict, Invalid, NotFound
from app.storage.images import ImageStore
from app.storage.models import Batch, Case, Condition, Stimulus
from app.storage.session import Database
from app.web.identity import now

Office = Callable[..., TestClient]
Make = Callable[..., Path]


@pytest.fixture
def desk(office: Office, employ: Callable[[str], str]) -> TestClient:
    return office(employ("ada@example.org"))


@pytest.fixture
def batch(make_batch: Make, tmp_path: Path) -> Path:
    return make_batch(tmp_path / "delivered", cases=3, conditions=2, size=16)


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return buffer.getvalue()


def upload(desk: TestClient, content: bytes) -> Any:
    """What the delivery's page answers when the import has ended."""
    sent = desk.post("/batches", files={"file": ("batch.zip", content, "application/zip")})
    assert sent.status_code == 303, sent.text
    desk.app.state.worker.work_off()  # type: ignore[attr-defined]
    return desk.get(sent.headers["location"])


def rows(database: Database) -> list[int]:
    with database.reading() as session:
        tables = (Batch, Condition, Case, Stimulus)
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def files(store: ImageStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image)


def check_pixels(batch: Path, database: Database, store: ImageStore) -> None:
    """Every stored image shows what its delivered file shows."""
    manifest = json.loads((batch / "batch.json").read_text(encoding="utf-8"))
    delivered = {
        image["sha256"]: batch / image["file"]
        for case in manifest["cases"]
        for image in (case["original"], *case["perturbed"])
    }
    with database.reading() as session:
        stored = session.scalars(select(Stimulus)).all()
    assert {row.delivered_sha256 for row in stored} == set(delivered)
    for row in stored:
        png = store.read(row.file, row.sha256)
        assert len(png) == row.stored_bytes
        assert (pixels(png) == pixels(delivered[row.delivered_sha256].read_bytes())).all()


def test_an_imported_batch_has_every_case_condition_and_pixel(
    batch: Path, database: Database, store: ImageStore
) -> None:
    number = import_batch(batch, database, store, now())
    assert rows(database) == [1, 2, 3, 9]
    assert len(files(store)) == 9
    check_pixels(batch, database, store)
    with database.reading() as session:
        found = session.get_one(Batch, number)
        assert [case.truth for case in found.cases] == [1, 0, 1]
        perturbed = [row for case in found.cases for row in case.stimuli if row.condition]
        assert {(row.condition.name, row.linf) for row in perturbed if row.condition} == {
            ("linf-2", 2),
            ("linf-4", 4),
        }


def test_an_uploaded_zip_is_imported_and_shown(
    desk: TestClient, batch: Path, database: Database, store: ImageStore
) -> None:
    done = upload(desk, zipped(batch))
    assert done.status_code == 303
    check_pixels(batch, database, store)
    page = desk.get(done.headers["location"])
    assert page.status_code == 200
    for words in ("A small batch", "c01", "Condition linf-4", "6 pairs", "AUC 0.980"):
        assert words in page.text
    assert "A small batch" in desk.get("/batches").text
    assert not list(store.root.parent.glob("*.zip"))


def test_the_images_of_a_batch_page_are_those_of_the_batch(
    desk: TestClient, batch: Path, database: Database
) -> None:
    page = upload(desk, zipped(batch)).headers["location"]
    with database.reading() as session:
        stimuli = session.scalars(select(Stimulus)).all()
    html = desk.get(page).text
    for row in stimuli:
        url = f"{page}/images/{row.id}"
        assert f'src="{url}"' in html
        image = desk.get(url)
        assert image.headers["content-type"] == "image/png"
        assert image.headers["cache-control"] == "no-store"
        assert pixels(image.content).shape == (16, 16, 3)


def test_stored_names_tell_nothing(batch: Path, database: Database, store: ImageStore) -> None:
    import_batch(batch, database, store, now())
    delivered = {path.name for path in batch.rglob("*.png")}
    names = {path.name for path in files(store)}
    assert not names & delivered
    with database.reading() as session:
        in_order = session.scalars(select(Stimulus.file).order_by(Stimulus.id)).all()
    assert in_order != sorted(in_order)


def test_a_batch_is_imported_once(
    desk: TestClient, batch: Path, database: Database, store: ImageStore
) -> None:
    assert upload(desk, zipped(batch)).status_code == 303
    again = upload(desk, zipped(batch))
    assert again.status_code == 200
    assert "imported before, as number 1 (&#39;A small batch&#39;)" in again.text
    with pytest.raises(Conflict, match="imported before"):
        import_batch(batch, database, store, now())
    assert rows(database) == [1, 2, 3, 9]
    assert len(files(store)) == 9


def test_of_two_imports_at_once_one_is_refused(
    batch: Path, database: Database, store: ImageStore
) -> None:
    barrier = threading.Barrier(2)

    def run(_number: int) -> str:
        barrier.wait(10)
        try:
            import_batch(batch, database, store, now())
        except Conflict as refusal:
            return str(refusal)
        return "imported"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(run, range(2)))
    assert said[0].startswith("This batch was imported")
    assert said[1] == "imported"
    assert rows(database) == [1, 2, 3, 9]
    assert len(files(store)) == 9


def test_every_problem_is_listed_and_nothing_is_kept(
    desk: TestClient, batch: Path, database: Database, store: ImageStore
) -> None:
    manifest = json.loads((batch / "batch.json").read_text(encoding="utf-8"))
    [first, second, third] = manifest["cases"]
    (batch / first["original"]["file"]).write_bytes(b"no image")
    (batch / second["perturbed"][0]["file"]).unlink()
    third["perturbed"][1]["measured"]["linf"] = 3
    (batch / "batch.json").write_text(json.dumps(manifest), encoding="utf-8")
    (batch / "images" / "<b>stranger.txt").write_text("?", encoding="utf-8")
    refused = upload(desk, zipped(batch))
    assert "Nothing was imported: 4 problems." in refused.text
    assert refused.text.count('<tr data-kind="error">') == 4
    for words in (
        "case c01, original",
        "case c02, condition linf-2",
        "is missing",
        "linf 4, batch.json says 3",
        "&lt;b&gt;stranger.txt is not named in batch.json",
    ):
        assert words in refused.text
    assert rows(database) == [0, 0, 0, 0]
    assert files(store) == []


def test_what_is_no_batch_is_refused(desk: TestClient, store: ImageStore) -> None:
    for content in [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18]:
        refused = upload(desk, content)
        assert "Nothing was imported" in refused.text
        assert files(store) == []


def test_without_a_file_nothing_is_uploaded(desk: TestClient) -> None:
    refused = desk.post("/batches", data={"file": "text"})
    assert refused.status_code == 422
    assert "Choose the file that is to be delivered." in refused.text


class DiskIsFullError(OSError):
    pass


@pytest.mark.parametrize("good", [0, 1, 5, 8])
def test_an_import_that_fails_in_the_middle_leaves_nothing(
    good: int,
    batch: Path,
    database: Database,
    store: ImageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = store.write
    written: list[str] = []

    def fail_later(folder: str, image: NDArray[np.uint8]) -> Any:
        if len(written) == good:
            raise DiskIsFullError
        written.append(folder)
        return write(folder, image)

    monkeypatch.setattr(store, "write", fail_later)
    with pytest.raises(DiskIsFullError):
        import_batch(batch, database, store, now())
    assert rows(database) == [0, 0, 0, 0]
    assert list(store.root.glob("*")) == []
    monkeypatch.undo()
    import_batch(batch, database, store, now())
    check_pixels(batch, database, store)


@pytest.mark.parametrize("failing", ["flush", "commit"])
def test_an_import_that_the_database_refuses_leaves_nothing(
    failing: str,
    batch: Path,
    database: Database,
    store: ImageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object) -> None:
        raise DiskIsFullError

    monkeypatch.setattr(Session, failing, fail)
    if failing == "commit":
        monkeypatch.setattr("sqlalchemy.orm.session.SessionTransaction.commit", fail)
    with pytest.raises(DiskIsFullError):
        import_batch(batch, database, store, now())
    monkeypatch.undo()
    assert rows(database) == [0, 0, 0, 0]
    assert list(store.root.glob("*")) == []


def test_a_batch_that_changes_meanwhile_is_refused(
    batch: Path,
    database: Database,
    store: ImageStore,
    monkeypatch: pytest.MonkeyPatch,
    make_batch: Make,
    tmp_path: Path,
) -> None:
    other = make_batch(tmp_path / "other", cases=3, conditions=2, size=16, seed=9)
    image, another = max(batch.rglob("*.png")), next(iter(other.rglob("*.png")))
    new_folder = store.new_folder

    def exchange(name: str = "") -> str:
        image.write_bytes(another.read_bytes())
        return new_folder(name)

    monkeypatch.setattr(store, "new_folder", exchange)
    with pytest.raises(Conflict, match="changed while it was imported"):
        import_batch(batch, database, store, now())
    assert rows(database) == [0, 0, 0, 0]
    assert files(store) == []


def test_a_damaged_stored_image_is_an_error_and_never_other_pixels(
    desk: TestClient, batch: Path, store: ImageStore, database: Database
) -> None:
    page = upload(desk, zipped(batch)).headers["location"]
    [first, second, *_] = files(store)
    first.write_bytes(second.read_bytes())
    with database.reading() as session:
        name = first.relative_to(store.root).as_posix()
        damaged = session.scalars(select(Stimulus.id).where(Stimulus.file == name)).one()
    image = desk.get(f"{page}/images/{damaged}")
    assert image.status_code == 500
    assert image.headers["content-type"].startswith("text/html")


def test_an_image_is_on_the_disk_before_its_row(
    batch: Path, database: Database, store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def note(file: int) -> None:
        fsync(file)
        synced.append(file)

    monkeypatch.setattr(os, "fsync", note)
    import_batch(batch, database, store, now())
    assert len(synced) >= 9


def test_a_batch_is_found_by_its_number_or_its_name(
    batch: Path, database: Database, store: ImageStore, make_batch: Make, tmp_path: Path
) -> None:
    number = import_batch(batch, database, store, now())
    with database.reading() as session:
        assert find_batch_named(session, "A small batch").id == number
        assert find_batch_named(session, str(number)).id == number
        with pytest.raises(NotFound, match="There is no batch 'B'"):
            find_batch_named(session, "B")
    import_batch(make_batch(tmp_path / "same", cases=2, size=8, seed=5), database, store, now())
    with database.reading() as session, pytest.raises(Conflict, match="by number: 1, 2"):
        find_batch_named(session, "A small batch")


def test_a_batch_that_is_wrong_is_refused_by_the_service_too(
    batch: Path, database: Database, store: ImageStore
) -> None:
    next(batch.rglob("*.png")).unlink()
    with pytest.raises(Invalid) as refusal:
        import_batch(batch, database, store, now())
    assert len(refusal.value.problems) == 1
    assert files(store) == []


def test_a_large_batch_is_shown_page_by_page_in_the_order_that_is_asked_for(
    desk: TestClient, make_batch: Make, tmp_path: Path
) -> None:
    page = upload(
        desk, zipped(make_batch(tmp_path / "large", cases=14, conditions=2, size=12))
    ).headers["location"]
    first, second = (desk.get(page, params={"page": number}).text for number in (1, 2))
    assert "28 pairs" in first
    assert (first.count("Perturbed version of"), second.count("Perturbed version of")) == (25, 3)
    assert f'href="{page}?sort=case&amp;page=2"' in first
    assert desk.get(page, params={"page": 99}).text == second
    by_linf = desk.get(page, params={"sort": "linf"}).text
    budgets = re.findall(r'<small class="muted">linf-(\d)', by_linf)
    assert budgets == ["2"] * 14 + ["4"] * 11
    for sort in ("l0", "-l1", "l2", "-ssim"):
        assert desk.get(page, params={"sort": sort}).status_code == 200
    assert desk.get(page, params={"sort": "arm"}).text == first


def test_rows_say_what_to_do_about_a_lost_image_and_a_failed_attack(
    desk: TestClient, batch: Path, store: ImageStore, database: Database
) -> None:
    page = upload(desk, zipped(batch)).headers["location"]
    assert "data-kind" not in desk.get(page).text.partition("Table of pairs")[2]
    with database.writing() as session:
        lost, failed, *_ = session.scalars(
            select(Stimulus).where(Stimulus.condition_id.is_not(None)).order_by(Stimulus.id)
        )
        (store.root / lost.file).unlink()
        failed.success = False
    pairs = desk.get(page).text.partition("Table of pairs")[2]
    assert pairs.count('data-kind="error"') == 2
    assert "restore the folder of images from the backup" in pairs
    assert pairs.count('data-kind="warning"') == 2
    assert "The attack did not succeed: no study shows this pair." in pairs


def test_the_difference_of_a_pair_is_drawn_around_a_middle_grey(
    desk: TestClient, batch: Path, database: Database
) -> None:
    page = upload(desk, zipped(batch)).headers["location"]
    with database.reading() as session:
        perturbed = session.scalars(
            select(Stimulus.id).where(Stimulus.linf == 2).order_by(Stimulus.id)
        ).first()
    image = desk.get(f"{page}/differences/{perturbed}")
    assert image.headers["content-type"] == "image/png"
    assert set(np.unique(pixels(image.content))) == {108, 148}
    assert desk.get(f"{page}/differences/999").status_code == 404
