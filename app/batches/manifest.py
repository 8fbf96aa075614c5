"""The manifest of a batch: read it, or say everything that is wrong with its shape."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from app.batches.problems import Problems

MANIFEST = "batch.json"
FORMAT_VERSION = 1
ORIGINAL = "original"
NESTING = 50
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")

# These models accept what docs/batch.schema.json accepts, but for times that no
# calendar has, and whole numbers that no database column holds.


def whole(value: object) -> object:
    """JSON has one kind of number: 2.0 is a whole number, and true is none."""
    if isinstance(value, bool):
        raise PydanticCustomError("whole", "should be a whole number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def listed(value: object) -> object:
    """A list as the tuple that a frozen part holds."""
    return tuple(value) if isinstance(value, list) else value


def utc(value: object) -> datetime:
    if not isinstance(value, str) or not TIME.fullmatch(value):
        raise PydanticCustomError("utc", "should be a time in UTC such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("utc", "is not a time that exists") from None


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
File = Annotated[str, Field(pattern=r"^images/[A-Za-z0-9_-]{16,64}\.png$")]
NumberText = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?$")]
Probability = Annotated[float, Field(ge=0, le=1)]
GreyLevels = Annotated[float, Field(ge=0, le=255)]
Text100 = Annotated[str, Field(min_length=1, max_length=100)]
Text200 = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**31 - 1)]
Index = Annotated[int, BeforeValidator(whole), Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, BeforeValidator(whole), Field(ge=0, le=2**64 - 1)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkData(Part):
    name: Text200
    sha256: Sha256


class Metrics(Part):
    """On held-out original patches. More may have been measured than is named here."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    auc: Probability
    accuracy: Probability
    n: Count


class Network(Part):
    architecture: Text100
    file_sha256: Sha256
    data: NetworkData
    metrics: Metrics


class Condition(Part):
    """An attack and its budget: `epsilon` as written, in grey levels, for l0 a share of pixels."""

    id: Identifier
    attack: Identifier
    norm: Literal["none", "l0", "l1", "l2", "linf"]
    epsilon: NumberText | None
    steps: Count
    step_size: NumberText
    confidence_target: Probability
    seed: Seed

    @field_validator("id")
    @classmethod
    def not_the_original(cls, value: str) -> str:
        if value == ORIGINAL:
            raise PydanticCustomError("reserved", "is a reserved name; give the condition another")
        return value

    @field_validator("epsilon")
    @classmethod
    def belongs_to_a_norm(cls, value: str | None, info: ValidationInfo) -> str | None:
        norm = info.data.get("norm")
        if norm == "none" and value is not None:
            raise PydanticCustomError("no_norm", "should be null, since the norm is none")
        if norm not in (None, "none") and value is None:
            raise PydanticCustomError("no_epsilon", "should be a number, since there is a norm")
        return value


class Source(Part):
    data_set: Text100
    fold: Annotated[str, Field(max_length=100)]
    index: Index


class OriginalImage(Part):
    file: File
    sha256: Sha256
    p_positive: Probability

    @property
    def condition(self) -> str:
        return ORIGINAL


class Measured(Part):
    """All four norms of a perturbation; the last three in grey levels."""

    l0_fraction: Probability
    l1_mad: GreyLevels
    l2_rmsd: GreyLevels
    linf: Annotated[int, BeforeValidator(whole), Field(ge=0, le=255)]


class PerturbedImage(Part):
    condition: Identifier
    file: File
    sha256: Sha256
    p_positive: Probability
    success: bool
    measured: Measured


class Case(Part):
    id: Identifier
    truth: Annotated[Literal[0, 1], BeforeValidator(whole)]
    source: Source
    micrometres_per_pixel: Annotated[float, Field(gt=0, le=100)]
    original: OriginalImage
    perturbed: Annotated[
        tuple[PerturbedImage, ...], BeforeValidator(listed), Field(min_length=1, max_length=100)
    ]

    @property
    def images(self) -> tuple[OriginalImage | PerturbedImage, ...]:
        """The original first."""
        return (self.original, *self.perturbed)


class Manifest(Part):
    format: Literal["plainsight-batch"]
    format_version: Annotated[Literal[1], BeforeValidator(whole)]
    name: Text200
    created_at: Annotated[datetime, BeforeValidator(utc)]
    criterion: Annotated[str, Field(min_length=1, max_length=500)]
    network: Network
    conditions: Annotated[
        tuple[Condition, ...], BeforeValidator(listed), Field(min_length=1, max_length=100)
    ]
    cases: Annotated[
        tuple[Case, ...], BeforeValidator(listed), Field(min_length=1, max_length=10_000)
    ]
    provenance: dict[str, Any]


Entry = TypeVar("Entry", bound=Part)


