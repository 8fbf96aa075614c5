"""A reader without a browser: the same requests, quickly, and a few curious ones."""

import gzip
import http.client
import json
import random
import re
import secrets
import time
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from benchmarks.blinding.seen import Exchange, Visit, part_of, presentations

PARTS = {
    "practice": ("non_tumour", "tumour"),
    "reading": ("non_tumour", "tumour"),
    "pairs": ("left", "right"),
}
LONGEST_PART = 500
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
SCREEN = {
    "device_pixel_ratio": 1,
    "browser_zoom": 1,
    "screen_width": 1280,
    "screen_height": 800,
    "viewport_width": 1280,
    "viewport_height": 800,
}
CHECKED = {
    "is_silent": False,
    "colour_depth": 24,
    "pointer": "fine",
    "keys_tried": True,
    "storage_works": True,
    "letters_shown": "KRSABC",
    "letters_read": "KRS",
}
DISPLAY = {
    "hidden_ms": 0,
    "idle_ms": 0,
    "device_pixel_ratio": 1,
    "viewport_width": 1280,
    "viewport_height": 800,
    "display_width": 512,
    "display_height": 512,
    "scale": 2,
    "zoom": 1,
    "pixel_exact": True,
}
NOBODYS = (
    *("/nowhere", "/docs", "/openapi.json", "/redoc", "/static/", "/reading/key"),
    *("/reading/export", "/reading/results", "/reading/api"),
)
RESEARCHERS = ("/studies", "/studies/1", "/studies/1/results", "/batches", "/batches/1")


class PlainReader:
    """One reader, who answers by chance; `others` are tokens of readers who came before."""

    def __init__(self, address: str, reader: int, others: Sequence[str] = ()) -> None:
        self.reader = reader
        self.others = others
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        self.exchanges: list[Exchange] = []
        self.probes: dict[str, Exchange] = {}
        self.cookie = ""
        self.visit = ""
        self.part = ""
        self.fetched: set[str] = set()
        self.chance = random.Random(reader)  # noqa: S311 (a simulation)

    def read(self, link: str) -> Visit:
        self.begin(link)
        while self.ask("GET", "/reading").header("location") != "/reading/done":
            self.go_on(self.exchanges[-1].header("location"))
        self.ask("GET", "/reading/done")
        for path in NOBODYS + RESEARCHERS:
            self.probes[path] = self.request("GET", path)
        self.connection.close()
        shown = presentations(self.exchanges, {})
        return Visit(self.reader, self.exchanges, shown, probes=self.probes)

    def begin(self, link: str) -> None:
        arrived = self.ask("GET", f"/r/{link}")
        self.cookie = arrived.header("set-cookie").partition(";")[0]
        start = self.ask("GET", "/reading")
        [version] = re.findall(r'name="consent" value="([^"]+)"', start.body.decode())
        self.ask("POST", "/reading/begin", urlencode({"consent": version}), FORM)
        self.ask("GET", "/reading/check")
        record = {**CHECKED, **SCREEN, "code": secrets.token_hex(16)}
        self.ask("POST", "/reading/check", json.dumps(record), JSON)
        self.ask("GET", "/reading/check/saved")

    def go_on(self, location: str) -> None:
        match location:
            case "/reading/room":
                self.read_part()
            case "/reading/questions":
                self.ask("GET", location)
                told = urlencode({"saw_repeats": "unsure", "odd": ""})
                self.ask("POST", location, told, FORM)
            case "/reading/pairs":
                self.ask("GET", location)
                self.ask("POST", location, "", FORM)
            case _:
                raise RuntimeError(f"a reader does not know the way from {location!r}")

    def read_part(self) -> None:
        self.part = part_of(self.ask("GET", "/reading/room"))
        told = self.ask("POST", "/reading/arrive")
        self.visit = str(told.json.get("visit", ""))
        silent = json.dumps({"is_silent": True, **SCREEN})
        self.ask("POST", "/reading/display", silent, JSON)
        for number in range(LONGEST_PART):
            tokens = told.json["tokens"]
            if not tokens:
                return
            self.fetch(tokens)
            told = self.answer(tokens[0], told)
            if number == 3 and self.part == "reading":
                self.probe(tokens)
                told = self.report(told.json["tokens"][0])

    def fetch(self, tokens: Sequence[str]) -> None:
        for token in tokens:
            if token not in self.fetched:
                self.fetched.add(token)
                self.ask("GET", f"/reading/images/{token}")
                if self.part == "pairs":
                    self.ask("GET", f"/reading/images/{token}/right")

    def answer(self, token: str, told: Exchange) -> Exchange:
        given = {
            "token": token,
            "attempt": told.json["attempts"][0],
            "answer": self.chance.choice(PARTS[self.part]),
            "confidence": None,
            "given_at": int(time.time() * 1000),
            "reading_time_ms": self.chance.randrange(400, 9000),
            **DISPLAY,
        }
        return self.ask("POST", "/reading/responses", json.dumps(given), JSON)

    def report(self, token: str) -> Exchange:
        found = json.dumps({"token": token, "kind": "unclear"})
        return self.ask("POST", "/reading/problems", found, JSON)

    def probe(self, tokens: Sequence[str]) -> None:
        """Four images that are not to be had, for four reasons."""
        wanted = {"unknown": "0" * 32, "answered": tokens[0], "right": f"{tokens[1]}/right"}
        if self.others:
            wanted["another reader's"] = self.others[-1]
        for why, token in wanted.items():
            self.probes[why] = self.request("GET", f"/reading/images/{token}")

    def ask(self, method: str, path: str, body: str = "", kind: str = "") -> Exchange:
        self.exchanges.append(self.request(method, path, body, kind))
        return self.exchanges[-1]

    def request(self, method: str, path: str, body: str = "", kind: str = "") -> Exchange:
        headers = {
            "Accept": "*/*" if kind == JSON or "/images/" in path else "text/html",
            "Accept-Encoding": "gzip",
            "Cookie": self.cookie,
            "Plainsight-Visit": self.visit,
            "Content-Type": kind,
        }
        sent = {name: value for name, value in headers.items() if value}
        began = time.perf_counter()
        self.connection.request(method, path, body, sent)
        response = self.connection.getresponse()
        waited = time.perf_counter() - began
        wire = response.read()
        took = time.perf_counter() - began
        is_packed = response.getheader("content-encoding") == "gzip"
        return Exchange(
            number=len(self.exchanges) + 1,
            method=method,
            url=path,
            status=response.status,
            headers=tuple((name.lower(), value) for name, value in response.getheaders()),
            body=gzip.decompress(wire) if is_packed else wire,
            wire_bytes=len(wire),
            waited_ms=1000 * waited,
            took_ms=1000 * took,
            sent=body,
        )
