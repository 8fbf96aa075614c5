"""Allow-lists: what may come at all, and what must be the same for every presentation.

Each check yields what is wrong, one sentence each. A classifier needs many presentations to notice
a leak; a list of what is allowed notices the first.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from app.reading.service import AHEAD
from app.web.security import HEADERS
from benchmarks.blinding.facts import chunks
from benchmarks.blinding.links import Design
from benchmarks.blinding.orders import of_key
from benchmarks.blinding.plain_reader import NOBODYS, RESEARCHERS
from benchmarks.blinding.secrets import Key
from benchmarks.blinding.seen import ROOM, Exchange, Visit, kind_of

Check = Callable[[Sequence[Visit]], Iterator[str]]

TOKEN = re.compile(r"[0-9a-f]{32}")
QUEUE = re.compile(r"[0-9a-f]{16}")
EVERYWHERE = {name.lower() for name in HEADERS} | {"content-type", "content-length", "date"}
PACKED = EVERYWHERE | {"cache-control", "content-encoding", "content-language"}
ALLOWED_HEADERS = {
    "image": EVERYWHERE | {"cache-control"},
    "list": PACKED,
    "page": PACKED | {"vary"},
    "other": PACKED | {"location", "set-cookie", "vary"},
    "file": EVERYWHERE | {"content-encoding", "etag", "last-modified", "accept-ranges", "vary"},
}
CHANGING = {"date", "content-length"}
LIST_NAMES = ["tokens", "attempts", "undoable", "done", "total", "feedback"]
ARRIVAL_NAMES = [*LIST_NAMES, "visit", "queue"]
ADDRESSES = re.compile(
    r"^/(r/[0-9a-f]{32}|reading(/[a-z]+){0,2}|reading/images/[0-9a-f]{32}(/right)?|favicon\.ico"
    r"|static/[\w./-]+)$"
)
REVEALING = re.compile(
    r"perturb|\boriginal|adversar|attack|condition|truth|stimul|epsilon|linf|manipulat|duplicat|"
    r"\balter|\btwice\b|\bcase\b|\bcases\b|\bbatch|\barm\b|\bset [12]\b|each image is",
    re.IGNORECASE,
)
IN_FILES = re.compile(r"perturb|adversar|\battack|\btruth|stimul|epsilon", re.IGNORECASE)
OF_PAIRS = re.compile(r"\balter(ed)?\b", re.IGNORECASE)
DATA_SET = re.compile(r"\bdata set\b", re.IGNORECASE)
ELSEWHERE = re.compile(r"""(?:src|href|action)\s*=\s*["'](?:https?:)?//""")
CONSTANT = ("draws", "drawn at", "title", "address")
RECORD = "record "
RECORD_NAMES = {"queue", "kind", "body"}
BODY_NAMES = {
    *("token", "attempt", "answer", "confidence", "given_at", "reading_time_ms", "hidden_ms"),
    *("idle_ms", "device_pixel_ratio", "viewport_width", "viewport_height", "display_width"),
    *("display_height", "scale", "zoom", "pixel_exact", "kind"),
}


def problems(visits: Sequence[Visit], key: Key, design: Design) -> list[str]:
    found = [problem for check in CHECKS for problem in check(visits)]
    return found + list(of_key(key.read(), design))


def headers(visits: Sequence[Visit]) -> Iterator[str]:
    """No name that is not allowed, and of images and lists the same values everywhere."""
    values: dict[tuple[str, str], set[str]] = {}
    for exchange in everything(visits):
        kind = kind_of(exchange)
        for name in sorted({name for name, _ in exchange.headers} - ALLOWED_HEADERS[kind]):
            yield f"{kind}: the header {name} is not on the list"
        for name, wanted in HEADERS.items():
            if exchange.header(name.lower()) != wanted:
                yield f"{kind}: {name} is {exchange.header(name.lower())!r}"
        for name, value in exchange.headers:
            values.setdefault((kind, name), set()).add(value)
    for (kind, name), different in values.items():
        if kind in {"image", "list"} and name not in CHANGING and len(different) > 1:
            yield f"{kind}: the header {name} has {len(different)} values"


def everything(visits: Sequence[Visit]) -> Iterator[Exchange]:
    for visit in visits:
        yield from visit.exchanges


