"""The key that only the researcher holds: what each presentation showed."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

KEY = """
    SELECT p.token, p.part, p.reader_id, p.position, coalesce(p.set_number, 0), s.case_id, s.id,
           s.condition_id IS NOT NULL, c.truth, p.orientation, coalesce(p.beside_id, 0),
           b.condition_id IS NOT NULL
    FROM presentation p JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
    LEFT JOIN stimulus b ON b.id = p.beside_id
"""


@dataclass(frozen=True)
class Secret:
    """What the key says of one presentation; `arm` is 1 for a perturbed image.

    beside, beside_arm: of the right image of a pair.
    """

    token: str
    part: str
    reader: int
    position: int
    set_number: int
    case: int
    stimulus: int
    arm: int
    truth: int
    orientation: int
    beside: int
    beside_arm: int

    @property
    def of_right(self) -> "Secret":
        return replace(self, stimulus=self.beside, arm=self.beside_arm)


class Key:
    """Looked up in the database itself; what is not a token has no entry."""

    def __init__(self, home: Path) -> None:
        self.path = home / "plainsight.db"
        self.known: dict[str, Secret] = {}
        self.kept: list[Secret] | None = None

    def __getitem__(self, token: str) -> Secret:
        if token not in self.known:
            self.known = {secret.token: secret for secret in self.read()}
        return self.known[token]

    def keep(self) -> None:
        """All of it, for when the database is no more."""
        self.kept = self.read()

    def read(self) -> list[Secret]:
        if self.kept is not None:
            return self.kept
        with closing(sqlite3.connect(self.path)) as connection:
            return [Secret(*row) for row in connection.execute(KEY)]

    def by_place(self) -> dict[tuple[int, str, int], Secret]:
        """By reader, part and position, whatever a token was called on its way."""
        return {(each.reader, each.part, each.position): each for each in self.read()}
