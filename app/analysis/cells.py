"""One line of a CSV file, read cell by cell; what is wrong is collected with its place."""

from collections.abc import Mapping


class Line:
    """One line of a file; what is wrong with a cell is added to `problems`."""

    def __init__(self, file: str, number: int, cells: Mapping[str, str], problems: list[str]):
        self.cells = cells
        self._place, self._problems = f"{file}, line {number}", problems

    def text(self, column: str) -> str:
        return self.cells.get(column) or ""

    def needed(self, column: str) -> str:
        value = self.text(column)
        if not value:
            self.wrong(column, value, "write a value")
        return value

    def number(self, column: str) -> int | None:
        value = self.text(column)
        try:
            return int(value) if value else None
        except ValueError:
            self.wrong(column, value, "write a whole number, or nothing where there is none")
            return None

    def whole(self, column: str) -> int:
        if not self.text(column):
            self.wrong(column, "", "write a whole number")
        return self.number(column) or 0

    def one_of(self, column: str, *words: str) -> str:
        value = self.text(column)
        if value not in words:
            named = ", ".join(word or "nothing" for word in words)
            self.wrong(column, value, f"write one of: {named}")
        return value

    def wrong(self, column: str, value: str, advice: str) -> None:
        self._problems.append(f"{self._place}, column {column}: {value!r}; {advice}.")
