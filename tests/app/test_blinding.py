"""Nothing that reaches a reader tells which case, which arm or which truth an image has."""

import dataclasses
import hashlib
import io
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import select

from app import ROOT
from app.reading import pages
from app.reading.domain import Choice
from app.reading.orientation import oriented
from app.reading.service import NONCE, Arrival, Undoable, Window
from app.storage.images import EMPTY_CHUNK, ImageStore, encode, pad
from app.storage.models import Presentation, Stimulus
from app.storage.session import Database
from app.vocabulary import PairTask, Part
from app.web.security import HEADERS
from app.web.templating import Message

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Pixels = NDArray[np.uint8]

IMAGE_HEADERS = {"content-type", "content-length", "cache-control"}
TOKEN = re.compile(r"[0-9a-f]{32}")
RANDOM = re.compile(r"\b([0-9a-f]{32}|[0-9a-f]{16})\b")
REVEALING = re.compile(
    r"perturb|original|adversar|attack|condition|truth|stimul|epsilon|linf|manipulat|duplicat|"
    r"\balter|\btwice|\bcase|\bbatch|\barm\b|\bset [12]\b|"
    r"verändert|veränder|angriff|gestört|störung|verfälsch|doppelt|zweimal|\bsatz [12]\b",
    re.IGNORECASE,
)
WHOLE = {
    "cases": 5,
    "at_most": 3,
    "practice": 2,
    "feedback": True,
    "masking": True,
    "truths": (1, 0, 1, 0, 1),
    "pair_task": PairTask.COMPARE,
}
"""A study with everything: two images for practice, six that are shown in two sets, pairs."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that a reader's browser got for one presentation."""

    token: str
    part: Part
    stimulus: int
    orientation: int
    headers: dict[str, str]
    png: bytes

    @property
    def pixels(self) -> Pixels:
        with Image.open(io.BytesIO(self.png)) as image:
            assert image.mode == "RGB"
            return np.array(image)

    def as_delivered(self) -> Pixels:
        [back] = [
            turned
            for turn in range(8)
            if (
                oriented(turned := oriented(self.pixels, turn), self.orientation) == self.pixels
            ).all()
        ]
        return back


@dataclasses.dataclass
class Tour:
    """A reader's way from the link to the receipt. `keep` hears of every answer, by its name."""

    reader: TestClient
    answer: Callable[..., Any]
    keep: Callable[[str, Any], None]

    def get(self, name: str, path: str) -> Any:
        response = self.reader.get(path)
        self.keep(name, response)
        return response

    def go_on(self) -> None:
        """From after the check of the screen to the receipt."""
        while (place := self.reader.get("/reading").headers["location"]) != "/reading/done":
            match place.rpartition("/")[2]:
                case "room":
                    self.read(self.get("room", place))
                case "questions":
                    self.get("questions", place)
                    self.reader.post(place, data={"saw_repeats": "unsure"})
                case "pairs":
                    self.get("pairs", place)
                    self.reader.post(place)
        self.get("done", "/reading/done")

    def read(self, room: Any) -> None:
        """Practice, reading or pairs, whatever the page is for."""
        [part] = re.findall(r'"part": "(\w+)"', room.text)
        arrived = self.reader.post("/reading/arrive")
        self.keep(f"arrived {part}", arrived)
        window = arrived.json()
        self.reader.headers["Plainsight-Visit"] = window["visit"]
        while window["tokens"]:
            token = window["tokens"][0]
            self.get(f"image {token}", f"/reading/images/{token}")
            if part == "pairs":
                self.get(f"image {token} right", f"/reading/images/{token}/right")
            given = self.answer(token, "same" if part == "pairs" else "tumour")
            answered = self.reader.post("/reading/responses", json=given)
            self.keep(f"answered {part}", answered)
            window = answered.json()


@pytest.fixture
def see_all(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., Any],
    database: Database,
) -> Callable[..., list[Seen]]:
    """`see_all(**design)` goes through a whole study and keeps every image that came."""

    def see(**design: Any) -> list[Seen]:
        reader = browser()
        begin(reader, ready(**design).links[0])
        came: dict[str, Any] = {}
        Tour(reader, answer, came.__setitem__).go_on()
        with database.reading() as session:
            shown = {each.token: each for each in session.scalars(select(Presentation))}
        seen = []
        for name, image in came.items():
            if not name.startswith("image "):
                continue
            assert image.status_code == 200
            token, *right = name.split()[1:]
            each = shown[token]
            stimulus = (each.beside_id if right else each.stimulus_id) or 0
            what = (token, each.part, stimulus, each.orientation)
            seen.append(Seen(*what, dict(image.headers), image.content))
        return seen

    return see


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length
    assert position == len(png)


