"""What is known of one presentation besides the values of its pixels: a fact a name.

Pixel values are the stimulus itself: whoever analyses them by program sees what the reader is asked
to see. So nothing here depends on the contents of IDAT, but for its first bytes, which tell the
compressor, and a digest of the whole file, which the random chunk makes unique.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from benchmarks.blinding.seen import Exchange, Fact, Shown

Facts = dict[str, Fact]
SIGNATURE = 8


def facts_of(shown: Shown) -> Facts:
    return {
        **of_place(shown),
        **of_token(shown.token),
        **of_list(shown),
        **dict(of_images(shown)),
        **{f"page: {name}": value for name, value in shown.page.items()},
    }


def of_place(shown: Shown) -> Facts:
    position = shown.position
    rests = {f"place: position mod {n}": float(position % n) for n in (2, 3, 4, 5)}
    return {"place: position": float(position), "place: as a name": f"at {position}", **rests}


def of_token(token: str) -> Facts:
    """Its beginning and end as names and as numbers: ids that count or tell the time share them."""
    beginnings: Facts = {f"token: first {n}": token[:n] for n in (2, 4, 8)}
    parts = re.split(r"[^0-9a-zA-Z]+", token)
    named: Facts = {f"token: part {n}": part for n, part in enumerate(parts[:4])}
    return {
        **beginnings,
        **named,
        "token: whole": token,
        "token: end": token[-4:],
        "token: without digits": "".join(sign for sign in token if not sign.isdigit()),
        "token: length": float(len(token)),
        "token: first as number": as_number(token[:12]),
        "token: last as number": as_number(token[-8:]),
    }


def as_number(text: str) -> float:
    try:
        return float(int(text, 16))
    except ValueError:
        return float(zlib.crc32(text.encode()))


def of_list(shown: Shown) -> Facts:
    facts: Facts = {}
    for name, exchange in (("told", shown.told), ("answered", shown.answered)):
        if exchange is not None:
            facts |= dict(of_json(f"{name}:", exchange.json))
            facts |= of_exchange(name, exchange)
    return facts


def of_json(name: str, value: Any) -> Iterator[tuple[str, Fact]]:
    """Tokens have facts of their own; of a list its length is told."""
    match value:
        case dict():
            yield f"{name} names", " ".join(value)
            for key, inner in value.items():
                yield from of_json(f"{name} {key}", inner)
        case list():
            yield f"{name} length", float(len(value))
            yield f"{name} numbers", " ".join(str(i) for i in value if isinstance(i, int))
            for index, inner in enumerate(value):
                if isinstance(inner, dict | list):
                    yield from of_json(f"{name} {index}", inner)
        case bool() | None | str():
            yield name, str(value)
        case _:
            yield name, float(value)


def of_exchange(name: str, exchange: Exchange) -> Facts:
    headers: Facts = {f"{name}: header {key}": value for key, value in exchange.headers}
    return {
        **headers,
        f"{name}: status": float(exchange.status),
        f"{name}: names of headers": " ".join(key for key, _ in exchange.headers),
        f"{name}: header bytes": float(sum(len(k) + len(v) for k, v in exchange.headers)),
        f"{name}: wire bytes": float(exchange.wire_bytes),
        f"{name}: bytes": float(len(exchange.body)),
        f"{name}: waited": exchange.waited_ms,
        f"{name}: took": exchange.took_ms,
        f"{name}: took after waiting": exchange.took_ms - exchange.waited_ms,
    }


def of_images(shown: Shown) -> Iterator[tuple[str, Fact]]:
    yield "images: how many", float(len(shown.images))
    for number, image in enumerate(shown.images[:2]):
        name = f"image {number}"
        yield from of_exchange(name, image).items()
        yield f"{name}: url without token", image.url.replace(shown.token, "*")
        yield f"{name}: digest", hashlib.sha256(image.body).hexdigest()
        yield f"{name}: kind of url", f"{image.method} {len(image.url)}"
        yield from of_png(name, image.body)
    if shown.images and shown.told:
        yield "images: requests since told", float(shown.images[0].number - shown.told.number)


def of_png(name: str, png: bytes) -> Iterator[tuple[str, Fact]]:
    """Chunks, their order and lengths, everything in them that is not pixels."""
    found = list(chunks(png))
    yield (
        f"{name}: chunks",
        " ".join(f"{kind.decode('latin-1')}:{len(body)}" for kind, body in found),
    )
    pixels = b"".join(body for kind, body in found if kind == b"IDAT")
    yield f"{name}: IDAT bytes", float(len(pixels))
    yield f"{name}: compressor", pixels[:3].hex()
    for kind, body in found:
        if kind in (b"IDAT", b"IEND"):
            continue
        text = kind.decode("latin-1")
        yield f"{name}: {text}", body[:64].hex()
        yield f"{name}: {text} bytes", float(len(body))
        yield f"{name}: {text} different bytes", float(len(set(body)))


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents, as far as the file holds."""
    position = SIGNATURE
    while position + SIGNATURE <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length
