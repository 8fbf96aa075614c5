"""Files that must have the digest that the manifest names."""

import hashlib

from app.batches.files import Source
from app.batches.manifest import MANIFEST


class WrongDigestError(Exception):
    """Its argument is the digest that the file has."""


def read_unchanged(files: Source, name: str, sha256: str) -> bytes:
    """Raises UnreadableError, TotalTooLargeError or WrongDigestError."""
    content = files.read(name)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WrongDigestError(digest)
    return content


def other_digest(found: WrongDigestError, said: str) -> str:
    return f"has sha256 {found}, {MANIFEST} says {said}; copy the batch again"
