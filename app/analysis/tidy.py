"""An export folder as one typed table: what the analysis reads, and nothing else.

The columns are those of docs/results-format.md; unknown columns are ignored, and what a column
that is absent would have told is missing.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from app.analysis.cells import Line
from app.analysis.exported import Attack, Catch, Impressions, InputFile, Pair, Plan, Shown, Tidy
from app.analysis.network import in_norms, smallest_of
from app.errors import Invalid

PRESENTATIONS, DETECTIONS = "presentations.csv", "detections.csv"
READERS, NETWORK, STUDY = "readers.csv", "network.csv", "study.json"
ORIGINAL = "original"
MOST_PROBLEMS = 20
T = TypeVar("T")
Load = Callable[[str], bytes | None]


def read_export(folder: Path) -> Tidy:
    """Invalid, with every problem and its place, if the files are not as an export writes them."""

    def load(file: str) -> bytes | None:
        path = folder / file
        return path.read_bytes() if path.is_file() else None

    if not (folder / PRESENTATIONS).is_file():
        raise Invalid(
            f"{folder / PRESENTATIONS} is not there: name the folder that "
            "`plainsight study export STUDY --out DIR` wrote."
        )
    return read_tables(folder, load)


def read_tables(source: object, load: Load) -> Tidy:
    """`read_export` of files that `load` has the bytes of; None of those that there are not."""
    problems: list[str] = []
    files: list[InputFile] = []
    read = Reading(load, problems, files)
    rows = read.table(PRESENTATIONS, shown_or_catch_of, SHOWN_COLUMNS) or []
    pairs = read.table(DETECTIONS, pair_of, PAIR_COLUMNS)
    impressions = read.table(READERS, impressions_of, ("reader_id",))
    smallest = read.table(NETWORK, smallest_of, ("norm", "epsilon_8bit")) or ()
    attacks, plan = read.study()
    shown = [excluded(each, plan) for each in rows if isinstance(each, Shown)]
    catch = [each for each in rows if isinstance(each, Catch)]
    problems += contradictions(shown)
    if problems:
        raise Invalid(
            f"{source} cannot be analysed: {len(problems)} problem(s) in its files.",
            problems=tuple(problems[:MOST_PROBLEMS]),
        )
    network = in_norms(NETWORK, smallest)
    return Tidy(shown, pairs or (), impressions, attacks, plan, files, network, catch)


class Reading:
    """Reads the files of one export, and keeps their digests and what is wrong with them."""

    def __init__(self, load: Load, problems: list[str], files: list[InputFile]):
        self._load, self._problems, self._files = load, problems, files
        self._digests: dict[str, str] = {}

    def table(self, file: str, make: Callable[[Line], T], columns: Sequence[str]) -> list[T] | None:
        """None if there is no such file."""
        text = self._text(file)
        if text is None:
            return None
        rows = csv.DictReader(io.StringIO(text, newline=""))
        absent = [column for column in columns if column not in (rows.fieldnames or ())]
        if absent:
            self._problems.append(
                f"{file}, line 1, column {absent[0]}: it is not there; export the study again."
            )
            return []
        made = [make(Line(file, rows.line_num, cells, self._problems)) for cells in rows]
        self._keep(file, len(made))
        return made

    def study(self) -> tuple[dict[str, Attack], Plan]:
        text = self._text(STUDY)
        if text is None:
            return {}, Plan()
        try:
            record = json.loads(text)
            found = [attack_of(each) for each in record.get("attacks", [])]
            told = record.get("options", {})
            plan = Plan(**{each.name: told.get(each.name) for each in fields(Plan)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._problems.append(f"{STUDY}: {error!r}; export the study again.")
            return {}, Plan()
        self._keep(STUDY, len(found))
        return {attack.condition: attack for attack in found}, plan

    def _text(self, file: str) -> str | None:
        content = self._load(file)
        if content is None:
            return None
        self._digests[file] = hashlib.sha256(content).hexdigest()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._problems.append(f"{file}: byte {error.start} is not UTF-8; save it as UTF-8.")
            return None

    def _keep(self, file: str, rows: int) -> None:
        self._files.append(InputFile(file, self._digests[file], rows))


SHOWN_COLUMNS = (
    *("reader_id", "set", "presentation_index", "position_in_set", "image_id"),
    *("condition", "truth", "attack_id", "label"),
)
PAIR_COLUMNS = (
    *("reader_id", "trial_index", "task", "image_id", "left_attack_id", "right_attack_id"),
    *("is_catch", "response", "correct"),
)


def shown_or_catch_of(line: Line) -> Shown | Catch:
    return catch_of(line) if line.text("is_catch") == "1" else shown_of(line)


def catch_of(line: Line) -> Catch:
    return Catch(
        reader=line.needed("reader_id"),
        index=line.whole("presentation_index"),
        truth=int(line.one_of("truth", "1", "0") == "1"),
        label=label_of(line),
        response=line.text("response"),
    )


def label_of(line: Line) -> int | None:
    answered = line.one_of("label", "1", "0", "")
    return int(answered) if answered in {"1", "0"} else None


def shown_of(line: Line) -> Shown:
    is_original = line.one_of("condition", ORIGINAL, "perturbed") == ORIGINAL
    label = label_of(line)
    is_excluded = line.text("excluded") == "1"
    return Shown(
        reader=line.needed("reader_id"),
        set_number=line.whole("set"),
        index=line.whole("presentation_index"),
        position=line.whole("position_in_set"),
        case=line.needed("image_id"),
        condition=None if is_original else line.needed("attack_id"),
        truth=int(line.one_of("truth", "1", "0") == "1"),
        label=label,
        response=line.text("response"),
        rating=rating(label, line.number("confidence"), line.number("score")),
        reading_time_ms=line.number("rt_ms"),
        exclusion=(line.text("exclusion_reason") or "no reason given") if is_excluded else None,
    )


def rating(label: int | None, confidence: int | None, score: int | None) -> int | None:
    """As the export writes it: 50 plus 10 x confidence for tumour, 50 less that for none."""
    if label is None or confidence is None:
        return score if label is not None else None
    return 50 + 10 * confidence if label else 50 - 10 * confidence


def excluded(shown: Shown, plan: Plan) -> Shown:
    """With the rule of the plan that leaves it out, if the file does not name one."""
    rule = shown.exclusion or plan.exclusion(shown.reading_time_ms)
    return replace(shown, exclusion=rule) if rule != shown.exclusion else shown


def pair_of(line: Line) -> Pair:
    correct = line.one_of("correct", "1", "0", "")
    return Pair(
        reader=line.needed("reader_id"),
        index=line.whole("trial_index"),
        case=line.needed("image_id"),
        task=line.one_of("task", "choice", "same_different"),
        left=condition_or_none(line.needed("left_attack_id")),
        right=condition_or_none(line.needed("right_attack_id")),
        is_catch=line.one_of("is_catch", "1", "0") == "1",
        response=line.text("response"),
        is_correct=correct == "1" if correct else None,
    )


def condition_or_none(attack: str) -> str | None:
    return None if attack == ORIGINAL else attack


def impressions_of(line: Line) -> Impressions:
    return Impressions(line.needed("reader_id"), line.text("saw_repeats"), line.text("odd"))


def attack_of(listed: Mapping[str, Any]) -> Attack:
    epsilon = listed["epsilon"]
    return Attack(
        listed["attack_id"],
        listed["attack"],
        listed["norm"],
        None if epsilon is None else float(epsilon),
    )


def contradictions(shown: Sequence[Shown]) -> Iterator[str]:
    """The same presentation twice, or one case with two truths."""
    keys = Counter((each.reader, each.set_number, each.case, each.condition) for each in shown)
    for (reader, number, case, condition), times in keys.items():
        if times > 1:
            yield (
                f"{PRESENTATIONS}: {times} rows of reader {reader}, set {number}, image {case}, "
                f"{condition or ORIGINAL}; leave one of them."
            )
    truths: dict[str, int] = {}
    for each in shown:
        if truths.setdefault(each.case, each.truth) != each.truth:
            yield f"{PRESENTATIONS}: image {each.case} has both truths; correct column truth."
