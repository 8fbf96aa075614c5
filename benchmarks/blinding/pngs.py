"""PNG files taken apart and put together differently, as a careless server would send them."""

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.blinding.facts import chunks

Chunk = tuple[bytes, bytes]
NOISE = b"paDd"


def assembled(parts: Sequence[Chunk]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(encoded, parts))


def encoded(part: Chunk) -> bytes:
    kind, body = part
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png: bytes, kind: bytes, body: bytes, *, same_length: bool = True) -> bytes:
    """One chunk more; the random chunk is shortened, so that the length does not tell it."""
    parts = list(chunks(png))
    if same_length:
        parts = [(k, b[len(body) + 12 :] if k == NOISE else b) for k, b in parts]
    return assembled([parts[0], (kind, body), *parts[1:]])


def without(png: bytes, kind: bytes) -> bytes:
    return assembled([part for part in chunks(png) if part[0] != kind])


def with_noise(png: bytes, noise: bytes) -> bytes:
    return assembled([(k, noise[: len(b)] if k == NOISE else b) for k, b in chunks(png)])


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image)


def compressed(png: bytes, level: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(png)).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def padded(png: bytes, length: int) -> bytes:
    """To the length of what was sent before, with zeros."""
    parts = list(chunks(png))
    return assembled([parts[0], (NOISE, bytes(length - len(png) - 12)), *parts[1:]])


def with_compressor(png: bytes, second: int) -> bytes:
    """Another level named in the header of the deflate stream, all else the same."""
    changed = False
    parts = []
    for kind, body in chunks(png):
        is_first = kind == b"IDAT" and not changed
        changed = changed or is_first
        parts.append((kind, body[:1] + bytes([second]) + body[2:] if is_first else body))
    return assembled(parts)


def split(png: bytes, at: int) -> bytes:
    """IDAT in two parts, the length kept."""
    parts: list[Chunk] = []
    for kind, body in chunks(png):
        if kind == b"IDAT" and len(body) > at and not any(k == b"IDAT" for k, _ in parts):
            parts += [(kind, body[:at]), (kind, body[at:])]
        else:
            parts.append((kind, body[12:] if kind == NOISE else body))
    return assembled(parts)


def digest(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def other_form(png: bytes, *, alpha: bool = False, cut: int = 0) -> bytes:
    """With an opaque alpha channel, or fewer rows; where it can be, padded to the same length."""
    shown = pixels(png)
    image = Image.fromarray(shown[: len(shown) - cut])
    buffer = io.BytesIO()
    (image.convert("RGBA") if alpha else image).save(buffer, "PNG", compress_level=0)
    made = buffer.getvalue()
    return padded(made, len(png)) if len(made) + 12 <= len(png) else made
