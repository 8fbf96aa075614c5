"""The text of a frozen plan: one way to write it, its digest, and what differs from another."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]
WHERE_IT_WAS_WRITTEN = ("code", "amends", "reason")  # not part of what was planned


def canonical(record: Record) -> str:
    """JSON with sorted keys and no white space: the same record is the same text everywhere."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """SHA-256 of the text in UTF-8, which is what `sha256sum` says of the downloaded file."""
    return hashlib.sha256(text.encode()).hexdigest()


def planned(record: Record) -> Record:
    return {name: part for name, part in record.items() if name not in WHERE_IT_WAS_WRITTEN}


def differences(said: Any, found: Any, name: str = "") -> Iterator[str]:
    """A sentence for everything that is not as it was said, by its place in the record."""
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        for key in sorted({*said, *found}):
            place = f"{name}.{key}" if name else key
            yield from differences(said.get(key), found.get(key), place)
    elif said != found:
        yield f"{name} is {in_short(found)}; the protocol says {in_short(said)}."


def in_short(value: Any) -> str:
    text = canonical({"": value})[4:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."
