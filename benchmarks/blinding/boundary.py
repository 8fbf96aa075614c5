"""What stands between the server and its readers: a compressing proxy, and, in a mutant, a leak.

Leaks are put back here and by patches of this process, never by a switch in the server.
"""

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.blinding.secrets import Key, Secret

IMAGE = re.compile(r"^/reading/images/([^/]+)(/right)?$")


@dataclass
class Reply:
    """An answer on its way, to be changed."""

    path: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/html")


@dataclass(frozen=True)
class Mutant:
    """One leak put back; it says which channels of docs/blinding.md it opens.

    image: changes the answer with an image. told: changes the list of what is next, whose
    presentations it gets, and the one just answered. page: changes any page or error. wait:
    seconds before an image is sent. alias: what a token is called. patch: changes this process
    while the server runs. script: runs in the browser before the page's own, so only there.
    is_whole: needs a study with practice, masking and pairs. is_subtle: needs more presentations.
    """

    name: str
    channels: tuple[int, ...]
    image: Callable[[Secret, Reply], None] | None = None
    told: Callable[[list[Secret], Secret | None, dict[str, Any]], None] | None = None
    page: Callable[[Reply], None] | None = None
    wait: Callable[[Secret], float] | None = None
    alias: Callable[[Secret], str] | None = None
    patch: Callable[[], AbstractContextManager[object]] = nullcontext
    script: str = ""
    is_whole: bool = False
    is_subtle: bool = False


class Boundary:
    """ASGI middleware around the whole server."""

    def __init__(self, app: ASGIApp, key: Key, mutant: Mutant | None) -> None:
        self.app = app
        self.key = key
        self.mutant = mutant or Mutant("none", ())
        self.real: dict[tuple[str, str], str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        who = headers.get("cookie", "")
        sent = self.translate_back(who, await whole_body(receive))
        path = self.translate_back(who, scope["path"].encode()).decode()
        scope = {**scope, "path": path, "raw_path": path.encode()}
        scope["headers"] = [
            (name, str(len(sent)).encode() if name == b"content-length" else value)
            for name, value in scope["headers"]
        ]
        reply = await self.answered(scope, sent)
        await self.leak(reply, sent)
        self.translate(who, reply)
        compress(reply, headers.get("accept-encoding", ""))
        await deliver(reply, scope["method"], send)

    async def answered(self, scope: Scope, sent: bytes) -> Reply:
        reply = Reply(scope["path"], 0, {}, b"")

        messages = [{"type": "http.request", "body": sent, "more_body": False}]

        async def receive_again() -> Message:
            if not messages:
                await asyncio.Event().wait()  # nothing more is sent; whoever waits is cancelled
            return messages.pop()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                for name, value in message["headers"]:
                    reply.headers[name.decode()] = value.decode()
            elif message["type"] == "http.response.body":
                reply.body += message.get("body", b"")

        await self.app(scope, receive_again, keep)
        return reply

    async def leak(self, reply: Reply, sent: bytes) -> None:
        mutant = self.mutant
        found = IMAGE.match(reply.path)
        if found and reply.status == 200:
            secret = self.key[found[1]].of_right if found[2] else self.key[found[1]]
            if mutant.wait:
                await asyncio.sleep(mutant.wait(secret))
            if mutant.image:
                mutant.image(secret, reply)
        elif mutant.told and b'"tokens"' in reply.body:
            self.tell(reply, sent, mutant.told)
        elif mutant.page:
            mutant.page(reply)

    def tell(
        self,
        reply: Reply,
        sent: bytes,
        told: Callable[[list[Secret], Secret | None, dict[str, Any]], None],
    ) -> None:
        content = json.loads(reply.body)
        answered = json.loads(sent).get("token") if sent else None
        secrets = [self.key[token] for token in content["tokens"]]
        told(secrets, self.key[answered] if answered else None, content)
        reply.body = json.dumps(content, separators=(",", ":")).encode()

    def translate(self, who: str, reply: Reply) -> None:
        alias = self.mutant.alias
        if alias is None or b'"tokens"' not in reply.body:
            return
        content = json.loads(reply.body)
        for index, token in reversed(list(enumerate(content["tokens"]))):
            name = alias(self.key[token])
            self.real[who, name] = token
            content["tokens"][index] = name
        reply.body = json.dumps(content, separators=(",", ":")).encode()

    def translate_back(self, who: str, text: bytes) -> bytes:
        for (cookie, name), token in self.real.items():
            if cookie == who and name.encode() in text:
                return text.replace(name.encode(), token.encode())
        return text


async def whole_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def compress(reply: Reply, accepted: str) -> None:
    """As a proxy does to everything, unless it is asked not to."""
    is_fixed = "no-transform" in reply.headers.get("cache-control", "")
    if "gzip" in accepted and not is_fixed and "content-encoding" not in reply.headers:
        reply.body = gzip.compress(reply.body, mtime=0)
        reply.headers["content-encoding"] = "gzip"


async def deliver(reply: Reply, method: str, send: Send) -> None:
    if reply.status not in {204, 304}:
        reply.headers["content-length"] = str(len(reply.body))
    headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if method == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})
