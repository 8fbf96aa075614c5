"""The images as files under opaque names, each verified by its digest when it is read."""

import hashlib
import io
import os
import secrets
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

AFTER_HEADER = 8 + 4 + 4 + 13 + 4  # the PNG signature, and IHDR with its length, type and CRC
EMPTY_CHUNK = 4 + 4 + 4
PADDING_CHUNK = b"paDd"  # ancillary, private, safe to copy: every decoder skips it


class DamagedImageError(Exception):
    """A stored file is missing or is not what was imported."""


@dataclass(frozen=True)
class StoredImage:
    file: str
    sha256: str
    stored_bytes: int


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of (height, width, 3) grey levels with nothing but IHDR, IDAT and IEND.

    The deflate stream is stored, not compressed: the length depends on the size in pixels
    alone, since a perturbed image would compress worse than its original.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def pad(png: bytes, length: int) -> bytes:
    """The same image with random bytes in a private chunk, `length` bytes in all.

    ValueError when the image does not fit: at least 12 bytes more than `png` are needed.
    """
    filling = length - len(png) - EMPTY_CHUNK
    if filling < 0:
        raise ValueError(f"an image of {len(png)} bytes cannot be padded to {length}")
    body = PADDING_CHUNK + secrets.token_bytes(filling)
    chunk = struct.pack(">I", filling) + body + struct.pack(">I", zlib.crc32(body))
    return png[:AFTER_HEADER] + chunk + png[AFTER_HEADER:]


class ImageStore:
    """A folder of images; the images of one import lie in one subfolder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def new_folder(self, name: str = "") -> str:
        name = name or secrets.token_hex(16)
        (self.root / name).mkdir(parents=True)
        return name

    def write(self, folder: str, pixels: NDArray[np.uint8]) -> StoredImage:
        """Store an image durably: it is on the disk when this returns."""
        png = encode(pixels)
        file = f"{folder}/{secrets.token_hex(16)}.png"
        with (self.root / file).open("xb") as stream:
            stream.write(png)
            stream.flush()
            os.fsync(stream.fileno())
        return StoredImage(file, hashlib.sha256(png).hexdigest(), len(png))

    def settle(self, folder: str) -> None:
        """Make the names of a folder's images as durable as the images."""
        for path in (self.root / folder, self.root):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self, file: str, sha256: str) -> bytes:
        """DamagedImageError when the file is missing or has changed since it was imported."""
        try:
            png = (self.root / file).read_bytes()
        except OSError as error:
            raise DamagedImageError(f"the image {file} cannot be read: {error.strerror}") from error
        if hashlib.sha256(png).hexdigest() != sha256:
            raise DamagedImageError(f"the image {file} is not the one that was imported")
        return png

    def has(self, file: str) -> bool:
        return (self.root / file).is_file()

    def discard(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)
