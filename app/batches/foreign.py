"""Images that another tool attacked: checked as strictly as a batch of ours, and measured here."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from app.batches.check import CheckedImage, Progress, checked_image, unheard
from app.batches.details import Details
from app.batches.digests import WrongDigestError, read_unchanged
from app.batches.domain import measure, pixel_digest, predicted_class, wrong_in_pair
from app.batches.files import Source, TotalTooLargeError, UnreadableError
from app.batches.lines import Attack, Line, lines_of_folders, lines_of_table
from app.batches.manifest import ORIGINAL, Measured
from app.batches.png import NotPlainPngError, Picture, decode
from app.batches.problems import Problems
from app.errors import Conflict
from app.vocabulary import DeliveryKind

MOST_CASES = 10_000
MOST_CONDITIONS = 100
Opener = Callable[[], AbstractContextManager[Source]]
Reader = Callable[[Source, Details, Problems], list[Line]]


@dataclass(frozen=True)
class ForeignImage:
    """`sha256` is of the delivered file; the last two are None for an original."""

    condition: str
    file: str
    sha256: str
    p_positive: float | None
    success: bool | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class ForeignCase:
    """Its images, the original first."""

    id: str
    truth: int
    images: tuple[ForeignImage, ...]


@dataclass(frozen=True)
class CheckedForeign:
    """Nothing is wrong with it. `digest` is of all that was said and of every file."""

    kind: DeliveryKind
    details: Details
    attacks: tuple[Attack, ...]
    cases: tuple[ForeignCase, ...]
    opened: Opener

    @property
    def digest(self) -> str:
        said: dict[str, Any] = {
            "details": self.details.model_dump(),
            "attacks": [asdict(attack) for attack in self.attacks],
            "cases": [
                [case.id, case.truth, [[i.condition, i.sha256, i.p_positive] for i in case.images]]
                for case in self.cases
            ],
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def total(self) -> int:
        return sum(len(case.images) for case in self.cases)

    def images(self) -> Iterator[CheckedImage]:
        """As those of a batch of ours: Conflict when a file has changed since the check."""
        try:
            with self.opened() as source:
                for case in self.cases:
                    for image in case.images:
                        content = read_unchanged(source, image.file, image.sha256)
                        yield checked_image(case.id, image.condition, content, source.limits)
        except (UnreadableError, TotalTooLargeError, WrongDigestError, NotPlainPngError) as error:
            raise Conflict("The images changed while they were imported; do it again.") from error


def check_foreign(
    opened: Opener, kind: DeliveryKind, details: Details, progress: Progress = unheard
) -> CheckedForeign:
    """Raises Invalid with every problem."""
    read = lines_of_folders if kind is DeliveryKind.FOLDERS else lines_of_table
    problems = Problems()
    cases: tuple[ForeignCase, ...] = ()
    attacks: tuple[Attack, ...] = ()
    try:
        with opened() as source:
            problems.extend(source.faults)
            lines = read(source, details, problems)
            attacks = tuple(dict.fromkeys(line.attack for line in lines))
            cases = Pairs(source, lines, problems, progress).check()
    except UnreadableError as error:
        problems.add(f"What was delivered {error}.")
    except TotalTooLargeError:
        problems.add("The files are together larger than the limit; deliver them in two parts.")
    if not cases and not problems.listed:
        problems.add("There is no pair of images.")
    if len(cases) > MOST_CASES or len(attacks) > MOST_CONDITIONS:
        problems.add(
            f"There are {len(cases)} cases and {len(attacks)} conditions; deliver at most "
            f"{MOST_CASES} cases and {MOST_CONDITIONS} conditions at once."
        )
    if problems.listed:
        raise problems.refusal()
    return CheckedForeign(kind, details, attacks, cases, opened)


class Pairs:
    """Each image is read once, two at most are in memory."""

    def __init__(
        self, source: Source, lines: list[Line], problems: Problems, progress: Progress
    ) -> None:
        self.source = source
        self.problems = problems
        self.progress = progress
        self.by_case: dict[str, list[Line]] = {}
        for line in lines:
            self.by_case.setdefault(line.case, []).append(line)
        self.total = len(self.by_case) + len(lines)
        self.done = 0
        self.case_by_pixels: dict[str, str] = {}
        self.place_by_file: dict[str, str] = {}

    def check(self) -> tuple[ForeignCase, ...]:
        return tuple(
            ForeignCase(name, lines[0].truth, tuple(self.images(lines)))
            for name, lines in self.by_case.items()
        )

    def images(self, lines: list[Line]) -> Iterator[ForeignImage]:
        first = lines[0]
        self.agree(lines)
        found = self.read(first, first.original)
        if found is None:
            return
        sha256, original = found
        self.new_case(first, original)
        yield ForeignImage(ORIGINAL, first.original, sha256, first.p_original)
        for line in lines:
            yield from self.perturbed(line, original)

    def agree(self, lines: list[Line]) -> None:
        """The lines of one case say the same of its original, and have a condition each."""
        first, seen = lines[0], set[str]()
        for line in lines:
            if (line.original, line.truth, line.p_original) != (
                *(first.original, first.truth, first.p_original),
            ):
                self.add(line, f"says another original, truth or p_original than {first.place}")
            if line.attack.id in seen:
                self.add(line, f"case {line.case} has the condition {line.attack.id} twice")
            seen.add(line.attack.id)
        if first.p_original is not None and predicted_class(first.p_original) != first.truth:
            self.add(first, "the network misclassifies the original; leave the case out")

    def new_case(self, line: Line, original: Picture) -> None:
        other = self.case_by_pixels.setdefault(pixel_digest(original.pixels), line.case)
        if other != line.case:
            said = f"has the same pixels as the original of case {other}; leave one of them out"
            self.add(line, f"{line.original} {said}")

    def perturbed(self, line: Line, original: Picture) -> Iterator[ForeignImage]:
        found = self.read(line, line.perturbed)
        if found is None:
            return
        sha256, picture = found
        if original.colour != picture.colour:
            said = "has another colour profile than its original; save both with the same one"
            self.add(line, f"{line.perturbed} {said}")
        wrong = list(wrong_in_pair(original.pixels, picture.pixels, None, line.attack))
        for problem in wrong:
            self.add(line, f"{line.perturbed} {problem}")
        if not wrong:
            measured = measure(original.pixels, picture.pixels)
            yield ForeignImage(
                *(line.attack.id, line.perturbed, sha256, line.p_perturbed),
                *(self.success(line), measured),
            )

    def success(self, line: Line) -> bool:
        """What the probability shows, else what was said; who says nothing says it succeeded."""
        if line.p_perturbed is None:
            return line.success is not False
        shown = predicted_class(line.p_perturbed) != line.truth
        if line.success is not None and line.success != shown:
            self.add(line, "success contradicts p_perturbed and the truth; correct one of them")
        return shown

    def read(self, line: Line, name: str) -> tuple[str, Picture] | None:
        """Its digest and its pixels; None after a problem."""
        self.done += 1
        self.progress(self.done, self.total)
        first = self.place_by_file.setdefault(name, line.place)
        if first != line.place:
            self.add(line, f"{name} is used by {first} already; each image has one use")
            return None
        try:
            content = self.source.read(name)
            return hashlib.sha256(content).hexdigest(), decode(content, self.source.limits.pixels)
        except UnreadableError as error:
            self.add(line, f"{name} {error}")
        except NotPlainPngError as error:
            self.add(line, f"{name} {error}; save it as an 8-bit RGB PNG")
        return None

    def add(self, line: Line, problem: str) -> None:
        self.problems.add(f"{line.place}: {problem}.")
