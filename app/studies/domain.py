"""The rules of a study: what may be designed, what may be said to readers, what comes next."""

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import Conflict, Invalid
from app.vocabulary import PairTask, StudyState

USUAL_GAP = 10
SECONDS_A_PRESENTATION = 7
SECONDS_A_PAIR = 10
LARGEST_COUNT = 1000
LONGEST_MS = 3_600_000
QUESTION = "Does this image show tumour?"

# Words that would tell a reader what is being studied, in the languages that readers read.
REVEALING = re.compile(
    r"\b(adversar\w*|attack\w*|perturb\w*|manipulat\w*|tamper\w*|fool\w*|original\w*|altered|"
    r"duplicat\w*|repeat\w*|neural|network\w*|deep learning|robust\w*|percept\w*|"
    r"angriff\w*|angegriff\w*|manipul\w*|verfälsch\w*|verändert\w*|(ge)?täusch\w*|"
    r"duplik\w*|doppel\w*|wiederhol\w*|neuronal\w*|netz|netz(e|es|en|werk\w*)|"
    r"maschinelles lernen|wahrnehm\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Design:
    """What is shown: `cases` patches under `versions` conditions each, `sets` times.

    Before that `practice` images, afterwards `pairs` of images; among them `catch` images, once.
    """

    cases: int
    versions: int
    sets: int
    practice: int = 0
    pairs: int = 0
    catch: int = 0

    @property
    def read(self) -> int:
        """What counts for the results."""
        return self.cases * self.versions * self.sets

    @property
    def presentations(self) -> int:
        return self.read + self.catch

    @property
    def largest_gap(self) -> int:
        """The largest distance that every two presentations of one case can keep.

        A case is shown k = versions * sets times; its first and last are (k - 1) gaps apart, and
        the last round needs a place for every case: (k - 1) * gap + cases <= k * cases.
        """
        return self.cases

    @property
    def minutes(self) -> int:
        singles = self.practice + self.presentations
        seconds = singles * SECONDS_A_PRESENTATION + self.pairs * SECONDS_A_PAIR
        return max(1, math.ceil(seconds / 60))


def chosen_gap(design: Design, asked: int | None) -> int:
    """`asked`, or the usual gap. Invalid when it is impossible.

    Of few cases the usual gap is half their number: the largest gap of all would show the cases
    in one cycle, and whoever has seen it once would know what comes next.
    """
    largest = design.largest_gap
    if design.cases < 2:
        raise Invalid("A study needs at least 2 cases: one alone would be shown back to back.")
    if asked is None:
        return min(USUAL_GAP, max(2, design.cases // 2))
    if not 2 <= asked <= largest:
        raise Invalid(
            f"A minimum gap of {asked} is not possible with {design.cases} cases; "
            f"choose 2 to {largest}."
        )
    return asked


def refuse_impossible(sets: int, waves: int, washout_days: int) -> None:
    """Invalid when the sets cannot be split into so many sittings."""
    if sets < 1:
        raise Invalid("A study needs at least 1 set.")
    if not 1 <= waves <= sets:
        raise Invalid(f"{sets} sets can be read in 1 to {sets} sittings, not in {waves}.")
    if not 0 <= washout_days <= 365:
        raise Invalid("The washout is 0 to 365 days.")


def refuse_out_of_range(**numbers: int) -> None:
    """Invalid when one of these counts makes no sense; 0 is for none, or never."""
    for name, number in numbers.items():
        if not 0 <= number <= LARGEST_COUNT:
            raise Invalid(f"The {name.replace('_', ' ')} is 0 to {LARGEST_COUNT}.")


def refuse_impossible_plan(
    margins: Mapping[str, float], alpha: float, least_ms: int | None, most_ms: int | None
) -> None:
    """Invalid when these could decide nothing, or would leave out every answer."""
    for name, margin in margins.items():
        if not 0.01 <= margin <= 0.5:
            raise Invalid(f"The margin for {name} is a share from 0.01 to 0.5, such as 0.05.")
    if not 0.001 <= alpha <= 0.2:
        raise Invalid("Alpha is a share from 0.001 to 0.2, such as 0.05.")
    for time in (least_ms, most_ms):
        if time is not None and not 1 <= time <= LONGEST_MS:
            raise Invalid(f"A limit for the time of an answer is 1 to {LONGEST_MS} ms, or empty.")
    if least_ms is not None and most_ms is not None and least_ms >= most_ms:
        raise Invalid("The least time of an answer must be below the most.")


def refuse_impossible_catch(design: Design) -> None:
    """Invalid when two catch images would follow each other."""
    if design.catch > design.read:
        raise Invalid(f"Among {design.read} images there can be at most as many catch images.")


def refuse_impossible_least(least: float | None) -> None:
    if least is not None and not 0 < least <= 1:
        raise Invalid(
            "The least share of catch images right is above 0 and at most 1, such as 0.8; or empty."
        )


def pairs_of(task: PairTask | None, altered: int) -> int:
    """How many pairs are shown: with same-different as many identical ones besides."""
    match task:
        case None:
            return 0
        case PairTask.CHOICE:
            return altered
        case PairTask.COMPARE:
            return 2 * altered


def refuse_revealing(**texts: str) -> None:
    """Invalid when a text that readers see tells what is studied."""
    for name, text in texts.items():
        if found := REVEALING.search(text):
            raise Invalid(
                f"The {name.replace('_', ' ')} says {found.group()!r}, which tells readers "
                "what is being studied; use a neutral word."
            )


def require_state(state: StudyState, *allowed: StudyState, to: str) -> None:
    if state not in allowed:
        raise Conflict(f"A study that is {state} cannot be used to {to}.")


def is_key_open(state: StudyState, is_demo: bool) -> bool:
    """Whether a researcher may see answers by arm: after unblinding, or live in a demo."""
    return is_demo or state is StudyState.UNBLINDED


def drawn(secret: str, purpose: str) -> str:
    """64 hexadecimal digits that only the study's secret leads to, the same on every engine."""
    return hmac.new(bytes.fromhex(secret), purpose.encode(), hashlib.sha256).hexdigest()


def receipt(secret: str, label: str) -> str:
    """A code that the reader can quote, and that only the study's researcher can recognise."""
    code = drawn(secret, f"receipt/{label}")[:8].upper()
    return f"{code[:4]}-{code[4:]}"
