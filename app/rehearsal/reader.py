"""A robot at its browser: every request that a person's browser makes, through the whole server."""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from httpx2 import AsyncClient, Response

from app.errors import Conflict
from app.reading.visitor import VISIT_HEADER
from app.rehearsal.domain import Decide, Decision, Seen
from app.vocabulary import Part

CONSENT = re.compile(r'name="consent"\s+value="([^"]+)"')
RECEIPT = re.compile(r"\b[0-9A-F]{4}-[0-9A-F]{4}\b")
PNG = b"\x89PNG\r\n\x1a\n"
MOST_STEPS = 100
DISPLAY = {
    "device_pixel_ratio": 1,
    "browser_zoom": 1,
    "screen_width": 1920,
    "screen_height": 1080,
    "viewport_width": 1600,
    "viewport_height": 900,
}
CHECK = {
    "is_silent": False,
    "colour_depth": 24,
    "pointer": "fine",
    "keys_tried": True,
    "storage_works": True,
    "letters_shown": "KRSVXZ",
    "letters_read": "KRSVXZ",
}
DRAWN = {
    "hidden_ms": 0,
    "idle_ms": 0,
    "device_pixel_ratio": 1,
    "viewport_width": 1600,
    "viewport_height": 900,
    "display_width": 512,
    "display_height": 512,
    "scale": 2,
    "zoom": 1,
    "pixel_exact": True,
}
OK, SEE_OTHER = HTTPStatus.OK, HTTPStatus.SEE_OTHER


@dataclass
class RobotReader:
    """`look` is the key, `may_undo` the study's rule for a part. Conflict when a page or answer
    is not what a reader's browser needs: then a person could not go on either."""

    client: AsyncClient
    label: str
    look: Callable[[str], Seen]
    decide: Decide
    may_undo: Callable[[Part], bool]
    answered: Callable[[], None]
    visit: str = ""
    fetched: set[str] = field(default_factory=set)

    async def read(self, path: str) -> str | None:
        """From the personal link to the receipt, which is returned; None when the robot left."""
        await self.ask("GET", path, SEE_OTHER)
        for _ in range(MOST_STEPS):
            page = await self.ask("GET", "/reading", OK, SEE_OTHER)
            match page.headers.get("location"):
                case None:
                    [version] = CONSENT.findall(page.text)
                    await self.ask("POST", "/reading/begin", SEE_OTHER, data={"consent": version})
                case "/reading/check":
                    await self.check_screen()
                case "/reading/room":
                    if not await self.read_part():
                        return None
                case "/reading/questions" as questions:
                    await self.ask("GET", questions, OK)
                    told = {"saw_repeats": "unsure", "odd": ""}
                    await self.ask("POST", questions, SEE_OTHER, data=told)
                case "/reading/pairs" as pairs:
                    await self.ask("GET", pairs, OK)
                    await self.ask("POST", pairs, SEE_OTHER)
                case "/reading/done" as done:
                    [receipt] = RECEIPT.findall((await self.ask("GET", done, OK)).text)
                    return str(receipt)
                case elsewhere:
                    raise self.lost(f"was led to {elsewhere}")
        raise self.lost(f"was not done after {MOST_STEPS} pages")

    async def check_screen(self) -> None:
        await self.ask("GET", "/reading/check", OK)
        record = {**CHECK, **DISPLAY, "code": secrets.token_hex(16)}
        await self.ask("POST", "/reading/check", OK, json=record)
        saved = await self.ask("GET", "/reading/check/saved", OK)
        if saved.json()["code"] != record["code"]:
            raise self.lost("found another screen check than its own")

    async def read_part(self) -> bool:
        """All that is due in this sitting; whether the robot goes on after it."""
        await self.ask("GET", "/reading/room", OK)
        told = (await self.ask("POST", "/reading/arrive", OK)).json()
        self.visit = told["visit"]
        await self.ask("POST", "/reading/display", OK, json={"is_silent": True, **DISPLAY})
        while told["tokens"]:
            token = told["tokens"][0]
            seen = self.look(token)
            # Who answered the last image of a sitting is elsewhere, and cannot take it back.
            may_undo = self.may_undo(seen.part) and len(told["tokens"]) > 1
            decision = self.decide(seen, may_undo)
            if decision is None:
                return False
            await self.fetch(told["tokens"], is_pair=seen.part is Part.PAIRS)
            told = await self.answer(token, told["attempts"][0], decision)
            self.answered()
        return True

    async def fetch(self, tokens: Sequence[str], *, is_pair: bool) -> None:
        """Those that are new, as a browser does before it needs them."""
        for token in tokens:
            if token not in self.fetched:
                self.fetched.add(token)
                for side in ("", "/right") if is_pair else ("",):
                    image = await self.ask("GET", f"/reading/images/{token}{side}", OK)
                    if not image.content.startswith(PNG):
                        raise self.lost("was given something that is no PNG")

    async def answer(self, token: str, attempt: int, decision: Decision) -> dict[str, Any]:
        """What comes next, after the answer that stands."""
        *slips, _ = decision.answers
        for number, given in enumerate(decision.answers):
            shown = {"token": token, "attempt": attempt + number}
            body = {
                **shown,
                "answer": given.value,
                "confidence": decision.confidence,
                "given_at": int(time.time() * 1000),
                "reading_time_ms": decision.reading_time_ms,
                **DRAWN,
            }
            told = (await self.ask("POST", "/reading/responses", OK, json=body)).json()
            if number < len(slips):
                told = (await self.ask("POST", "/reading/undo", OK, json=shown)).json()
        return dict(told)

    async def ask(self, method: str, path: str, *statuses: int, **body: Any) -> Response:
        """Conflict when it is answered otherwise."""
        wants = "text/html" if method == "GET" and "/images/" not in path else "*/*"
        headers = {"accept": wants, "sec-fetch-site": "same-origin"}
        if self.visit:
            headers[VISIT_HEADER] = self.visit
        response = await self.client.request(method, path, headers=headers, **body)
        if response.status_code not in statuses:
            raise self.lost(
                f"was answered {response.status_code} to {method} {path.split('/r/')[0]}"
            )
        return response

    def lost(self, how: str) -> Conflict:
        return Conflict(f"Robot {self.label} {how}; a reader could not have gone on.")
