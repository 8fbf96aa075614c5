"""The smallest perturbations that fooled the network, to hold what readers see against."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from app.analysis.cells import Line
from app.analysis.exported import NetworkEpsilon
from app.errors import Invalid


class Smallest(NamedTuple):
    """Of one patch; `epsilon` is infinite where nothing fooled the network."""

    norm: str | None
    epsilon: float


def smallest_of(line: Line) -> Smallest:
    """A line of network.csv."""
    value = line.text("epsilon_8bit")
    try:
        epsilon = float(value)
    except ValueError:
        epsilon = math.nan
    if not epsilon > 0:
        line.wrong("epsilon_8bit", value, "write a number above 0, inf where there is none")
    return Smallest(line.needed("norm"), epsilon)


def in_norms(source: str, rows: Iterable[Smallest]) -> tuple[NetworkEpsilon, ...]:
    """One entry a norm, in the order of their names."""
    found: dict[str | None, list[float]] = {}
    for row in rows:
        found.setdefault(row.norm, []).append(row.epsilon)
    in_order = sorted(found.items(), key=lambda item: item[0] or "")
    return tuple(NetworkEpsilon(source, tuple(values), norm) for norm, values in in_order)


def read_network(source: str, norm: str | None) -> tuple[NetworkEpsilon, ...]:
    """A number, or the column epsilon_8bit (else epsilon) of a CSV file; of one norm, or of all
    that the file has."""
    try:
        number = float(source)
    except ValueError:
        return read_network_file(Path(source), norm)
    if not (number > 0 and math.isfinite(number)):
        raise Invalid(f"--network-epsilon {source}: it should be above 0.")
    return (NetworkEpsilon(source, (number,), norm),)


def read_network_file(path: Path, norm: str | None) -> tuple[NetworkEpsilon, ...]:
    if not path.is_file():
        raise Invalid(f"--network-epsilon {path}: neither a number above 0 nor a file.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        names = lines.fieldnames or ()
        column = next((each for each in ("epsilon_8bit", "epsilon") if each in names), None)
        if column is None:
            raise Invalid(f"{path}, line 1: it has no column epsilon_8bit or epsilon.")
        try:
            rows = [Smallest(line.get("norm") or norm, float(line[column])) for line in lines]
        except ValueError as error:
            told = f"{path}, column {column}: {error}; write numbers, inf for none."
            raise Invalid(told) from error
    found = [row for row in rows if norm in {None, row.norm}]
    if not found or not all(row.epsilon > 0 for row in found):
        named = f" of norm {norm}" if norm else ""
        raise Invalid(f"{path}, column {column}: it needs numbers above 0{named}.")
    return in_norms(str(path), found)
