"""What a batch says of the network itself: its folder `evidence/`, read, or all that is wrong."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from app.batches.manifest import EvidenceList, Identifier, Manifest, Part, Probability, Sha256
from app.batches.problems import Problems
from app.batches.strict_json import UNSTORABLE, WORDS, in_words_of, parse_json

NETWORK = "evidence/network.json"
CURVES, MINIMAL = "evidence/curves.csv", "evidence/minimal.csv"
NATURAL, CALIBRATION = "evidence/natural.csv", "evidence/calibration.csv"
BOUNDED = ("l0", "l1", "l2", "linf")
ROWS_AT_MOST = 200_000
ROUNDING = 1e-6
Json = dict[str, Any]

Norm = Literal["none", "l0", "l1", "l2", "linf"]
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


def nothing_is_none(value: object) -> object:
    return None if value == "" else value


Perhaps = Annotated[Probability | None, BeforeValidator(nothing_is_none)]


class Cells(BaseModel):
    """One line of a table, whose cells are text."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(Cells):
    """`successes` of `n`, with a 95 % interval."""

    n: Annotated[Count, Field(ge=1)]
    successes: Count
    rate: Probability
    low: Probability
    high: Probability

    @model_validator(mode="after")
    def agrees(self) -> "Share":
        if self.successes > self.n:
            raise ValueError("there are more successes than n")
        if not math.isclose(self.rate, self.successes / self.n, abs_tol=ROUNDING):
            raise ValueError(f"rate is {self.rate}, but successes / n {self.successes / self.n}")
        if not self.low - ROUNDING <= self.rate <= self.high + ROUNDING:
            raise ValueError("rate lies outside low to high")
        return self


class CurvePoint(Share):
    norm: Norm
    epsilon: Finite
    method: Literal["minimal", "pgd"]
    bits: Literal["float", "8"]


class Smallest(Cells):
    """The smallest perturbation of one patch of the run; infinite where none was found."""

    case: Text
    norm: Norm
    epsilon_float: Annotated[float, Field(gt=0)]
    epsilon_8bit: Annotated[float, Field(gt=0)]
    truth: Literal["0", "1"]


class NaturalChange(Share):
    """Sizes are means over the patches, in grey levels."""

    change: Text
    level: Finite
    l1_mad: Finite
    l2_rmsd: Finite
    linf: Finite
    ssim: Annotated[float, Field(ge=-1, le=1)]


class CalibrationBin(Cells):
    bin: Count
    low: Probability
    high: Probability
    n: Count
    mean_p: Perhaps
    share_positive: Perhaps


TABLES: Mapping[str, type[Cells]] = {
    CURVES: CurvePoint,
    MINIMAL: Smallest,
    NATURAL: NaturalChange,
    CALIBRATION: CalibrationBin,
}


class Spread(Part):
    """Over the folds, or the runs, of a cross-validation; no `sd` where there was one."""

    mean: Annotated[float, Field(ge=0, le=1)]
    sd: Annotated[float, Field(ge=0, le=1)] | None


class CrossValidation(Part):
    folds: Annotated[int, Field(ge=1)]
    patches: Annotated[int, Field(ge=1)]
    positives: Annotated[int, Field(ge=0)]
    auc: Spread
    accuracy: Spread
    calibration_error: Spread


class NetworkFacts(Part):
    """network.json."""

    network_sha256: Sha256
    data_sha256: Sha256
    cross_validation: CrossValidation | None = None
    saliency_method: Identifier | None = None
    provenance: dict[str, Any]


def read_evidence(
    contents: Mapping[str, bytes],
    listed: EvidenceList,
    manifest: Manifest | None,
    problems: Problems,
) -> Json:
    """What is kept with the batch, ready for JSON; `contents` are the files that could be read."""
    before = problems.total
    facts = read_facts(contents, manifest, problems)
    rows = {
        name: list(read_table(name, kind, contents[name], problems))
        for name, kind in TABLES.items()
        if name in contents
    }
    if problems.total == before:
        problems.extend(contradictions(rows))
    problems.extend(not_complete(listed, facts))
    return {
        **(facts.model_dump() if facts else {}),
        **{
            name.removeprefix("evidence/").removesuffix(".csv"): [stored(row) for row in found]
            for name, found in rows.items()
        },
    }


