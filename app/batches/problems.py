"""Everything that is wrong with a batch, in words for the person who made it."""

from collections.abc import Iterable

from app.errors import Invalid

PROBLEMS_LISTED = 100
PROBLEM_CHARACTERS = 500


class Problems:
    """Of very many problems, the first hundred and the number of the rest."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.more = 0

    def add(self, problem: str) -> None:
        if len(self.listed) < PROBLEMS_LISTED:
            self.listed.append(fit_to_print(problem))
        else:
            self.more += 1

    def extend(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self.add(problem)

    @property
    def total(self) -> int:
        return len(self.listed) + self.more

    def refusal(self) -> Invalid:
        count = "there is one problem" if self.total == 1 else f"there are {self.total} problems"
        rest = (f"and {self.more} more",) if self.more else ()
        return Invalid(f"The batch cannot be imported: {count}.", problems=(*self.listed, *rest))


def fit_to_print(text: str) -> str:
    """Names come from strangers: no control characters reach a terminal, nothing is endless."""
    short = text if len(text) <= PROBLEM_CHARACTERS else f"{text[:PROBLEM_CHARACTERS]}…"
    return "".join(character if character.isprintable() else "�" for character in short)