@dataclass(frozen=True)
class Contents:
    """What could be read of a manifest; `manifest` is None when that is not all of it.

    `condition_ids` and `files` are named anywhere, also in entries with something else wrong.
    """

    manifest: Manifest | None
    conditions: tuple[Condition, ...]
    cases: tuple[Case, ...]
    condition_ids: frozenset[str]
    files: frozenset[str]


def read_manifest(content: bytes, problems: Problems) -> Contents | None:
    """None when nothing can be said about what the manifest holds."""
    document = parse_json(content, problems)
    if document is None:
        return None
    version = document.get("format_version", FORMAT_VERSION)
    if isinstance(version, bool) or version != FORMAT_VERSION:
        problems.add(
            f"{MANIFEST} has format_version {json.dumps(version)}, but this Plainsight reads "
            f"version {FORMAT_VERSION} only; import it with the version that knows it."
        )
        return None
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            problems.add(in_words(document, detail))
        return salvage(document)
    return Contents(
        manifest,
        manifest.conditions,
        manifest.cases,
        frozenset(condition.id for condition in manifest.conditions),
        frozenset(named(document["cases"], "file")),
    )


def salvage(document: dict[str, Any]) -> Contents:
    """The entries that can be read, so that their files are checked in the same go."""
    return Contents(
        None,
        tuple(readable(Condition, document.get("conditions"))),
        tuple(readable(Case, document.get("cases"))),
        frozenset(named(document.get("conditions"), "id")),
        frozenset(named(document.get("cases"), "file")),
    )


def readable(kind: type[Entry], entries: object) -> Iterator[Entry]:
    for entry in entries if isinstance(entries, list) else []:
        with suppress(ValidationError):
            yield kind.model_validate(entry)


def named(document: object, key: str) -> Iterator[str]:
    """Every text that stands under this key, at any depth."""
    for _, node in nodes(document):
        if isinstance(node, dict) and isinstance(node.get(key), str):
            yield node[key]


def nodes(document: object) -> Iterator[tuple[int, object]]:
    """Every value and every key of parsed JSON, with its depth."""
    waiting = [(0, document)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        if isinstance(node, dict):
            waiting.extend((depth + 1, child) for child in (*node, *node.values()))
        elif isinstance(node, list):
            waiting.extend((depth + 1, child) for child in node)


def parse_json(content: bytes, problems: Problems) -> dict[str, Any] | None:
    """Stricter than Python: no NaN, no key twice, nothing that cannot be stored. None if wrong."""
    before = problems.total
    document: object = None
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=lambda pairs: object_of(pairs, problems),
            parse_float=finite,
            parse_constant=finite,
        )
    except UnicodeDecodeError:
        problems.add(f"{MANIFEST} is not UTF-8 text; write it again as UTF-8.")
    except RecursionError:
        problems.add(f"{MANIFEST} is nested too deeply.")
    except ValueError as error:
        problems.add(f"{MANIFEST} is not JSON: {error}.")
    else:
        problems.extend(unstorable(document))
    return document if isinstance(document, dict) and problems.total == before else None


def object_of(pairs: list[tuple[str, Any]], problems: Problems) -> dict[str, Any]:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            problems.add(f'{MANIFEST} has the key "{key}" {times} times in one object; keep one.')
    return dict(pairs)


def finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that can be stored")
    return number


def unstorable(document: object) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"{MANIFEST} should hold an object, in braces."
    if any(depth > NESTING for depth, _ in nodes(document)):
        yield f"{MANIFEST} is nested too deeply."
    if any(isinstance(node, str) and UNSTORABLE.search(node) for _, node in nodes(document)):
        yield f"{MANIFEST} has a text with a character that cannot be stored (NUL or a surrogate)."


ENTRIES = {
    "cases": ("case", "id"),
    "conditions": ("condition", "id"),
    "perturbed": ("condition", "condition"),
}
WORDS = {
    "missing": "the field is missing",
    "extra_forbidden": "is not a field of this format; remove it",
    "string_type": "should be text",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
}


def in_words(document: dict[str, Any], detail: ErrorDetails) -> str:
    """Such as "case c07, condition linf-2, sha256: the field is missing"."""
    kind, message = detail["type"], detail["msg"].replace(" after validation", "")
    what = WORDS.get(kind) or re.sub(r"^(Input|String|Value) should", "should", message)
    return f"{', '.join(place(document, detail['loc']))}: {what}."


def place(document: object, path: tuple[int | str, ...]) -> list[str]:
    words = [MANIFEST]
    node = document
    for step in path:
        node = child(node, step)
        if isinstance(step, int):
            noun, key = ENTRIES[words.pop()]
            name = node.get(key) if isinstance(node, dict) else None
            words.append(f"{noun} {name}" if isinstance(name, str) else f"{noun} number {step + 1}")
        else:
            words.append(step)
    return words


def child(node: Any, step: int | str) -> object:
    try:
        return node[step]
    except (KeyError, IndexError, TypeError):
        return None
