"""Files that are made while they are read, into a zip on its way to a browser or into a folder."""

import shutil
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from app.errors import Invalid

File = tuple[str, Iterator[bytes]]


def zipped(files: Iterable[File], now: datetime) -> Iterator[bytes]:
    """A zip, piece by piece."""
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files:
            about = zipfile.ZipInfo(name, now.timetuple()[:6])
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            with archive.open(about, "w", force_zip64=True) as entry:
                for piece in content:
                    entry.write(piece)
                    yield sink.taken()
    yield sink.taken()


class Sink:
    """What was written since it was last taken; nobody can go back in it."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written can still be taken."""

    def taken(self) -> bytes:
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting


def write_out(files: Iterable[File], out: Path, now: datetime) -> list[str]:
    """A folder, or a zip where the name ends in .zip; it is there when it is whole.

    The names of what is in it. Invalid when there is something of that name.
    """
    if out.exists():
        raise Invalid(f"{out} exists; choose a new folder or zip.")
    names: list[str] = []
    unfinished = out.with_name(f".{out.name}.unfinished")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        if out.suffix == ".zip":
            with unfinished.open("wb") as file:
                file.writelines(zipped(noted(files, names), now))
        else:
            write_folder(noted(files, names), unfinished)
        unfinished.rename(out)
    finally:
        remove(unfinished)
    return names


def noted(files: Iterable[File], names: list[str]) -> Iterator[File]:
    for name, content in files:
        names.append(name)
        yield name, content


def write_folder(files: Iterable[File], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files:
        with (folder / name).open("wb") as file:
            file.writelines(content)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