def images(visits: Sequence[Visit]) -> Iterator[str]:
    """Never kept, one length, one shape of file; no two with the same bytes."""
    found = [image for visit in visits for image in visit.of("image") if image.status == 200]
    if any(image.header("cache-control") != "no-store, no-transform" for image in found):
        yield "image: may be kept or changed on its way"
    kinds: dict[str, set[Any]] = {
        "wire lengths": {image.wire_bytes for image in found},
        "lengths": {len(image.body) for image in found},
        "shapes of file": {shape(image.body) for image in found},
    }
    for what, different in kinds.items():
        if len(different) != 1:
            yield f"image: {len(different)} {what}"
    if len({image.body for image in found}) < len(found):
        yield "image: two have the same bytes"
    noises = [body for image in found for kind, body in chunks(image.body) if kind == b"paDd"]
    if len(set(noises)) < len(found):
        yield "image: a random chunk is missing or comes twice"


def shape(png: bytes) -> tuple[object, ...]:
    """All but the pixels and the random chunk; of IDAT its length and what tells the compressor."""
    return tuple(
        (kind, len(body), body[:3] if kind == b"IDAT" else b"" if kind == b"paDd" else body)
        for kind, body in chunks(png)
    )


def lists(visits: Sequence[Visit]) -> Iterator[str]:
    """Tokens and numbers, and the numbers say no more than how many are done."""
    for visit in visits:
        told = visit.of("list")
        faults = [fault for exchange in told for fault in one_list(exchange)]
        yield from faults
        if faults:
            continue
        for before, after in pairwise(told):
            is_new = "visit" in after.json
            step = after.json["done"] - before.json["done"]
            if not is_new and (step not in {0, 1} or after.json["total"] != before.json["total"]):
                yield "list: the number done jumps"
        yield from feedback(visit)


def one_list(exchange: Exchange) -> Iterator[str]:
    content = exchange.json
    is_arrival = exchange.path == "/reading/arrive"
    wanted = ARRIVAL_NAMES if is_arrival else LIST_NAMES
    if list(content) != wanted:
        yield f"list: names {sorted(set(content) ^ set(wanted))} are not as allowed"
        return
    done, total, tokens = content["done"], content["total"], content["tokens"]
    if not (isinstance(done, int) and isinstance(total, int) and 0 <= done <= total):
        yield f"list: {done} of {total} are done"
        return
    ahead = min(AHEAD, total - done)
    if len(tokens) != ahead or content["attempts"] != [0] * ahead:
        yield f"list: {len(tokens)} tokens, attempts {content['attempts']}, where {ahead} are due"
    undoable = content["undoable"] or {"token": "0" * 32, "attempt": 0}
    names = [*tokens, undoable["token"]]
    if list(undoable) != ["token", "attempt"] or undoable["attempt"] != 0:
        yield f"list: what may be taken back is told by {sorted(undoable)}"
    if is_arrival and not QUEUE.fullmatch(content["queue"]):
        yield f"list: the queue is named {content['queue']!r}"
    if is_arrival:
        names.append(content["visit"])
    if not all(TOKEN.fullmatch(name) for name in names):
        yield "list: a token is not 32 hexadecimal digits"


def feedback(visit: Visit) -> Iterator[str]:
    for shown in visit.shown:
        told = shown.answered.json["feedback"] if shown.answered else None
        if told is not None and shown.part != "practice":
            yield f"list: {shown.part} tells the right answer"


def addresses(visits: Sequence[Visit]) -> Iterator[str]:
    tokens = [shown.token for visit in visits for shown in visit.shown]
    if len(set(tokens)) < len(tokens):
        yield "address: two presentations have one token"
    for exchange in everything(visits):
        if not ADDRESSES.match(exchange.url):
            yield f"address: {exchange.url.partition('?')[0]} is not of a known form"
    for visit in visits:
        if len({exchange.host for exchange in visit.exchanges}) > 1:
            yield "address: another host is asked"
        fetched = [image.url for image in visit.of("image")]
        if len(set(fetched)) != len(fetched):
            yield "address: an image is fetched twice"


