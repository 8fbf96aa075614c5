"""Column types that keep what the databases would drop."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Double
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """A moment with its time zone; SQLite drops the zone, this puts UTC back.

    ValueError for a datetime without a time zone: nobody could say which moment it is.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored datetime needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PerhapsProbability(TypeDecorator[float]):
    """A probability, or None when nobody said; kept as -1, which no probability is."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float:  # noqa: ARG002
        return -1.0 if value is None else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        return None if value is None or value < 0 else value