@pytest.mark.parametrize(
    ("design", "images"),
    [({"cases": 3, "conditions": 2}, 18), (WHOLE, 2 + 12 + 12)],
    ids=["plain", "whole"],
)
def test_all_images_of_a_study_come_alike_but_for_their_bytes(
    design: dict[str, Any], images: int, see_all: Callable[..., list[Seen]]
) -> None:
    seen = see_all(**design)
    assert len(seen) == images
    first = seen[0].headers
    for each in seen:
        assert each.headers == first
        assert len(each.png) == int(first["content-length"])
    assert set(first) == IMAGE_HEADERS | {name.lower() for name in HEADERS}
    assert first["cache-control"] == "no-store, no-transform"
    assert first["content-type"] == "image/png"


def test_two_copies_of_an_image_have_the_same_pixels_and_other_bytes(
    see_all: Callable[..., list[Seen]],
) -> None:
    copies: dict[int, list[Seen]] = defaultdict(list)
    for each in see_all():
        copies[each.stimulus].append(each)
    for first, second in copies.values():
        assert (first.pixels == second.pixels).all()
        assert first.png != second.png
        assert first.token != second.token


def test_masked_copies_have_other_pixels_and_are_exact_when_turned_back(
    see_all: Callable[..., list[Seen]],
) -> None:
    seen = [each for each in see_all(**WHOLE) if each.part is Part.READING]
    for stimulus in {each.stimulus for each in seen}:
        first, second = (each for each in seen if each.stimulus == stimulus)
        assert first.orientation != second.orientation
        assert first.pixels.tobytes() != second.pixels.tobytes()
        turned_back = [each.as_delivered().tobytes() for each in (first, second)]
        assert turned_back[0] == turned_back[1]


def test_no_image_of_practice_is_read(see_all: Callable[..., list[Seen]]) -> None:
    seen = see_all(**WHOLE)
    practised = {each.as_delivered().tobytes() for each in seen if each.part is Part.PRACTICE}
    read = {each.as_delivered().tobytes() for each in seen if each.part is not Part.PRACTICE}
    assert len(practised) == 2
    assert not practised & read


