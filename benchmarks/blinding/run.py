"""Readers read under observation, with or without a leak."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.blinding.boundary import Boundary, Mutant
from benchmarks.blinding.plain_reader import PlainReader
from benchmarks.blinding.secrets import Key
from benchmarks.blinding.seen import Visit
from benchmarks.blinding.study import Prepared, served

Reads = Callable[[str, Sequence[str], Mutant | None, Key], list[Visit]]


def observed(prepared: Prepared, mutant: Mutant | None, reads: Reads) -> tuple[list[Visit], Key]:
    """`reads` reads all of a fresh copy of the study. The key stays readable."""
    folder = Path(tempfile.mkdtemp(prefix="plainsight-blinding-"))
    copy = prepared.copy(folder / "home")
    key = Key(copy.home)
    patched = mutant.patch() if mutant else nullcontext()
    try:
        with patched, served(copy, lambda app: Boundary(app, key, mutant)) as address:
            visits = reads(address, prepared.links, mutant, key)
        key.keep()
    finally:
        shutil.rmtree(folder)
    return visits, key


def plainly(address: str, links: Sequence[str], _mutant: Mutant | None, _key: Key) -> list[Visit]:
    visits: list[Visit] = []
    for reader, link in enumerate(links, start=1):
        others = [shown.token for visit in visits for shown in visit.shown]
        visits.append(PlainReader(address, reader, others).read(link))
    return visits
