"""Every request of a page with its answer, as Chromium's own tools tell them."""

import asyncio
import base64
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

from benchmarks.blinding.seen import Exchange

Event = dict[str, Any]
BUFFERS = {"maxTotalBufferSize": 200_000_000, "maxResourceBufferSize": 20_000_000}


class Network:
    """Listens from `begin` on; a redirect is an exchange of its own."""

    def __init__(self, session: CDPSession) -> None:
        self.session = session
        self.asked: list[Event] = []
        self.present: dict[str, Event] = {}
        self.raw: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.bodies: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        listeners: dict[str, Callable[[Event], None]] = {
            "Network.requestWillBeSent": self.note_request,
            "Network.responseReceived": self.note_response,
            "Network.responseReceivedExtraInfo": self.note_headers,
            "Network.loadingFinished": self.note_end,
        }
        for name, listener in listeners.items():
            self.session.on(name, listener)
        await self.session.send("Network.enable", BUFFERS)

    def note_request(self, event: Event) -> None:
        request = event["requestId"]
        if "redirectResponse" in event:
            self.present[request]["response"] = event["redirectResponse"]
            self.present[request]["ended"] = event["timestamp"]
        asked = {**event, "request_id": request, "hop": 0}
        if request in self.present:
            asked["hop"] = self.present[request]["hop"] + 1
        self.present[request] = asked
        self.asked.append(asked)

    def note_response(self, event: Event) -> None:
        self.present[event["requestId"]]["response"] = event["response"]

    def note_headers(self, event: Event) -> None:
        self.raw[event["requestId"]].append(event["headers"])

    def note_end(self, event: Event) -> None:
        asked = self.present[event["requestId"]]
        asked["ended"] = event["timestamp"]
        asked["wire"] = event["encodedDataLength"]
        self.bodies.append(asyncio.ensure_future(self.fetch_body(asked)))

    async def fetch_body(self, asked: Event) -> None:
        try:
            found = await self.session.send(
                "Network.getResponseBody", {"requestId": asked["request_id"]}
            )
        except PlaywrightError:  # a page that has been left
            return
        text = found["body"]
        asked["body"] = base64.b64decode(text) if found["base64Encoded"] else text.encode()

    async def everything(self) -> list[Exchange]:
        await asyncio.gather(*self.bodies)
        asked = [each for each in self.asked if "response" in each]
        return [self.exchange(number, each) for number, each in enumerate(asked, start=1)]

    def exchange(self, number: int, asked: Event) -> Exchange:
        request, response = asked["request"], asked["response"]
        timing = response.get("timing", {})
        raw = self.raw[asked["request_id"]]
        headers = raw[asked["hop"]] if asked["hop"] < len(raw) else response["headers"]
        split = urlsplit(request["url"])
        return Exchange(
            number=number,
            method=request["method"],
            url=split.path + (f"?{split.query}" if split.query else ""),
            status=response["status"],
            headers=tuple(sorted((name.lower(), value) for name, value in headers.items())),
            body=asked.get("body", b""),
            wire_bytes=int(asked.get("wire", 0)),
            waited_ms=timing.get("receiveHeadersEnd", 0.0) - timing.get("sendEnd", 0.0),
            took_ms=1000 * (asked.get("ended", asked["timestamp"]) - asked["timestamp"]),
            sent=request.get("postData", ""),
            host=split.netloc,
        )
