"""The closed sets of words that the database, the rules and the pages share."""

from enum import StrEnum


def N_(text: str) -> str:  # noqa: N802 (the name that every tool for catalogues knows)
    """Marks a sentence that is looked up in the reader's language when it is shown."""
    return text


class StudyState(StrEnum):
    """How far a study has come; it only ever moves down this list."""

    DRAFT = "draft"
    READY = "ready"
    READING = "reading"
    LOCKED = "locked"
    UNBLINDED = "unblinded"


class Part(StrEnum):
    """The parts of a study in the order in which a reader meets them; only READING has results
    by arm, and nothing of one part is ever counted in another."""

    PRACTICE = "practice"
    READING = "reading"
    PAIRS = "pairs"


class Answer(StrEnum):
    """What a reader can answer to one presentation: to one image, then to a pair."""

    TUMOUR = "tumour"
    NO_TUMOUR = "non_tumour"
    FEW_CELLS = "few_cells"
    CANNOT_ASSESS = "cannot_assess"

    LEFT = "left"
    RIGHT = "right"
    SAME = "same"
    DIFFERENT = "different"
    NOT_SURE = "not_sure"


class Undo(StrEnum):
    """Which answers a reader may take back: none, the last one, or one after another."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


class PairTask(StrEnum):
    """What is asked about two images: which one was altered, or whether they are the same."""

    CHOICE = "choice"
    COMPARE = "same_different"


class Problem(StrEnum):
    """What a reader can report about an image."""

    NOT_SHOWN = "not_shown"
    UNCLEAR = "unclear"
    OTHER = "other"


class Impression(StrEnum):
    """Whether a reader thinks that images were shown more than once."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class DeliveryKind(StrEnum):
    """How images come in: our own zip, two folders matched by name, or a table of files."""

    BATCH = "batch"
    FOLDERS = "folders"
    MANIFEST = "manifest"


class DeliveryState(StrEnum):
    """How far a delivery has come; FAILED ones say why and leave nothing behind."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Estimand(StrEnum):
    """What a study sets out to show: that answers flip no more than by themselves, or that as
    many tumours are found."""

    FLIPS = "flips"
    TP_DIFFERENCE = "tp_difference"


class RobotKind(StrEnum):
    """The readers of a rehearsal; app.rehearsal.domain tells what each of them answers."""

    PERFECT = "perfect"
    NOISY = "noisy"
    ALWAYS_TUMOUR = "always_tumour"
    BIASED = "biased"
    QUITTER = "quitter"
    SEES_ALL = "sees_all"


class RehearsalState(StrEnum):
    """How far a rehearsal has come; FAILED ones say why."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
