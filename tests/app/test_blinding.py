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
from app.reading.routes import RoomPage, StartPage
from app.reading.service import NONCE, Window
from app.storage.images import EMPTY_CHUNK, ImageStore, encode, pad
from app.storage.models import Presentation, Stimulus
from app.storage.session import Database
from app.web.security import HEADERS
from app.web.templating import Message

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Pixels = NDArray[np.uint8]

IMAGE_HEADERS = {"content-type", "content-length", "cache-control"}
TOKEN = re.compile(r"[0-9a-f]{32}")
REVEALING = re.compile(
    r"perturb|original|adversar|attack|condition|truth|stimul|epsilon|linf|manipulat|"
    r"\bcase|\bbatch|\barm\b|\bset\b",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that a reader's browser got for one presentation."""

    token: str
    stimulus: int
    headers: dict[str, str]
    png: bytes

    @property
    def pixels(self) -> Pixels:
        with Image.open(io.BytesIO(self.png)) as image:
            assert image.mode == "RGB"
            return np.array(image)


@pytest.fixture
def see_all(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., Any],
    database: Database,
) -> Callable[..., list[Seen]]:
    """`see_all(**design)` reads a whole study and keeps every image that came."""

    def see(**design: Any) -> list[Seen]:
        reader = browser()
        begin(reader, ready(**design).links[0])
        with database.reading() as session:
            rows = session.execute(select(Presentation.token, Presentation.stimulus_id)).all()
        stimulus_of = {row.token: row.stimulus_id for row in rows}
        window = reader.get("/reading/window").json()
        seen = []
        while window["tokens"]:
            token = window["tokens"][0]
            image = reader.get(f"/reading/images/{token}")
            assert image.status_code == 200
            seen.append(Seen(token, stimulus_of[token], dict(image.headers), image.content))
            window = reader.post("/reading/responses", json=answer(token)).json()
        return seen

    return see


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length
    assert position == len(png)


def test_all_images_of_a_study_come_alike_but_for_their_bytes(
    see_all: Callable[..., list[Seen]],
) -> None:
    seen = see_all(cases=3, conditions=2)
    assert len(seen) == 18
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


def test_the_browser_is_told_tokens_and_two_numbers(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any]
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    window = reader.get("/reading/window")
    answered = reader.post("/reading/responses", json=answer(window.json()["tokens"][0]))
    for response in (window, answered):
        assert list(response.json()) == ["tokens", "done", "total"]
        assert all(TOKEN.fullmatch(token) for token in response.json()["tokens"])
        assert response.headers["cache-control"] == "no-store"
        assert set(response.headers) == IMAGE_HEADERS | {name.lower() for name in HEADERS}


ALLOWED_FIELDS = {
    Window: ["tokens", "done", "total"],
    RoomPage: ["title", "question", "criterion", "total"],
    StartPage: [
        "title",
        "researcher",
        "minutes",
        "total",
        "question",
        "criterion",
        "consent_version",
    ],
    Message: ["title", "message"],
}


@pytest.mark.parametrize("page", ALLOWED_FIELDS)
def test_a_page_for_readers_knows_no_more_than_is_allowed(page: Any) -> None:
    """Whoever adds a field here must first say in docs/blinding.md why it tells nothing."""
    assert [field.name for field in dataclasses.fields(page)] == ALLOWED_FIELDS[page]


def test_the_room_is_the_same_for_every_reader_and_at_every_time(
    browser: Browser, ready: Ready, begin: Begin, read: Callable[..., int]
) -> None:
    links = ready(readers=2).links
    readers = [browser(), browser()]
    for reader, link in zip(readers, links, strict=True):
        begin(reader, link)
    pages = [readers[0].get("/reading/room"), readers[1].get("/reading/room")]
    read(readers[0], at_most=7)
    pages.append(readers[0].get("/reading/room"))
    assert len({page.content for page in pages}) == 1
    assert len({str(sorted(page.headers.items())) for page in pages}) == 1


@pytest.fixture
def bodies(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any]
) -> dict[str, str]:
    """Everything in words that a reader can get to see, by where it came from."""
    made, got = ready(cases=2), {}
    reader, stranger = browser(), browser()
    reader.get(made.links[0])

    def keep(name: str, response: Any) -> Any:
        assert not response.is_redirect, name
        got[name] = response.text
        return response

    keep("start", reader.get("/reading"))
    begin(reader, made.links[0])
    keep("room", reader.get("/reading/room"))
    window = keep("window", reader.get("/reading/window")).json()
    token, given = window["tokens"][0], answer(window["tokens"][0])
    later = answer("0" * 32)
    keep("answered", reader.post("/reading/responses", json=given))
    for name, body in {
        "final": {**given, "answer": "non_tumour"},
        "unknown": later,
        "wrong": {**given, "answer": "?"},
    }.items():
        keep(name, reader.post("/reading/responses", json=body, headers={"accept": "*/*"}))
        keep(f"{name} page", reader.post("/reading/responses", json=body))
    keep("answered image", reader.get(f"/reading/images/{token}"))
    keep("no such page", reader.get("/reading/images"))
    keep("wrong method", reader.delete("/reading/room"))
    keep("bad consent", reader.post("/reading/begin", data={"consent": "no"}))
    keep("stranger", stranger.get("/reading"))
    keep("bad link", stranger.get("/r/" + "0" * 32))
    while tokens := reader.get("/reading/window").json()["tokens"]:
        reader.post("/reading/responses", json=answer(tokens[0]))
    keep("done", reader.get("/reading/done"))
    return got


def test_no_word_that_a_reader_meets_tells_what_is_studied(
    bodies: dict[str, str], database: Database
) -> None:
    with database.reading() as session:
        rows = session.scalars(select(Stimulus)).all()
        names = {name for row in rows for name in row.file.split("/")}
        names |= {value for row in rows for value in (row.sha256, row.delivered_sha256)}
        words = {row.case.name for row in rows} | {"Linf 2", "A small batch"}
    for source, body in bodies.items():
        assert not any(name in body for name in names), source
        spoken = TOKEN.sub("", body)
        assert not any(word in spoken for word in words), source
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
