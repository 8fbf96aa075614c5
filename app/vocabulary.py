"""The closed sets of words that the database, the rules and the pages share."""

from enum import StrEnum


class StudyState(StrEnum):
    """How far a study has come; it only ever moves down this list."""

    DRAFT = "draft"
    READY = "ready"
    READING = "reading"
    LOCKED = "locked"
    UNBLINDED = "unblinded"


class Answer(StrEnum):
    """What a reader can answer to one presentation."""

    TUMOUR = "tumour"
    NO_TUMOUR = "non_tumour"
