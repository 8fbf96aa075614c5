"""Long lists: one page at a time, sorted by a column, and all of it in the address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import QueryableAttribute, Session

from app.web.fields import LARGEST

ROWS_A_PAGE = 50
Row = TypeVar("Row")
Columns = Mapping[str, QueryableAttribute[Any] | ColumnElement[Any]]
PageNumber = Annotated[int, Query(ge=1, le=LARGEST)]
SortedBy = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True)
class Listing:
    """Where one is in a list. `sort` names a column, with "-" before it the other way round.

    `fragment` is the part of the page with the list, so that a press on a head stays there.
    """

    path: str
    sort: str
    page: int
    pages: int
    total: int
    fragment: str = ""

    def url(self, *, page: int = 1, sort: str | None = None) -> str:
        query = urlencode({"sort": sort or self.sort, "page": page})
        return f"{self.path}?{query}" + (f"#{self.fragment}" if self.fragment else "")

    def turned(self, column: str) -> str:
        """The sort that a press on the head of this column asks for."""
        return f"-{column}" if self.sort == column else column

    def direction(self, column: str) -> str:
        """The value of aria-sort."""
        ways = {column: "ascending", f"-{column}": "descending"}
        return ways.get(self.sort, "none")


def listed(
    session: Session,
    query: Select[Row],
    columns: Columns,
    path: str,
    page: int = 1,
    sort: str = "",
    *,
    per_page: int = ROWS_A_PAGE,
    fragment: str = "",
) -> tuple[Sequence[Row], Listing]:
    """The rows of one page. What is no column sorts by the first, and no page is beyond the last.

    The last of `columns` should be without equals, so that every row is on one page only.
    """
    name = sort.removeprefix("-")
    if name not in columns:
        sort = name = next(iter(columns))
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    pages = max(1, -(-total // per_page))
    page = min(page, pages)
    column = columns[name]
    *_, last = columns.values()
    ordered = query.order_by(None).order_by(column.desc() if sort != name else column.asc(), last)
    rows = session.scalars(ordered.limit(per_page).offset((page - 1) * per_page)).all()
    return rows, Listing(path, sort, page, pages, total, fragment)
