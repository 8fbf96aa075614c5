"""What can go wrong for a person: each kind of error has one HTTP status."""

# ruff: noqa: N818 -- `raise NotFound(...)` says what happened; the base class says it is an error.

from typing import ClassVar


class StudyError(Exception):
    """An error whose message is one sentence for the person who asked."""

    status: ClassVar[int] = 500


class SignInNeeded(StudyError):
    status = 401


class NotAllowed(StudyError):
    status = 403


class NotFound(StudyError):
    """Also said of what exists but is not theirs."""

    status = 404


class Conflict(StudyError):
    status = 409


class TooLarge(StudyError):
    status = 413


class Invalid(StudyError):
    """`problems` lists everything that is wrong, one sentence each, where there is a list."""

    status = 422

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
