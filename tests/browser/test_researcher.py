"""The way of a researcher in real Chromium: two folders, a reader's link, and the results."""

import csv
import hashlib
import io
import json
import re
import signal
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.blinding.plain_reader import PlainReader
from tests.browser.desk import Desk, is_sound
from tests.browser.reader import Watch
from tests.browser.server import Server

Make = Callable[..., Path]
Computer = Callable[..., BrowserContext]
MOST_PRESSES = 12
CASES = 6
SEALED = (
    *("results", "report", "report.pdf", "analysis.json", "presentations.csv", "export.zip"),
    *("charts/excess.svg", "charts/excess.png", "charts/excess.csv"),
)
BY_ARM = re.compile(r"\b\d+ of \d+ (original|perturbed)|TP|true positive", re.IGNORECASE)


@pytest.fixture
def own_server(tmp_path: Path, watch: Watch) -> Iterator[Server]:
    """With one researcher, who has nothing yet; no page asks any other."""
    made = Server.new(tmp_path / "home")
    watch.address = made.url
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture
def desk(computer: Computer, own_server: Server) -> Desk:
    made = Desk.at(computer())
    made.sign_in(own_server)
    return made


@pytest.fixture
def folders(make_batch: Make, tmp_path: Path) -> tuple[Path, Path]:
    """Originals and perturbed images of equal names, as another tool leaves them."""
    made = make_batch(tmp_path / "made", cases=CASES, size=64, seed=7, truths=[1] * CASES)
    manifest = json.loads((made / "batch.json").read_text(encoding="utf-8"))
    sides = tmp_path / "clean", tmp_path / "attacked"
    for side in sides:
        side.mkdir()
    for case in manifest["cases"]:
        for side, image in zip(sides, (case["original"], case["perturbed"][0]), strict=True):
            (side / f"{case['id']}.png").write_bytes((made / image["file"]).read_bytes())
    return sides


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def deliver_folders(desk: Desk, folders: tuple[Path, Path]) -> None:
    desk.files("Originals, as a folder", folders[0])
    desk.files("Perturbed images, as a folder", folders[1])
    desk.type("Name of the batch", "From two folders")
    desk.choose("Truth", "All")
    desk.type("Attack", "fgsm")
    desk.type("Epsilon", "2")
    desk.press("Deliver")


def to_a_live_link(
    desk: Desk, folders: tuple[Path, Path], look: Callable[[Page], None] = lambda _: None
) -> str:
    """From signing in on; `look` is called on every page of the way."""
    page = desk.page
    look(page)
    desk.follow("Upload a batch")
    look(page)
    desk.follow("Two folders of images")
    look(page)
    deliver_folders(desk, folders)
    desk.arrive_at_batch("From two folders")
    look(page)
    desk.follow("Design a study")
    expect(page.locator("#reckoned")).to_contain_text(f"With 0 flips in {CASES}")
    look(page)
    desk.type("Title for researchers", "FGSM, 2 grey levels")
    desk.type("Title for readers", "Images of breast tissue")
    desk.press("Create the study")
    expect(page.get_by_role("heading", name="FGSM, 2 grey levels")).to_be_visible()
    look(page)
    desk.press("Lock and start")
    expect(page.get_by_text(re.compile("^[0-9a-f]{64}$"))).to_be_visible()
    look(page)
    desk.press("Invite readers")
    expect(page.get_by_role("heading", name="Invitation for R01")).to_be_visible()
    look(page)
    return page.locator("code", has_text="/r/").first.inner_text()


def test_two_folders_become_a_live_link_in_twelve_presses(
    desk: Desk, folders: tuple[Path, Path], computer: Computer
) -> None:
    """By keyboard; signing in is one of them."""
    link = to_a_live_link(desk, folders)
    assert 8 <= desk.presses <= MOST_PRESSES
    pathologist = computer().new_page()
    pathologist.goto(link)
    expect(pathologist.get_by_role("heading", name="Images of breast tissue")).to_be_visible()
    expect(pathologist.get_by_role("button", name="I agree and begin")).to_be_visible()


def test_every_page_to_the_link_is_sound(desk: Desk, folders: tuple[Path, Path]) -> None:
    to_a_live_link(desk, folders, is_sound)


def test_from_the_link_to_an_export_whose_digests_hold(
    desk: Desk, folders: tuple[Path, Path], own_server: Server
) -> None:
    link = to_a_live_link(desk, folders)
    study = f"{own_server.url}/studies/1"
    PlainReader(own_server.url, 1).read(link.rpartition("/")[2])
    page = desk.page
    nothing_is_told(page, study)
    page.goto(study)
    is_sound(page)
    desk.press("Lock the study")
    nothing_is_told(page, study)
    page.goto(study)
    is_sound(page)
    desk.type("Type the title of the study", "FGSM, 2 grey level")
    desk.press("Unblind")
    expect(page.get_by_role("alert")).to_contain_text("nothing was unblinded")
    nothing_is_told(page, study)
    page.goto(study)
    desk.type("Type the title of the study", "FGSM, 2 grey levels")
    desk.press("Unblind")
    expect(page.get_by_role("heading", name="Results", level=1)).to_be_visible()
    is_sound(page)
    with page.expect_download() as download:
        desk.follow("All files (zip)")
    files = checked(download.value.path())
    shown = csv.DictReader(io.StringIO(files["presentations.csv"].decode("utf-8-sig")))
    true_positives = Counter((row["set"], row["condition"]) for row in shown if row["label"] == "1")
    table = page.get_by_role("table").first
    for number in ("1", "2"):
        row = table.get_by_role("row").filter(has_text=f"Set {number}")
        cells = [re.sub(r"\s+", " ", each) for each in row.get_by_role("cell").all_inner_texts()]
        for cell, arm in zip(cells[1:], ("original", "perturbed"), strict=False):
            assert cell.startswith(f"{true_positives[number, arm]} of {CASES} ")


