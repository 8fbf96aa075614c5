"""The blinding scan of a batch, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.batches.scan import AMBER, CLOSED
from app.storage.models import Batch

STATES = {
    "same": "Nothing to see",
    CLOSED: "Differs, but reaches no reader",
    AMBER: "Needs a reason",
}


@dataclass(frozen=True)
class ScanLine:
    """One channel of one condition; `state` is same, closed or amber."""

    condition: str
    title: str
    state: str
    state_in_words: str
    words: str


@dataclass(frozen=True)
class ScanView:
    """`verdict` is green, amber, or none when these files were never scanned.

    A study of an amber batch needs a reason, which its protocol keeps.
    """

    verdict: str
    words: str
    lines: Sequence[ScanLine]

    @property
    def needs_reason(self) -> bool:
        return self.verdict != "green"


NOT_SCANNED = ScanView(
    "none",
    "This batch was imported before files were scanned. Import it again under a new name to scan "
    "it, or give a reason in the study.",
    (),
)


def scan_of(batch: Batch) -> ScanView:
    if batch.scan is None:
        return NOT_SCANNED
    lines = [
        ScanLine(
            finding["condition"],
            finding["title"],
            finding["state"],
            STATES[finding["state"]],
            finding["words"],
        )
        for finding in batch.scan["findings"]
    ]
    amber = sum(line.state == AMBER for line in lines)
    words = (
        f"{amber} of {len(lines)} findings may tell a reader which images were perturbed. A study "
        "of this batch needs a reason."
        if amber
        else "Nothing that was looked at tells a reader which images were perturbed."
    )
    return ScanView(batch.scan["verdict"], words, lines)
