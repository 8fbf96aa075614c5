"""The manifest of a batch: read it, or say everything that is wrong with its shape."""

import json
import re
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
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.batches.problems import Problems
from app.batches.strict_json import in_words_of, nodes, parse_json

MANIFEST = "batch.json"
FORMAT_VERSION, WITH_EVIDENCE = 1, 1.1
ORIGINAL = "original"
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


def known_version(value: object) -> object:
    if isinstance(value, bool) or value not in (FORMAT_VERSION, WITH_EVIDENCE):
        raise PydanticCustomError("version", "should be 1 or 1.1")
    return value


def there(value: object) -> object:
    if value is None:
        raise PydanticCustomError("null", "should be an object, or leave it out")
    return value


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
EvidenceFile = Literal[
    "evidence/network.json",
    "evidence/curves.csv",
    "evidence/minimal.csv",
    "evidence/natural.csv",
    "evidence/calibration.csv",
]
SaliencyFile = Annotated[str, Field(pattern=r"^evidence/saliency/[A-Za-z0-9_-]{16,64}\.png$")]
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


class NamedFile(Part):
    file: EvidenceFile
    sha256: Sha256


class SaliencyImage(Part):
    """Where the network looks in the image of this case and condition ("original" is one)."""

    case: Identifier
    condition: Identifier
    file: SaliencyFile
    sha256: Sha256


class EvidenceList(Part):
    """The files in `evidence/`; what they hold is read by app.batches.evidence."""

    files: Annotated[
        tuple[NamedFile, ...], BeforeValidator(listed), Field(min_length=1, max_length=5)
    ]
    saliency: Annotated[
        tuple[SaliencyImage, ...], BeforeValidator(listed), Field(max_length=20_000)
    ] = ()


class Manifest(Part):
    format: Literal["plainsight-batch"]
    format_version: Annotated[float, BeforeValidator(known_version)]
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
    evidence: Annotated[EvidenceList | None, BeforeValidator(there)] = None

    @model_validator(mode="after")
    def evidence_came_with_1_1(self) -> "Manifest":
        if self.evidence is not None and self.format_version == FORMAT_VERSION:
            raise PydanticCustomError("evidence", "evidence belongs to format_version 1.1; say so")
        return self


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
    evidence: EvidenceList | None


def read_manifest(content: bytes, problems: Problems) -> Contents | None:
    """None when nothing can be said about what the manifest holds."""
    document = parse_json(content, problems, MANIFEST)
    if document is None:
        return None
    version = document.get("format_version", FORMAT_VERSION)
    if isinstance(version, bool) or version not in (FORMAT_VERSION, WITH_EVIDENCE):
        problems.add(
            f"{MANIFEST} has format_version {json.dumps(version)}, but this Plainsight reads "
            f"versions {FORMAT_VERSION} and {WITH_EVIDENCE} only; import it with the version that "
            "knows it."
        )
        return None
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        problems.extend(in_words_of(MANIFEST, document, error))
        return salvage(document)
    return Contents(
        manifest,
        manifest.conditions,
        manifest.cases,
        frozenset(condition.id for condition in manifest.conditions),
        named_files(document),
        manifest.evidence,
    )


def salvage(document: dict[str, Any]) -> Contents:
    """The entries that can be read, so that their files are checked in the same go."""
    return Contents(
        None,
        tuple(readable(Condition, document.get("conditions"))),
        tuple(readable(Case, document.get("cases"))),
        frozenset(named(document.get("conditions"), "id")),
        named_files(document),
        next(readable(EvidenceList, [document.get("evidence")]), None),
    )


def readable(kind: type[Entry], entries: object) -> Iterator[Entry]:
    for entry in entries if isinstance(entries, list) else []:
        with suppress(ValidationError):
            yield kind.model_validate(entry)


def named_files(document: dict[str, Any]) -> frozenset[str]:
    parts = (document.get("cases"), document.get("evidence"))
    return frozenset(name for part in parts for name in named(part, "file"))


def named(document: object, key: str) -> Iterator[str]:
    """Every text that stands under this key, at any depth."""
    for _, node in nodes(document):
        if isinstance(node, dict) and isinstance(node.get(key), str):
            yield node[key]
