"""Which images belong together: of two folders by their names, or as a table says."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.batches.details import IN_TABLE, TUMOUR, Details, wrong_budget
from app.batches.files import Source, TotalTooLargeError, UnreadableError
from app.batches.problems import Problems

ORIGINALS, PERTURBED = "original/", "perturbed/"
TABLE = "manifest.csv"
REQUIRED = {"original", "perturbed"}
OPTIONAL = {
    *("case", "truth", "condition", "attack", "norm", "epsilon"),
    *("p_original", "p_perturbed", "success"),
}
TRUTHS = {"1": 1, "tumour": 1, "tumor": 1, "0": 0, "no tumour": 0, "no tumor": 0, "no_tumour": 0}
YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
NORMS = {"none", "l0", "l1", "l2", "linf"}
NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,12})?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Attack:
    """One condition of the batch."""

    id: str
    attack: str
    norm: str
    epsilon: str | None


@dataclass(frozen=True)
class Line:
    """One pair. `place` is where a person finds it; a probability is None when nobody said it."""

    place: str
    case: str
    truth: int
    original: str
    perturbed: str
    attack: Attack
    p_original: float | None = None
    p_perturbed: float | None = None
    success: bool | None = None


def condition_id(attack: str, norm: str, epsilon: str | None) -> str:
    return attack if norm == "none" else f"{attack}-{norm}-{epsilon}"[:64]


def attack_of(details: Details) -> Attack:
    named = condition_id(details.attack, details.norm, details.epsilon)
    return Attack(named, details.attack, details.norm, details.epsilon)


def lines_of_folders(source: Source, details: Details, problems: Problems) -> list[Line]:
    """Two images belong together when their paths are equal but for the ending."""
    sides = {side: stems(source, side, problems) for side in (ORIGINALS, PERTURBED)}
    for side in (ORIGINALS, PERTURBED):
        if not sides[side]:
            problems.add(f"There is no image in the folder {side}; put the images there.")
    if not all(sides.values()):
        return []
    for name in sorted(set(source.names)):
        if not name.startswith((ORIGINALS, PERTURBED)):
            problems.add(f"{name} is in neither of the two folders; remove it.")
    for side, other in ((ORIGINALS, PERTURBED), (PERTURBED, ORIGINALS)):
        for stem in sorted(sides[side].keys() - sides[other].keys()):
            problems.add(
                f"{sides[side][stem]} has no image of the same name in {other}; "
                "add that image or remove this one."
            )
    truth = int(details.truth == TUMOUR)
    return [
        Line(stem, case, truth, sides[ORIGINALS][stem], sides[PERTURBED][stem], attack_of(details))
        for stem, case in case_names(sorted(sides[ORIGINALS].keys() & sides[PERTURBED].keys()))
    ]


def stems(source: Source, side: str, problems: Problems) -> dict[str, str]:
    """The path within the folder, without its ending, to the name of the file."""
    found: dict[str, str] = {}
    for name in sorted(source.names):
        if name.startswith(side):
            stem = str(PurePosixPath(name.removeprefix(side)).with_suffix(""))
            first = found.setdefault(stem, name)
            if first != name:
                problems.add(f"{name} and {first} differ only in their ending; remove one.")
    return found


def case_names(stems: list[str]) -> Iterator[tuple[str, str]]:
    """What a batch can name a case, as near to the file's name as possible."""
    used: set[str] = set()
    for number, stem in enumerate(stems, 1):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64]
        if not NAME.fullmatch(name) or name in used:
            name = f"case-{number}"
        used.add(name)
        yield stem, name


def lines_of_table(source: Source, details: Details, problems: Problems) -> list[Line]:
    rows = read_table(source, problems)
    if rows is None:
        return []
    reader = TableReader(details, problems)
    lines = [line for number, row in rows if (line := reader.line(number, row)) is not None]
    named = {row.get(side, "") for _, row in rows for side in REQUIRED}
    for name in sorted(set(source.names) - named - {TABLE}):
        problems.add(f"{name} is not named in {TABLE}; remove it or write a line for it.")
    return lines


Row = Mapping[str, str]