def nothing_is_told(page: Page, study: str) -> None:
    """No address gives a result by arm; what may be seen has no count of any."""
    for place in SEALED:
        answer = page.request.get(f"{study}/{place}")
        assert answer.status == 409, place
        assert "sealed" in answer.text()
        assert not BY_ARM.search(answer.text())
    for place in ("", "/protocol.json"):
        assert not re.search(
            r"\d+ of \d+ (original|perturbed)", page.request.get(study + place).text()
        )


def checked(path: Path) -> dict[str, bytes]:
    """What is in the export, when SHA256SUMS names all of it, rightly."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    lines = files.pop("SHA256SUMS").decode().splitlines()
    said = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
    assert said == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files


def repainted(path: Path, change: int) -> None:
    pixels = np.asarray(Image.open(path)).astype(int) + change
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def as_jpeg(path: Path) -> None:
    with Image.open(path) as image:
        image.save(path, "JPEG")


def as_grey(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("L").save(path)


def smaller(path: Path) -> None:
    with Image.open(path) as image:
        image.crop((0, 0, 32, 32)).save(path)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def same_as_original(path: Path) -> None:
    path.write_bytes((path.parent.parent / "clean" / path.name).read_bytes())


# Of one perturbed image each: what is wrong with it, and what its sentence must say.
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "c01": (as_jpeg, "perturbed/c01.png is not a PNG; save it as an 8-bit RGB PNG."),
    "c02": (as_grey, "is a PNG that is 8-bit grey, not 8-bit RGB; save it"),
    "c03": (smaller, "is 32 x 32 pixels, its original 64 x 64 pixels; make both the same size."),
    "c04": (cut_off, "perturbed/c04.png is truncated; save it as an 8-bit RGB PNG."),
    "c05": (same_as_original, "has the same pixels as its original; leave it out."),
    "c06": (lambda path: repainted(path, 9), "above the declared epsilon of 2; declare the"),
}


def test_a_broken_batch_shows_every_fault_and_imports_nothing(
    desk: Desk, folders: tuple[Path, Path], own_server: Server
) -> None:
    clean, attacked = folders
    for name, (break_it, _) in FAULTS.items():
        break_it(attacked / f"{name}.png")
    (clean / "alone.png").write_bytes((clean / "c01.png").read_bytes())
    (attacked / "stray.png").write_bytes((clean / "c02.png").read_bytes())
    said = [
        *(words for _, words in FAULTS.values()),
        "alone.png has no image of the same name in perturbed/; add that image or remove this one",
        "stray.png has no image of the same name in original/; add that image or remove this one",
    ]
    page = desk.page
    page.goto(f"{own_server.url}/batches/new?kind=folders")
    deliver_folders(desk, folders)
    heading = f"Nothing was imported: {len(said)} problems."
    expect(page.get_by_role("heading", name=heading)).to_be_visible(timeout=30_000)
    rows = page.get_by_role("table").get_by_role("row").all_inner_texts()
    assert len(rows) == len(said)
    for words in said:
        assert sum(words in row for row in rows) == 1, words
    assert all(re.search(r"; (save|make|leave|declare|add) ", row) for row in rows)
    is_sound(page)
    for table in ("batch", "stimulus", '"case"', "condition"):
        assert own_server.rows(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
    assert [*(own_server.home / "images").rglob("*.png")] == []


def test_without_scripts_forms_lead_from_a_zip_to_a_link(
    computer: Computer, own_server: Server, make_batch: Make, tmp_path: Path
) -> None:
    desk = Desk(computer(java_script_enabled=False).new_page())
    page = desk.page
    desk.sign_in(own_server)
    desk.follow("Upload a batch")
    desk.follow("Batch of plainsight-ml")
    path = zipped(make_batch(tmp_path / "plain", cases=4, size=32, name="Plain"))
    desk.files("Batch", path)
    desk.press("Deliver")
    for _ in range(100):
        if re.search(r"/batches/\d+$", page.url):
            break
        page.wait_for_timeout(100)
        page.get_by_role("link", name="Look again").press("Enter")
    desk.follow("Design a study")
    desk.type("Title for researchers", "Without scripts")
    desk.type("Title for readers", "The original tissue")
    desk.press("Create the study")
    expect(page.get_by_role("alert")).to_contain_text("The title for readers says 'original'")
    expect(page.get_by_label("Title for researchers")).to_have_value("Without scripts")
    page.get_by_label("Title for readers").fill("Images of tissue")
    desk.press("Create the study")
    desk.press("Lock and start")
    desk.press("Invite readers")
    link = page.locator("code", has_text="/r/").first.inner_text()
    page.goto(link)
    expect(page.get_by_role("heading", name="Images of tissue")).to_be_visible()