def stored(row: Cells) -> Json:
    """JSON knows no infinity."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value
        for name, value in row.model_dump().items()
    }


def not_complete(listed: EvidenceList, facts: NetworkFacts | None) -> Iterator[str]:
    names = [each.file for each in listed.files]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is listed {names.count(name)} times; list it once."
    if NETWORK not in names:
        yield f"{NETWORK} is not listed, but evidence needs it: of which network it is."
    if (CURVES in names) != (MINIMAL in names):
        yield f"{CURVES} and {MINIMAL} belong together; list both or neither."
    if facts and listed.saliency and facts.saliency_method is None:
        yield f"{NETWORK}, saliency_method: the field is missing, but there are saliency images."


def read_facts(
    contents: Mapping[str, bytes], manifest: Manifest | None, problems: Problems
) -> NetworkFacts | None:
    if NETWORK not in contents:
        return None
    document = parse_json(contents[NETWORK], problems, NETWORK)
    if document is None:
        return None
    try:
        facts = NetworkFacts.model_validate(document)
    except ValidationError as error:
        problems.extend(in_words_of(NETWORK, document, error))
        return None
    if manifest is not None:
        said = (manifest.network.file_sha256, manifest.network.data.sha256)
        for field, ours in zip(("network_sha256", "data_sha256"), said, strict=True):
            theirs = getattr(facts, field)
            if theirs != ours:
                problems.add(
                    f"{NETWORK}, {field}: it is {theirs}, but the batch's network has {ours}; "
                    "take the evidence of that network."
                )
    return facts


Row = TypeVar("Row", bound=Cells)


def read_table(name: str, kind: type[Row], content: bytes, problems: Problems) -> Iterator[Row]:
    """What can be read of it; its columns may stand in any order."""
    try:
        text = content.decode("utf-8-sig")
        if UNSTORABLE.search(text):
            problems.add(f"{name} has a character that cannot be stored (NUL); write it again.")
            return
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        wrong = list(wrong_columns(kind, lines.fieldnames or ()))
        problems.extend(f"{name}, line 1: {what}." for what in wrong)
        if wrong:
            return
        for count, cells in enumerate(lines, start=1):
            if count > ROWS_AT_MOST:
                problems.add(f"{name} has more than {ROWS_AT_MOST} lines; leave some out.")
                return
            place = f"{name}, line {lines.line_num}"
            if cells.pop(None, None) is not None:
                problems.add(f"{place} has more cells than there are columns; remove them.")
            try:
                yield kind.model_validate(cells)
            except ValidationError as error:
                problems.extend(wrong_cells(place, error))
    except (UnicodeDecodeError, csv.Error) as error:
        problems.add(f"{name} is not a CSV table in UTF-8 ({error}); write it again.")


def wrong_columns(kind: type[Cells], names: Sequence[str]) -> Iterator[str]:
    absent = sorted(set(kind.model_fields) - set(names))
    unknown = sorted(set(names) - set(kind.model_fields))
    if absent:
        yield f"there is no column {', '.join(absent)}; add it"
    if unknown:
        yield f"a column is not of this format, {', '.join(unknown)}; remove it"


def wrong_cells(place: str, error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_context=False):
        column = f", {detail['loc'][0]}" if detail["loc"] else ""
        given = f" {detail['input']!r}" if isinstance(detail["input"], str) else ""
        message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
        yield f"{place}{column}:{given} {WORDS.get(detail['type'], message)}."


def contradictions(rows: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """A curve of smallest perturbations is what their list gives."""
    for point in rows.get(CURVES, ()) if MINIMAL in rows else ():
        if point.method != "minimal":
            continue
        sizes = [
            each.epsilon_8bit if point.bits == "8" else each.epsilon_float
            for each in rows[MINIMAL]
            if each.norm == point.norm
        ]
        within = sum(size <= point.epsilon * (1 + ROUNDING) for size in sizes)
        if (point.n, point.successes) != (len(sizes), within):
            yield (
                f"{CURVES}: norm {point.norm}, epsilon {point.epsilon:g}, {point.bits} bits has "
                f"{point.successes} of {point.n}, but {MINIMAL} gives {within} of {len(sizes)}; "
                "write both from one run."
            )