def read_table(source: Source, problems: Problems) -> list[tuple[int, Row]] | None:
    """Every line that is not empty, with its number in the file."""
    try:
        text = source.read(TABLE).decode("utf-8-sig")
    except (UnreadableError, TotalTooLargeError) as error:
        problems.add(f"{TABLE} {error}." if str(error) else f"{TABLE} is too large.")
        return None
    except UnicodeDecodeError:
        problems.add(f"{TABLE} is not UTF-8 text; save it as CSV UTF-8.")
        return None
    head = text.partition("\n")[0]
    separator = ";" if head.count(";") > head.count(",") else ","
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = [column.strip().lower() for column in next(table, [])]
        if wrong := list(wrong_columns(columns)):
            problems.extend(wrong)
            return None
        return [
            (table.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=False)))
            for cells in table
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        problems.add(f"{TABLE} cannot be read as CSV ({error}); save it again.")
        return None


def wrong_columns(columns: list[str]) -> Iterator[str]:
    for missing in sorted(REQUIRED - set(columns)):
        yield f"{TABLE} has no column {missing}; its first line must name the columns."
    for unknown in sorted(set(columns) - REQUIRED - OPTIONAL):
        known = ", ".join(sorted(OPTIONAL))
        yield f"{TABLE} has a column {unknown!r}, which means nothing here; optional are {known}."
    if len(set(columns)) < len(columns):
        yield f"{TABLE} has two columns of one name; rename or remove one."


class TableReader:
    """Lines one by one; what they must have in common is remembered."""

    def __init__(self, details: Details, problems: Problems) -> None:
        self.details = details
        self.problems = problems
        self.attacks: dict[str, Attack] = {}

    def line(self, number: int, row: Row) -> Line | None:
        """None after a problem."""
        before = self.problems.total
        place = f"{TABLE}, line {number}"
        original, perturbed = row.get("original", ""), row.get("perturbed", "")
        if not original or not perturbed:
            self.problems.add(f"{place}: name both the original and the perturbed image.")
        case = row.get("case", "") or next(iter(case_names([PurePosixPath(original).stem])))[1]
        if not NAME.fullmatch(case):
            self.problems.add(
                f"{place}: the case {case!r} should be 1 to 64 letters, digits, points, - and _."
            )
        line = Line(
            place,
            case,
            self.truth(place, row),
            original,
            perturbed,
            self.attack(place, row),
            self.probability(place, row, "p_original"),
            self.probability(place, row, "p_perturbed"),
            self.success(place, row),
        )
        return line if self.problems.total == before else None

    def truth(self, place: str, row: Row) -> int:
        said = row.get("truth", "").lower()
        if not said and self.details.truth != IN_TABLE:
            return int(self.details.truth == TUMOUR)
        if said not in TRUTHS:
            self.problems.add(f"{place}: the truth should be 1 (tumour) or 0 (no tumour).")
        return TRUTHS.get(said, 0)

    def attack(self, place: str, row: Row) -> Attack:
        usual = self.details
        name = row.get("attack") or usual.attack
        norm = row.get("norm", "").lower() or usual.norm
        epsilon = row.get("epsilon") or (usual.epsilon if norm == usual.norm else None)
        if norm not in NORMS:
            self.problems.add(f"{place}: the norm should be none, l0, l1, l2 or linf.")
        elif epsilon is not None and not NUMBER.fullmatch(epsilon):
            self.problems.add(f"{place}: epsilon should be a number such as 4 or 0.5.")
        else:
            self.problems.extend(f"{place}: {wrong}" for wrong in wrong_budget(norm, epsilon))
        wanted = Attack(
            row.get("condition") or condition_id(name, norm, epsilon), name, norm, epsilon
        )
        if not NAME.fullmatch(name) or not NAME.fullmatch(wanted.id) or wanted.id == "original":
            self.problems.add(
                f"{place}: the attack and the condition should be 1 to 64 letters, digits, "
                'points, - and _, and not "original".'
            )
        known = self.attacks.setdefault(wanted.id, wanted)
        if known != wanted:
            self.problems.add(
                f"{place}: the condition {wanted.id} has another attack, norm or epsilon than "
                "above; give it another name."
            )
        return known

    def probability(self, place: str, row: Row, column: str) -> float | None:
        said = row.get(column, "")
        if not said:
            return None
        try:
            value = float(said)
        except ValueError:
            value = -1
        if not 0 <= value <= 1:
            self.problems.add(f"{place}: {column} should be a number from 0 to 1, or empty.")
        return value

    def success(self, place: str, row: Row) -> bool | None:
        said = row.get("success", "").lower()
        if said and said not in YES_OR_NO:
            self.problems.add(f"{place}: success should be yes, no or empty.")
        return YES_OR_NO.get(said)
