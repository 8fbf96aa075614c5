"""Where the bytes of deliveries lie until they are imported."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.batches.details import Details
from app.batches.sides import ZIPS
from app.web.security import PIECE_BYTES

LEFT_SECONDS = 24 * 60 * 60


class DeliveryFolder:
    """The files of deliveries that are not done: `content` is a zip or a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def content(self, token: str) -> Path:
        return self.root / token / "content"

    def make(self, token: str) -> Path:
        """Where the content of a new delivery goes."""
        (self.root / token).mkdir(parents=True)
        return self.content(token)

    def describe(self, token: str, details: Details | None) -> None:
        """What was said of images that another tool attacked."""
        if details is not None:
            text = json.dumps(details.model_dump())
            (self.root / token / "details.json").write_text(text, encoding="utf-8")

    def is_complete(self, token: str) -> bool:
        """Not when only one of two zips is there."""
        content = self.content(token)
        return content.is_file() or {path.name for path in content.iterdir()} == set(ZIPS)

    def details(self, token: str) -> Details:
        text = (self.root / token / "details.json").read_text(encoding="utf-8")
        return Details.model_validate_json(text)

    @contextmanager
    def held(self, token: str) -> Iterator[None]:
        """One piece of a delivery at a time, also when a sender is there twice."""
        descriptor = os.open(self.root / token / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, token: str, offset: int, piece: bytes) -> None:
        """What stood behind the offset was of a request that never ended."""
        with os.fdopen(os.open(self.content(token), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(piece)

    def settle(self, token: str) -> None:
        """On the disk, also after a loss of power."""
        for path in (self.content(token), self.root / token, self.root):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def digests(self, token: str, received: int) -> list[str]:
        """SHA-256 of each piece of what is here, the last one perhaps shorter."""
        return list(self.piece_digests(token, received)) if received else []

    def piece_digests(self, token: str, received: int) -> Iterator[str]:
        with self.content(token).open("rb") as file:
            while received > 0:
                piece = file.read(min(PIECE_BYTES, received))
                received -= len(piece) or received
                yield hashlib.sha256(piece).hexdigest()

    def tidy(self, wanted: Collection[str]) -> None:
        """Remove old folders of no wanted delivery; a young one may be just arriving."""
        for path in self.root.iterdir():
            is_old = time.time() - path.stat().st_mtime > LEFT_SECONDS
            if path.is_dir() and is_old and path.name not in wanted:
                self.discard(path.name)

    def discard(self, token: str) -> None:
        shutil.rmtree(self.root / token, ignore_errors=True)
