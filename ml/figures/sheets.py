"""Tables of a run as a page shows them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 200
"""Lines of a table on the page; the rest is in its file."""


@dataclass(frozen=True)
class Sheet:
    """`rows` are the first of `total`; `numeric` says of each column whether it holds numbers."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    total: int


def read_sheet(path: Path) -> Sheet | None:
    """None where there is no such table; floats are told with four digits."""
    if path.suffix != ".csv" or not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = list(csv.reader(stream)) or [[]]
    return sheet(path.name, header, lines)


def sheet(name: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> Sheet:
    numeric = tuple(
        bool(lines) and all(_is_number(line[i]) for line in lines if line[i])
        for i in range(len(header))
    )
    rows = tuple(tuple(_short(cell) for cell in line) for line in lines[:LONGEST])
    return Sheet(name, tuple(header), rows, numeric, len(lines))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _short(cell: str) -> str:
    if not _is_number(cell) or cell.lstrip("-").isdigit():
        return cell
    return f"{float(cell):.4g}"
