"""What a curious reader can keep: every request with its answer, and what the page was."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Headers = tuple[tuple[str, str], ...]
Fact = str | float
ROOM, RESPONSES = "/reading/room", "/reading/responses"
PART = re.compile(rb'"part": ?"(\w+)"')


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    wire_bytes: of the body as it came; body: of what the browser made of it. waited_ms: until the
    first byte; took_ms: until the last. number: which request of this reader it was. sent: the
    body of the request; host: where the browser asked.
    """

    number: int
    method: str
    url: str
    status: int
    headers: Headers
    body: bytes
    wire_bytes: int
    waited_ms: float
    took_ms: float
    sent: str = ""
    host: str = ""

    @property
    def path(self) -> str:
        return self.url.partition("?")[0]

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True)
class Shown:
    """One presentation: `told` is the answer in which its token came first in the list of what
    is next, `images` what was fetched under its token (of a pair the left one first), `page` what
    only a real browser knows. Positions count within a part, as the key's do."""

    part: str
    position: int
    token: str
    told: Exchange | None
    images: tuple[Exchange, ...]
    answered: Exchange | None
    page: dict[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Visit:
    """Everything one reader met, from the link to the thanks.

    probes: answers to curious requests, by what was asked; kept: what lay in the browser's
    storages; texts: the page of the room at each presentation, without what changes openly
    (token, number of the image).
    """

    reader: int
    exchanges: list[Exchange]
    shown: list[Shown]
    probes: Mapping[str, Exchange] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()

    def part(self, part: str) -> list[Shown]:
        return [shown for shown in self.shown if shown.part == part]

    def of(self, kind: str) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if kind_of(exchange) == kind]


def kind_of(exchange: Exchange) -> str:
    """image, list (of what is next), page, file (static), or other."""
    path = exchange.path
    if path.startswith("/reading/images/"):
        return "image"
    if isinstance(exchange.json, dict) and "tokens" in exchange.json:
        return "list"
    if path.startswith("/static/"):
        return "file"
    return "page" if "text/html" in exchange.header("content-type") else "other"


def token_of(exchange: Exchange) -> str:
    return exchange.path.removeprefix("/reading/images/").split("/")[0]


def presentations(exchanges: Sequence[Exchange], pages: dict[str, dict[str, Fact]]) -> list[Shown]:
    """Puts together what belongs to one token, in the order in which they were due."""
    due: list[tuple[str, str, Exchange]] = []
    answered: dict[str, Exchange] = {}
    images: dict[str, list[Exchange]] = {}
    part = ""
    for exchange in exchanges:
        if exchange.path == ROOM:
            part = part_of(exchange) or part
        elif kind_of(exchange) == "image":
            images.setdefault(token_of(exchange), []).append(exchange)
        elif kind_of(exchange) == "list":
            if exchange.path == RESPONSES:
                answered[json.loads(exchange.sent)["token"]] = exchange
            for token in exchange.json["tokens"][:1]:
                if not due or due[-1][:2] != (part, token):
                    due.append((part, token, exchange))
    count: Counter[str] = Counter()
    shown = []
    for part, token, told in due:
        count[part] += 1
        mine = sorted(images.get(token, ()), key=lambda image: image.path.endswith("/right"))
        seen = (part, count[part], token, told, tuple(mine), answered.get(token))
        shown.append(Shown(*seen, pages.get(token, {})))
    return shown


def part_of(room: Exchange) -> str:
    found = PART.search(room.body)
    return found[1].decode() if found else ""
