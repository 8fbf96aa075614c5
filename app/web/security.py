"""What every answer carries and every request must pass."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB = 1024 * 1024
UPLOADS = {"/batches", "/api/v1/batches"}
PIECE = re.compile(r"/deliveries/[0-9a-f]{32}/bytes")
PIECE_BYTES = 4 * MIB
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def is_cross_site(headers: Headers) -> bool:
    """Whether another site sent this.

    Browsers say so in Sec-Fetch-Site on https and on this machine; elsewhere Origin tells.
    Under our own Referrer-Policy a form of ours has the origin "null": there the SameSite
    cookies keep other sites out.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != headers.get("host")


class Security:
    """ASGI middleware: our headers on every answer, cross-site changes and huge bodies refused."""

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        limit = self.limit(scope["path"])
        refusal = self.refusal(scope["method"], Headers(scope=scope), limit)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def limit(self, path: str) -> int:
        """Uploads go to the disk; everything else is held in memory, and is small."""
        if path in UPLOADS:
            return self.max_body
        return PIECE_BYTES if PIECE.fullmatch(path) else MIB

    @staticmethod
    def refusal(method: str, headers: Headers, limit: int) -> PlainTextResponse | None:
        if method in SAFE_METHODS:
            return None
        if is_cross_site(headers):
            return PlainTextResponse("This was sent by another site and is refused.", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            return PlainTextResponse("A request needs a Content-Length.", 411)
        if int(length) > limit:
            return PlainTextResponse(
                f"This is larger than the {limit // MIB} MiB that are allowed.", 413
            )
        return None
