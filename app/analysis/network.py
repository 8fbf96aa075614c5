"""The smallest perturbations that fooled the network, to hold what readers see against."""

import csv
import math
from pathlib import Path

from app.analysis.sections.rows import NetworkEpsilon
from app.errors import Invalid


def read_network(source: str, norm: str | None) -> NetworkEpsilon:
    """A number, or the column epsilon_8bit (else epsilon) of a CSV file, of one norm."""
    try:
        number = float(source)
    except ValueError:
        return read_network_file(Path(source), norm)
    if not (number > 0 and math.isfinite(number)):
        raise Invalid(f"--network-epsilon {source}: it should be above 0.")
    return NetworkEpsilon(source, (number,), norm)


def read_network_file(path: Path, norm: str | None) -> NetworkEpsilon:
    if not path.is_file():
        raise Invalid(f"--network-epsilon {path}: neither a number above 0 nor a file.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        names = lines.fieldnames or ()
        column = next((each for each in ("epsilon_8bit", "epsilon") if each in names), None)
        if column is None:
            raise Invalid(f"{path}, line 1: it has no column epsilon_8bit or epsilon.")
        rows = [(line.get("norm") or norm, line[column]) for line in lines]
    norms = {found for found, _ in rows}
    if norm is None and len(norms) > 1:
        named = ", ".join(sorted(str(each) for each in norms))
        raise Invalid(f"{path} has several norms, {named}: choose one with --network-norm.")
    chosen = norm if norm is not None else next(iter(norms), None)
    try:
        values = tuple(float(value) for found, value in rows if found == chosen)
    except ValueError as error:
        raise Invalid(f"{path}, column {column}: {error}; write numbers, inf for none.") from error
    if not values or min(values) <= 0 or math.isnan(sum(values)):
        raise Invalid(f"{path}, column {column}: it needs numbers above 0 of norm {chosen}.")
    return NetworkEpsilon(str(path), values, chosen)
