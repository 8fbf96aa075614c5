"""What an export tells, typed: the one table that the analysis is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """One presentation. `condition` is None for the original; `label` is 1 for tumour, None where
    nothing, or that it cannot be assessed, was answered; `rating` is higher for tumour."""

    reader: str
    set_number: int
    index: int
    position: int
    case: str
    condition: str | None
    truth: int
    label: int | None
    response: str
    rating: int | None
    reading_time_ms: int | None
    exclusion: str | None


@dataclass(frozen=True, slots=True)
class Catch:
    """One catch image: a clear case that counts in no result. `label` as of Shown."""

    reader: str
    index: int
    truth: int
    label: int | None
    response: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair of images: the conditions to the left and to the right, None for the original."""

    reader: str
    index: int
    case: str
    task: str
    left: str | None
    right: str | None
    is_catch: bool
    response: str
    is_correct: bool | None


@dataclass(frozen=True, slots=True)
class Impressions:
    """What a reader said at the end: yes, no or unsure, and in their own words."""

    reader: str
    saw_repeats: str
    odd: str


@dataclass(frozen=True, slots=True)
class Attack:
    """`epsilon` in grey levels, for l0 a share of pixels; None without a budget."""

    condition: str
    attack: str
    norm: str
    epsilon: float | None


@dataclass(frozen=True)
class Plan:
    """What the study laid down before it was read; None where study.json does not tell."""

    margin_flips: float | None = None
    margin_tp: float | None = None
    alpha: float | None = None
    minimum_time_ms: int | None = None
    maximum_time_ms: int | None = None
    catch_least: float | None = None

    def exclusion(self, reading_time_ms: int | None) -> str | None:
        """The rule by which an answer of this time is left out."""
        if reading_time_ms is None:
            return None
        if self.minimum_time_ms is not None and reading_time_ms < self.minimum_time_ms:
            return f"answered in less than {self.minimum_time_ms} ms"
        if self.maximum_time_ms is not None and reading_time_ms > self.maximum_time_ms:
            return f"answered after more than {self.maximum_time_ms} ms"
        return None


@dataclass(frozen=True)
class NetworkEpsilon:
    """The smallest perturbations that fooled the network, one a patch or their median alone, in
    grey levels (for l0 a share of pixels); infinite where none was found. `source` is as given."""

    source: str
    values: Sequence[float]
    norm: str | None


@dataclass(frozen=True)
class InputFile:
    file: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Tidy:
    """`pairs` is empty without detections.csv, `impressions` is None without readers.csv;
    `network` has one entry a norm of network.csv."""

    shown: Sequence[Shown]
    pairs: Sequence[Pair]
    impressions: Sequence[Impressions] | None
    attacks: Mapping[str, Attack]
    plan: Plan
    files: Sequence[InputFile]
    network: Sequence[NetworkEpsilon] = ()
    catch: Sequence[Catch] = ()
