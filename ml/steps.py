"""What every step of a run does alike: never twice the same work, tables whole, facts last."""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ml.errors import MlError
from ml.files import whole_file
from ml.provenance import provenance, utc_now

Row = TypeVar("Row")


def once(
    out: Path,
    name: str,
    identity: dict[str, Any],
    work: Callable[[], dict[str, Any]],
    *,
    fresh: bool = False,
) -> dict[str, Any]:
    """The facts in `out`/`name`.json if `identity` made them; else those of `work`, written last.

    `identity` (ready for JSON) is all that decides the result: settings, seed, digests.
    """
    path = out / f"{name}.json"
    ours = json.loads(json.dumps(identity))
    if path.is_file() and not fresh:
        return _kept(path, ours)
    began = time.monotonic()
    result = work()
    facts = {
        **ours,
        **result,
        "created_at": utc_now(),
        "seconds": time.monotonic() - began,
        "provenance": provenance(),
    }
    write_json(path, facts)
    return facts


def _kept(path: Path, ours: dict[str, Any]) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        differing = ", ".join(key for key in ours if kept[key] != ours[key])
    except (ValueError, KeyError, TypeError) as error:
        raise MlError(f"{path} is damaged ({error!r}); start over with --fresh.") from None
    if differing:
        raise MlError(
            f"{path} was made with other settings ({differing}); "
            "choose another folder, or replace it with --fresh."
        )
    return kept


def write_json(path: Path, facts: dict[str, Any]) -> None:
    with whole_file(path) as beside:
        beside.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def write_table(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    """CSV with the columns of the dataclass `kind`, even when there is no row; None is empty."""
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(kind)])  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)  # type: ignore[call-overload]


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """What `write_table` wrote; MlError if it is another table."""
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(lines)]
        return TypeAdapter(list[kind]).validate_python(rows)  # type: ignore[valid-type]
    except (OSError, ValidationError) as error:
        first_line = str(error).partition("\n")[0]
        raise MlError(f"{path} cannot be read ({first_line}); run its step again.") from None
