"""Two folders, or two zips, as one source of images named original/... and perturbed/..."""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.batches.files import Limits, Source, open_files
from app.batches.lines import ORIGINALS, PERTURBED

ZIPS = {"original.zip": ORIGINALS, "perturbed.zip": PERTURBED}


class TwoSources:
    """Each side's files, with the side before their names."""

    def __init__(self, original: Source, perturbed: Source, limits: Limits) -> None:
        self.sides = {ORIGINALS: original, PERTURBED: perturbed}
        self.limits = limits

    @property
    def names(self) -> Collection[str]:
        return {f"{side}{name}" for side, source in self.sides.items() for name in source.names}

    @property
    def faults(self) -> Sequence[str]:
        return [f"{side}{fault}" for side, source in self.sides.items() for fault in source.faults]

    def read(self, name: str) -> bytes:
        side, _, inside = name.partition("/")
        return self.sides[f"{side}/"].read(inside)


@contextmanager
def open_two(original: Path, perturbed: Path, limits: Limits) -> Iterator[Source]:
    """Each is a folder or a zip."""
    with open_files(original, limits) as one, open_files(perturbed, limits) as other:
        yield TwoSources(one, other, limits)


@contextmanager
def open_delivered(path: Path, limits: Limits) -> Iterator[Source]:
    """One zip, or folder, that holds the two folders, or two zips, or a table and its images."""
    with open_files(path, limits) as files, ExitStack() as stack:
        if set(files.names) != set(ZIPS):
            yield files
            return
        unpacked = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent)))
        for name in ZIPS:
            with (unpacked / name).open("xb") as target:
                files.copy(name, target)
        sides = [unpacked / name for name in ZIPS]
        yield stack.enter_context(open_two(sides[0], sides[1], limits))