def words(visits: Sequence[Visit]) -> Iterator[str]:
    """Of pages, errors, lists and files: no word that tells, nothing from another host.

    Only in the block of pairs, when all is labelled, is it said that images were altered.
    """
    for visit in visits:
        has_read = False
        for exchange in [*visit.exchanges, *visit.probes.values()]:
            has_read = has_read or exchange.path == "/reading/questions"
            yield from words_of(exchange, has_read)


def words_of(exchange: Exchange, has_read: bool) -> Iterator[str]:
    kind = kind_of(exchange)
    if kind == "image":
        return
    if kind == "file":
        if found := IN_FILES.search(exchange.body.decode("utf-8", "replace")):
            yield f"file: {exchange.path} says {found.group()!r}"
        return
    text = DATA_SET.sub("", exchange.body.decode("utf-8", "replace"))
    if has_read and exchange.path in {"/reading/pairs", ROOM}:
        text = OF_PAIRS.sub("", text)
    if found := REVEALING.search(text):
        yield f"{kind}: {exchange.path} says {found.group()!r}"
    if kind == "page" and ELSEWHERE.search(text):
        yield f"{kind}: {exchange.path} names another host"


def rooms(visits: Sequence[Visit]) -> Iterator[str]:
    """A part's page is one of two, by the order of the keys, and stays at every presentation."""
    pages = Counter(
        exchange.body
        for visit in visits
        for exchange in visit.of("page")
        if exchange.path == ROOM and b'"part": "reading"' in exchange.body
    )
    if len(pages) > 2:
        yield f"page: the room has {len(pages)} forms"
    for visit in visits:
        if len(visit.texts) > 1:
            yield f"page: the room has {len(visit.texts)} states"
        if any(shown.page.get(name) for shown in visit.shown for name in ("globals", "cookies")):
            yield "page: scripts leave names or cookies behind"
    for name in CONSTANT:
        values = {s.page[name] for visit in visits for s in visit.shown if name in s.page}
        if len(values) > 1:
            yield f"page: {name} has {len(values)} values"


def storages(visits: Sequence[Visit]) -> Iterator[str]:
    """Nothing but answers on their way to the server, and at the end not even these."""
    for place in sorted({place for visit in visits for place in visit.kept}):
        if not is_unsent(place):
            yield f"storage: {place}"


def is_unsent(place: str) -> bool:
    if not place.startswith(RECORD):
        return False
    database, store, _key, record = json.loads(place.removeprefix(RECORD))
    return (
        (database, store) == ("plainsight", "unsent")
        and set(record) == RECORD_NAMES
        and QUEUE.fullmatch(record["queue"]) is not None
        and set(record["body"]) <= BODY_NAMES
        and TOKEN.fullmatch(record["body"].get("token", "0" * 32)) is not None
    )


def probes(visits: Sequence[Visit]) -> Iterator[str]:
    """What is nobody's business answers as if it were not there; the rest asks for a researcher."""
    for visit in visits:
        asked = visit.probes
        for below in (True, False):
            paths = [path for path in NOBODYS if path.startswith("/reading") is below]
            yield from alike("page", {path: asked[path] for path in paths if path in asked})
        yield from alike("image", {why: e for why, e in asked.items() if why[0] != "/"})
        for path in RESEARCHERS:
            if path in asked and not asked[path].header("location").startswith("/sign-in"):
                yield f"page: a reader gets {path}"


def alike(what: str, asked: dict[str, Exchange]) -> Iterator[str]:
    answers = {(exchange.status, exchange.body) for exchange in asked.values()}
    if len(answers) > 1 or any(status != 404 for status, _ in answers):
        told = {why: exchange.status for why, exchange in asked.items()}
        yield f"{what}: refusals differ: {told}"


def finished(visits: Sequence[Visit]) -> Iterator[str]:
    for visit in visits:
        for arrival in visit.of("list"):
            if "visit" not in arrival.json:
                continue
            part = next((s.part for s in visit.shown if s.told is arrival), "")
            if arrival.json.get("total") != len(visit.part(part)):
                yield f"reading: not all of {part} was shown"


CHECKS: tuple[Check, ...] = (
    headers,
    images,
    lists,
    addresses,
    words,
    rooms,
    storages,
    probes,
    finished,
)


def told_once(found: Sequence[str]) -> list[str]:
    """Each problem with how often it came."""
    return [
        problem if times == 1 else f"{problem} ({times} times)"
        for problem, times in Counter(found).items()
    ]