def test_every_fetch_of_an_image_has_other_bytes(
    browser: Browser, ready: Ready, begin: Begin
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    token = reader.get("/reading/window").json()["tokens"][0]
    assert len({reader.get(f"/reading/images/{token}").content for _ in range(5)}) == 5


def test_an_image_holds_pixels_and_noise_and_nothing_else(
    see_all: Callable[..., list[Seen]],
) -> None:
    shapes = set()
    for each in see_all():
        kinds = [kind for kind, _ in chunks(each.png)]
        sizes = [(kind, len(body)) for kind, body in chunks(each.png)]
        shapes.add(tuple(sizes))
        assert kinds[:2] == [b"IHDR", b"paDd"]
        assert set(kinds[2:-1]) == {b"IDAT"}
        assert kinds[-1] == b"IEND"
        [noise] = [body for kind, body in chunks(each.png) if kind == b"paDd"]
        assert len(set(noise)) > NONCE / 3
    assert len(shapes) == 1


def test_a_reader_sees_exactly_the_delivered_pixels(
    see_all: Callable[..., list[Seen]], database: Database, tmp_path: Path
) -> None:
    delivered = {}
    seen = see_all()
    for file in tmp_path.glob("batch-*/images/*.png"):
        with Image.open(file) as image:
            delivered[hashlib.sha256(file.read_bytes()).hexdigest()] = np.array(image)
    with database.reading() as session:
        digests = {row.id: row.delivered_sha256 for row in session.scalars(select(Stimulus))}
    for each in seen:
        assert (each.pixels == delivered[digests[each.stimulus]]).all()
    assert len({each.pixels.tobytes() for each in seen}) == 8


def flat(size: int) -> Pixels:
    return np.full((size, size, 3), 200, np.uint8)


def noise(size: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


@pytest.mark.parametrize("size", [1, 16, 257])
def test_the_length_of_an_image_does_not_depend_on_what_it_shows(size: int) -> None:
    assert len(encode(flat(size))) == len(encode(noise(size)))


def test_images_of_other_sizes_are_padded_to_one_length() -> None:
    images = [encode(noise(size)) for size in (8, 24, 64)]
    length = max(map(len, images)) + EMPTY_CHUNK + NONCE
    assert {len(pad(image, length)) for image in images} == {length}
    with pytest.raises(ValueError, match="cannot be padded"):
        pad(images[-1], length - EMPTY_CHUNK - NONCE)


@pytest.mark.parametrize("damage", ["changed", "missing", "cut"])
def test_a_damaged_image_is_an_error_and_never_other_pixels(
    damage: str,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    store: ImageStore,
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    for file in store.root.glob("*/*.png"):
        png = bytearray(file.read_bytes())
        png[60] ^= 1
        file.write_bytes({"changed": bytes(png), "cut": bytes(png[:-1]), "missing": b""}[damage])
        if damage == "missing":
            file.unlink()
    token = reader.get("/reading/window").json()["tokens"][0]
    response = reader.get(f"/reading/images/{token}", headers={"accept": "*/*"})
    assert response.status_code == 500
    assert set(response.json()) == {"message"}
    assert ".png" not in response.text


def test_the_browser_is_told_tokens_and_numbers(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., Any],
    display_record: dict[str, Any],
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    arrived = reader.post("/reading/arrive")
    reader.headers["Plainsight-Visit"] = arrived.json()["visit"]
    first, second, *_ = arrived.json()["tokens"]
    told = [
        reader.get("/reading/window"),
        reader.post("/reading/responses", json=answer(first)),
        reader.post("/reading/undo", json={"token": first, "attempt": 0}),
        reader.post("/reading/responses", json=answer(first, attempt=1)),
        reader.post("/reading/problems", json={"token": second, "kind": "unclear"}),
        reader.post("/reading/display", json=display_record),
    ]
    names = ALLOWED_FIELDS[Window]
    assert list(arrived.json()) == [*names, "visit", "queue"]
    for response in [arrived, *told]:
        assert [name for name in response.json() if name in names] == names
        assert response.json()["feedback"] is None
        assert all(TOKEN.fullmatch(token) for token in response.json()["tokens"])
        assert response.headers["cache-control"] == "no-store"
        assert set(response.headers) == IMAGE_HEADERS | {name.lower() for name in HEADERS}
    assert all(list(response.json()) == names for response in told)


def test_the_right_answer_is_told_in_practice_and_nowhere_else(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any]
) -> None:
    reader = browser()
    begin(reader, ready(**WHOLE).links[0])
    told: dict[str, set[str | None]] = defaultdict(set)
    tour = Tour(
        reader,
        answer,
        lambda name, response: (
            told[name].add(response.json()["feedback"]) if name.startswith("answered") else None
        ),
    )
    tour.go_on()
    assert told.pop("answered practice") <= {"tumour", "non_tumour"}
    assert told == {"answered reading": {None}, "answered pairs": {None}}


ALLOWED_FIELDS: dict[Any, list[str]] = {
    Window: ["tokens", "attempts", "undoable", "done", "total", "feedback"],
    Arrival: ["tokens", "attempts", "undoable", "done", "total", "feedback", "visit", "queue"],
    Undoable: ["token", "attempt"],
    Choice: ["answer", "key", "label"],
    pages.StartPage: [
        *("title", "researcher", "minutes", "total", "question", "criterion", "instructions"),
        *("choices", "practice", "sittings", "washout_days", "undo", "confidence"),
        "consent_version",
    ],
    pages.WelcomePage: ["title", "done", "total"],
    pages.PhonePage: ["title", "link"],
    pages.CheckPage: ["title", "choices"],
    pages.RoomPage: [
        *("title", "part", "question", "criterion", "total", "choices", "confidence", "undo"),
        *("break_after_images", "break_after_minutes", "card"),
    ],
    pages.LaterPage: ["title", "number", "opens_on"],
    pages.QuestionsPage: ["title"],
    pages.PairsPage: ["title", "task", "total", "minutes", "choices"],
    pages.DonePage: ["title", "receipt"],
    Message: ["title", "message"],
}


@pytest.mark.parametrize("page", ALLOWED_FIELDS)
def test_a_page_for_readers_knows_no_more_than_is_allowed(page: Any) -> None:
    """Whoever adds a field here must first say in docs/blinding.md why it tells nothing."""
    assert [field.name for field in dataclasses.fields(page)] == ALLOWED_FIELDS[page]
    with pytest.raises(dataclasses.FrozenInstanceError):
        object.__new__(page).title = "another"


def test_no_page_for_readers_is_without_its_list() -> None:
    made = {
        each
        for each in vars(pages).values()
        if isinstance(each, type) and each.__module__ == pages.__name__
    }
    assert made <= set(ALLOWED_FIELDS)


def test_the_room_is_the_same_at_every_time_and_for_readers_with_the_same_keys(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    read: Callable[..., int],
    enter: Callable[..., Any],
) -> None:
    links = ready(readers=4).links
    readers = [browser() for _ in links]
    for reader, link in zip(readers, links, strict=True):
        begin(reader, link)
    rooms = [reader.get("/reading/room") for reader in readers]
    assert len({room.content for room in rooms}) == 2
    read(readers[0], at_most=7)
    enter(readers[0])
    assert readers[0].get("/reading/room").content == rooms[0].content
    assert len({str(sorted(set(room.headers) - {"content-length"})) for room in rooms}) == 1


@pytest.fixture
def bodies(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any]
) -> Callable[[str], dict[str, str]]:
    """`bodies(language)`: all that a reader can get to read, by where it came from."""

    def tour(language: str) -> dict[str, str]:
        made = ready(**WHOLE)
        got: dict[str, str] = {}
        reader, stranger = browser(), browser()

        def keep(name: str, response: Any) -> Any:
            assert not response.is_redirect, name
            if not name.startswith("image "):
                got[f"{name} {len(got)}"] = response.text
            return response

        for each in (reader, stranger):
            each.get(f"/reading/language/{language}")
        reader.get(made.links[0])
        keep("start", reader.get("/reading"))
        phone = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"}
        keep("phone", stranger.get(made.links[0], headers=phone))
        keep("stranger", stranger.get("/reading"))
        keep("bad link", stranger.get("/r/" + "0" * 32))
        keep("bad consent", reader.post("/reading/begin", data={"consent": "no"}))
        begin(reader, made.links[0])
        keep("welcome", reader.get("/reading/welcome"))
        window = keep("window", reader.get("/reading/window")).json()
        given = answer(window["tokens"][0])
        keep("answered", reader.post("/reading/responses", json=given))
        for name, body in {
            "final": {**given, "answer": "non_tumour"},
            "unknown": answer("0" * 32),
            "wrong": {**given, "answer": "?"},
        }.items():
            keep(name, reader.post("/reading/responses", json=body, headers={"accept": "*/*"}))
            keep(f"{name} page", reader.post("/reading/responses", json=body))
        keep("answered image", reader.get(f"/reading/images/{window['tokens'][0]}"))
        keep("no such page", reader.get("/reading/images"))
        keep("wrong method", reader.delete("/reading/room"))
        Tour(reader, answer, keep).go_on()
        return got

    return tour


def test_between_two_sittings_no_word_tells_that_the_images_are_the_same(
    browser: Browser, ready: Ready, begin: Begin, read: Callable[..., int]
) -> None:
    reader = browser()
    begin(reader, ready(sets=2, waves=2, washout_days=14).links[0])
    assert read(reader) == 8
    later = reader.get("/reading/later")
    assert later.status_code == 200
    assert REVEALING.findall(later.text) == []
    assert re.findall(r"\b(same|again|repeat\w*|recur\w*|first)\b", later.text, re.IGNORECASE) == []


def is_of_pairs(source: str, body: str) -> bool:
    """What is shown only after all is labelled, and then tells what it was about."""
    return source.startswith("pairs") or (source.startswith("room") and '"pairs"' in body)


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_word_that_a_reader_meets_tells_what_is_studied(
    language: str, bodies: Callable[[str], dict[str, str]], database: Database
) -> None:
    came = bodies(language)
    with database.reading() as session:
        rows = session.scalars(select(Stimulus)).all()
        names = {name for row in rows for name in row.file.split("/")}
        names |= {value for row in rows for value in (row.sha256, row.delivered_sha256)}
        words = {row.case.name for row in rows} | {"Linf 2", "A small batch"}
    assert len(came) > 30
    for source, body in came.items():
        assert not any(name in body for name in names), source
        spoken = RANDOM.sub("", body)
        assert not any(word in spoken for word in words), source
        if not is_of_pairs(source, body):
            assert REVEALING.findall(spoken) == [], source


@pytest.mark.parametrize(
    "file", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("static/**/*.*"))
)
def test_no_file_that_a_reader_can_load_tells_what_is_studied(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(r"perturb|adversar|\battack|\btruth|stimul|epsilon", text) == []


def test_readers_find_no_description_of_the_server(
    browser: Browser, ready: Ready, begin: Begin
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    nowhere = reader.get("/nowhere")
    assert nowhere.status_code == 404
    for path in ("/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/static/", "/.git"):
        response = reader.get(path)
        assert (response.status_code, response.text) == (404, nowhere.text)


def test_tokens_are_random(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    made = ready(readers=3)
    for link in made.links:
        begin(browser(), link)
    with database.reading() as session:
        tokens = session.scalars(select(Presentation.token).order_by(Presentation.id)).all()
    assert len(set(tokens)) == len(tokens) == 48
    bits = np.array([[int(bit) for bit in f"{int(token, 16):0128b}"] for token in tokens])
    assert 0.45 < bits.mean() < 0.55
    assert tokens != sorted(tokens)
    assert (np.abs(bits.mean(axis=0) - 0.5) < 0.4).all()


def test_a_readers_secret_is_no_researchers(browser: Browser, ready: Ready, begin: Begin) -> None:
    made = ready()
    reader = browser()
    begin(reader, made.links[0])
    reader.cookies.set("plainsight_researcher", reader.cookies["plainsight_reader"], path="/")
    response = reader.get(f"/studies/{made.study}")
    assert response.headers["location"] == f"/sign-in?next=/studies/{made.study}"
