"""The files of a batch, from a folder or a zip, under limits that hold whatever they contain."""

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from app.batches.manifest import MANIFEST

MIB = 2**20
PIECE_BYTES = 256 * 1024
LISTING_BYTES_A_FILE = 512
ENCRYPTED = 0x1
LITTER = re.compile(r"(^|/)(__MACOSX/.*|\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$")
OUTSIDE = re.compile(r"^[A-Za-z]:|\\|(^|/)\.{0,2}(/|$)")

READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the operating system raises, and zipfile on damaged or unusual archives."""


@dataclass(frozen=True)
class Limits:
    """For one batch, counted in what is really read; `pixels` is for one image."""

    files: int = 40_008
    file_bytes: int = 32 * MIB
    total_bytes: int = 2048 * MIB
    pixels: int = 4096 * 4096


class UnreadableError(Exception):
    """Why something cannot be read, as the end of a sentence about it."""


class TotalTooLargeError(Exception):
    """The files are together above `Limits.total_bytes`: to read any further is no use."""


class Container(Protocol):
    """A folder or a zip. `faults` are the problems of what `paths` leaves out."""

    paths: list[str]
    faults: list[str]

    def open(self, path: str) -> IO[bytes]:
        """Raises UnreadableError, or what the operating system and zipfile raise."""


class Source(Protocol):
    """Named files that can be read one by one; `faults` tell of those that cannot."""

    limits: Limits

    @property
    def names(self) -> Collection[str]: ...

    @property
    def faults(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes:
        """Raises UnreadableError, or TotalTooLargeError."""


class Files:
    """The files by the names that a manifest uses, relative to the folder of `batch.json`."""

    def __init__(self, container: Container, limits: Limits) -> None:
        self.container = container
        self.limits = limits
        self.paths = below_manifest(container.paths)
        self.total = 0

    @property
    def names(self) -> Collection[str]:
        return self.paths.keys()

    @property
    def faults(self) -> Sequence[str]:
        return self.container.faults

    def read(self, name: str) -> bytes:
        """Raises UnreadableError, or TotalTooLargeError."""
        if name not in self.paths:
            raise UnreadableError("is missing; copy the batch again")
        try:
            with self.container.open(self.paths[name]) as stream:
                content = read_beyond(self.limits.file_bytes, stream)
        except READ_ERRORS as error:
            raise UnreadableError(f"cannot be read ({error}); copy the batch again") from error
        self.count(len(content))
        if len(content) > self.limits.file_bytes:
            raise UnreadableError(f"is larger than the limit of {self.limits.file_bytes} bytes")
        return content

    def copy(self, name: str, target: IO[bytes]) -> None:
        """A file that may be large, piece by piece. Raises as `read` does."""
        try:
            with self.container.open(self.paths[name]) as stream:
                while piece := stream.read(PIECE_BYTES):
                    self.count(len(piece))
                    target.write(piece)
        except READ_ERRORS as error:
            raise UnreadableError(f"cannot be read ({error}); send it again") from error

    def count(self, more: int) -> None:
        self.total += more
        if self.total > self.limits.total_bytes:
            raise TotalTooLargeError


def read_beyond(limit: int, stream: IO[bytes]) -> bytes:
    """All of it, or more than `limit` of it; never much more memory than was read."""
    content = bytearray()
    while len(content) <= limit and (piece := stream.read(PIECE_BYTES)):
        content += piece
    return bytes(content)


def below_manifest(paths: Iterable[str]) -> Mapping[str, str]:
    """Name to path. When all lies in one folder, since people zip the folder, names omit it."""
    kept = [path for path in paths if not LITTER.search(path)]
    tops = {path.partition("/")[0] for path in kept}
    top = f"{tops.pop()}/" if len(tops) == 1 and MANIFEST not in kept else ""
    return {path.removeprefix(top): path for path in kept}


@contextmanager
def open_files(path: Path, limits: Limits) -> Iterator[Files]:
    """Raises UnreadableError when it is neither a folder nor a zip, or holds too many files."""
    if path.is_dir():
        yield Files(Folder(path, limits), limits)
    elif path.is_file():
        with GuardedFile(path) as stream:
            yield Files(Zip(stream, limits), limits)
    else:
        raise UnreadableError("is neither a folder nor a file")


class Folder:
    """Links are never followed, and nothing but plain files is opened."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root = root
        self.paths: list[str] = []
        self.faults: list[str] = []
        for folder, subfolders, files in os.walk(root, onerror=fail):
            here = Path(folder)
            for name in subfolders:
                if (here / name).is_symlink():
                    linked = (here / name).relative_to(root).as_posix()
                    self.faults.append(f"{linked} is a link; put the folder itself there.")
            self.paths.extend((here / name).relative_to(root).as_posix() for name in files)
            refuse_too_many(len(self.paths), limits)

    def open(self, path: str) -> IO[bytes]:
        file = self.root / path
        if file.is_symlink():
            raise UnreadableError("is a link; put the file itself there")
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnreadableError("is not a plain file")
        return os.fdopen(descriptor, "rb")


def fail(error: OSError) -> None:
    raise UnreadableError(f"cannot be listed ({error})")


def refuse_too_many(files: int, limits: Limits) -> None:
    if files > limits.files:
        raise UnreadableError(f"holds more than {limits.files} files")


class GuardedFile(io.FileIO):
    """zipfile reads the whole table of contents at once: `longest_read` bounds its memory."""

    longest_read: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.longest_read is not None and (size or 0) > self.longest_read:
            raise UnreadableError("has too long a table of contents")
        return super().read(size)


class Zip:
    """Nothing is ever unpacked to a disk: entries are read by name, within the limits."""

    def __init__(self, stream: GuardedFile, limits: Limits) -> None:
        stream.longest_read = limits.files * LISTING_BYTES_A_FILE
        try:
            self.archive = zipfile.ZipFile(stream)
        except READ_ERRORS as error:
            raise UnreadableError(f"is not a zip that can be read ({error})") from error
        stream.longest_read = None
        listed = self.archive.infolist()
        entries = [entry for entry in listed if not entry.orig_filename.endswith("/")]
        refuse_too_many(len(entries), limits)
        self.entries = {entry.orig_filename: entry for entry in entries}
        self.paths = [path for path in self.entries if not OUTSIDE.search(path)]
        self.faults = [
            f"{path} is a path that leaves the folder; make the zip again."
            for path in self.entries
            if OUTSIDE.search(path)
        ]
        self.faults.extend(
            f"{path} is {times} times in the zip; make the zip again."
            for path, times in Counter(entry.orig_filename for entry in entries).items()
            if times > 1
        )

    def open(self, path: str) -> IO[bytes]:
        entry = self.entries[path]
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UnreadableError("is a link; put the file itself there")
        if entry.flag_bits & ENCRYPTED:
            raise UnreadableError("is encrypted; make the zip again without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableError("is compressed by an unusual method; make the zip again")
        return self.archive.open(entry)
