"""8-bit RGB PNG bytes to pixels, or the reason why not. Only header and pixels are interpreted."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.batches.domain import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = 2
COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
COLOUR_CHUNKS = {b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"cICP"}
ANIMATION_CHUNKS = {b"acTL", b"fcTL", b"fdAT"}


class NotPlainPngError(Exception):
    """Why not, as the end of a sentence about the file."""


@dataclass(frozen=True)
class Picture:
    """`colour` holds the chunks that say how the grey levels are to be shown."""

    pixels: Pixels
    colour: frozenset[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    body: bytes

    def encode(self) -> bytes:
        checksum = zlib.crc32(self.kind + self.body)
        return (
            struct.pack(">I", len(self.body)) + self.kind + self.body + struct.pack(">I", checksum)
        )


def decode(content: bytes, max_pixels: int) -> Picture:
    """Raises NotPlainPngError. Nothing is decompressed before the header is found acceptable."""
    if not content.startswith(SIGNATURE):
        raise NotPlainPngError("is not a PNG")
    chunks = list(read_chunks(content))
    check_header(chunks[0], max_pixels)
    kinds = {chunk.kind for chunk in chunks}
    if kinds & ANIMATION_CHUNKS:
        raise NotPlainPngError("is an animated PNG")
    if b"tRNS" in kinds:
        raise NotPlainPngError("is a PNG with a transparent colour")
    unknown = [kind for kind in kinds - CRITICAL if kind[:1].isupper()]
    if unknown:
        raise NotPlainPngError(f"is a PNG with an unknown critical chunk {unknown[0]!r}")
    colour = frozenset((chunk.kind, chunk.body) for chunk in chunks if chunk.kind in COLOUR_CHUNKS)
    return Picture(decode_pixels(chunks), colour)


def read_chunks(content: bytes) -> Iterator[Chunk]:
    """All chunks, from the first after the signature to IEND, their checksums verified."""
    position = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if position + 12 > len(content):
            raise NotPlainPngError("is truncated")
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = Chunk(kind, content[position + 8 : position + 8 + length])
        position += 12 + length
        if position > len(content):
            raise NotPlainPngError("is truncated")
        if chunk.encode()[-4:] != content[position - 4 : position]:
            raise NotPlainPngError(f"is damaged in its {kind!r} chunk")
        yield chunk
    if position != len(content):
        raise NotPlainPngError("is a PNG with something behind its end")


def check_header(header: Chunk, max_pixels: int) -> None:
    if header.kind != b"IHDR" or len(header.body) != 13:
        raise NotPlainPngError("is a PNG without a header")
    width, height, bits, colour_type = struct.unpack_from(">IIBB", header.body)
    if colour_type != RGB or bits != 8:
        kind = COLOUR_TYPES.get(colour_type, "of an unknown kind")
        raise NotPlainPngError(f"is a PNG that is {bits}-bit {kind}, not 8-bit RGB")
    if not 0 < width * height <= max_pixels:
        raise NotPlainPngError(f"is {width} x {height}, not between 1 and {max_pixels} pixels")


def decode_pixels(chunks: list[Chunk]) -> Pixels:
    """By way of a PNG with nothing but header and pixels: what else was there has no effect."""
    kept = (chunk.encode() for chunk in chunks if chunk.kind in {b"IHDR", b"IDAT", b"IEND"})
    try:
        with Image.open(io.BytesIO(SIGNATURE + b"".join(kept)), formats=["PNG"]) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise NotPlainPngError(f"is a damaged PNG ({error})") from error
