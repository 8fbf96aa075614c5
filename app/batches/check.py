"""Check a batch as a whole: its manifest, its files, and what their pixels show."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.batches.digests import WrongDigestError, other_digest, read_unchanged
from app.batches.domain import (
    Pixels,
    contradictions,
    pixel_digest,
    wrong_in_pair,
)
from app.batches.evidence_check import Shapes, check_evidence
from app.batches.files import (
    Files,
    Limits,
    TotalTooLargeError,
    UnreadableError,
    open_files,
)
from app.batches.manifest import (
    MANIFEST,
    ORIGINAL,
    Case,
    Contents,
    Manifest,
    OriginalImage,
    PerturbedImage,
    SaliencyImage,
    read_manifest,
)
from app.batches.png import NotPlainPngError, Picture, decode
from app.batches.problems import Problems
from app.batches.traits import Traits, traits_of
from app.errors import Conflict

Progress = Callable[[int, int], None]
"""Called with how many images are done, and how many there are."""

STANDARD_LIMITS = Limits()


@dataclass(frozen=True)
class CheckedImage:
    """`condition` is "original" or a condition's id; `sha256` and `traits` are of the delivered
    file."""

    case: str
    condition: str
    sha256: str
    pixels: Pixels
    traits: Traits


@dataclass(frozen=True)
class CheckedBatch:
    """A batch with nothing wrong. `digest` is the SHA-256 of the bytes of `batch.json`;
    `evidence` is what its tables hold, ready for JSON."""

    manifest: Manifest
    digest: str
    path: Path
    limits: Limits
    evidence: dict[str, Any] | None

    @property
    def total(self) -> int:
        return sum(len(case.images) for case in self.manifest.cases)

    def images(self) -> Iterator[CheckedImage]:
        """In the order of the manifest, each case's original first, one in memory at a time.

        The files are read again, and each must have the digest that was checked: Conflict if
        one has not.
        """
        with unchanged(), open_files(self.path, self.limits) as files:
            for case in self.manifest.cases:
                for image in case.images:
                    content = read_unchanged(files, image.file, image.sha256)
                    yield checked_image(case.id, image.condition, content, self.limits)

    def saliency(self) -> Iterator[tuple[SaliencyImage, Pixels]]:
        """As `images`, of where the network looks."""
        listed = self.manifest.evidence
        with unchanged(), open_files(self.path, self.limits) as files:
            for image in listed.saliency if listed else ():
                content = read_unchanged(files, image.file, image.sha256)
                yield image, decode(content, self.limits.pixels).pixels


@contextmanager
def unchanged() -> Iterator[None]:
    """Conflict when a file is not as it was checked."""
    try:
        yield
    except (UnreadableError, TotalTooLargeError, WrongDigestError, NotPlainPngError) as error:
        raise Conflict("The batch changed while it was imported; import it again.") from error


def checked_image(case: str, condition: str, content: bytes, limits: Limits) -> CheckedImage:
    """Raises NotPlainPngError."""
    pixels = decode(content, limits.pixels).pixels
    sha256 = hashlib.sha256(content).hexdigest()
    return CheckedImage(case, condition, sha256, pixels, traits_of(content, pixels))


def unheard(_done: int, _total: int) -> None:
    """For those who do not listen to the progress."""


def check_batch(
    path: Path, limits: Limits = STANDARD_LIMITS, progress: Progress = unheard
) -> CheckedBatch:
    """`path` is a folder or a zip. Raises Invalid with every problem."""
    problems = Problems()
    checked = None
    try:
        with open_files(path, limits) as files:
            problems.extend(files.container.faults)
            checked = check_files(files, path, problems, progress)
    except UnreadableError as error:
        problems.add(f"the batch {error}.")
    except TotalTooLargeError:
        problems.add(f"the files are together larger than the limit of {limits.total_bytes} bytes.")
    if checked is None or problems.listed:
        raise problems.refusal()
    return checked


def check_files(
    files: Files, path: Path, problems: Problems, progress: Progress
) -> CheckedBatch | None:
    """None when the manifest is not right; None is never without a problem."""
    try:
        content = files.read(MANIFEST)
    except UnreadableError as error:
        problems.add(f"{MANIFEST} {error}.")
        return None
    contents = read_manifest(content, problems)
    if contents is None:
        return None
    problems.extend(contradictions(contents))
    for name in sorted(set(files.paths) - contents.files - {MANIFEST}):
        problems.add(f"{name} is not named in {MANIFEST}; remove it.")
    pictures = Pictures(files, contents, problems, progress)
    pictures.check()
    evidence = None
    if contents.evidence is not None:
        evidence = check_evidence(files, contents, contents.evidence, pictures.shapes, problems)
    if contents.manifest is None:
        return None
    digest = hashlib.sha256(content).hexdigest()
    return CheckedBatch(contents.manifest, digest, path, files.limits, evidence)


class Pictures:
    """The check of the images: each is read once, two at most are in memory."""

    def __init__(
        self, files: Files, contents: Contents, problems: Problems, progress: Progress
    ) -> None:
        self.files = files
        self.cases = contents.cases
        self.conditions = {condition.id: condition for condition in contents.conditions}
        self.problems = problems
        self.progress = progress
        self.total = sum(len(case.images) for case in contents.cases)
        self.done = 0
        self.case_by_original: dict[str, str] = {}
        self.shapes: Shapes = {}

    def check(self) -> None:
        for case in self.cases:
            original = self.read(case, case.original)
            if original is not None:
                self.check_original(case, original)
            for image in case.perturbed:
                perturbed = self.read(case, image)
                if original is not None and perturbed is not None:
                    self.check_pair(case, image, original, perturbed)

    def read(self, case: Case, image: OriginalImage | PerturbedImage) -> Picture | None:
        """None after a problem."""
        try:
            content = read_unchanged(self.files, image.file, image.sha256)
            picture = decode(content, self.files.limits.pixels)
            self.shapes[case.id, image.condition] = picture.pixels.shape
            return picture
        except (UnreadableError, NotPlainPngError) as error:
            self.add(case, image, str(error))
        except WrongDigestError as error:
            self.add(case, image, other_digest(error, image.sha256))
        finally:
            self.done += 1
            self.progress(self.done, self.total)
        return None

    def check_original(self, case: Case, original: Picture) -> None:
        first = self.case_by_original.setdefault(pixel_digest(original.pixels), case.id)
        if first != case.id:
            said = f"has the same pixels as the original of case {first}; leave one of them out"
            self.add(case, case.original, said)

    def check_pair(
        self, case: Case, image: PerturbedImage, original: Picture, perturbed: Picture
    ) -> None:
        if original.colour != perturbed.colour:
            self.add(case, image, "has another colour profile than its original; remove both")
        condition = self.conditions.get(image.condition)
        for problem in wrong_in_pair(original.pixels, perturbed.pixels, image.measured, condition):
            self.add(case, image, problem)

    def add(self, case: Case, image: OriginalImage | PerturbedImage, problem: str) -> None:
        self.problems.add(f"case {case.id}, {label(image)}: {image.file} {problem}.")


def label(image: OriginalImage | PerturbedImage) -> str:
    return ORIGINAL if image.condition == ORIGINAL else f"condition {image.condition}"
