"""Every table. What must never happen is a constraint here, not a hope elsewhere."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.storage.types import PerhapsProbability, UTCDateTime
from app.vocabulary import (
    Answer,
    DeliveryKind,
    DeliveryState,
    Estimand,
    Impression,
    PairTask,
    Part,
    Problem,
    RehearsalState,
    StudyState,
    Undo,
)

DIGEST = String(64)
CATCH_IS_READ = "NOT is_catch OR part = 'reading'"


def closed_set(kind: type[StrEnum]) -> Enum:
    """Text with a check constraint, the same on SQLite and Postgres."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=20,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Researcher(Base):
    """Who runs studies; an administrator also looks after the accounts."""

    __tablename__ = "researcher"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    is_administrator: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    deactivated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ResearcherSession(Base):
    """One signed-in browser. Only a digest of its cookie is kept."""

    __tablename__ = "researcher_session"

    token_digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researcher.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)

    researcher: Mapped[Researcher] = relationship()


class SignInFailure(Base):
    """A password that was not right, by digest of the email or of the address it came from."""

    __tablename__ = "sign_in_failure"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(DIGEST, index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class AccountEvent(Base):
    """What was done to an account, and by whom; rows are only ever added."""

    __tablename__ = "account_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(String(320))
    kind: Mapped[str] = mapped_column(String(40))
    email: Mapped[str] = mapped_column(String(320))


class ApiToken(Base):
    """Lets a program act for a researcher. Only a digest of it is kept."""

    __tablename__ = "api_token"

    token_digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researcher.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    researcher: Mapped[Researcher] = relationship()


class Batch(Base):
    """A delivery of images. `digest` is the SHA-256 of its batch.json.

    `researcher_id` tells who brought it; empty when it came by the command line. `scan` is what
    its files would give away to a reader, `evidence` what it says of the network itself.
    """

    __tablename__ = "batch"
    __table_args__ = (
        UniqueConstraint("researcher_id", "digest"),
        Index(
            "uq_batch_of_nobody",
            "digest",
            unique=True,
            sqlite_where=text("researcher_id IS NULL"),
            postgresql_where=text("researcher_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(DIGEST)
    criterion: Mapped[str] = mapped_column(String(500))
    network: Mapped[dict[str, Any]] = mapped_column(JSON)
    provenance: Mapped[dict[str, Any]] = mapped_column(JSON)
    evidence: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True),
        deferred=True,  # it may hold thousands of numbers
    )
    scan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    researcher_id: Mapped[int | None] = mapped_column(ForeignKey("researcher.id"))
    imported_at: Mapped[datetime] = mapped_column(UTCDateTime)

    conditions: Mapped[list["Condition"]] = relationship(
        back_populates="batch", order_by="Condition.id"
    )
    cases: Mapped[list["Case"]] = relationship(back_populates="batch", order_by="Case.id")


class Delivery(Base):
    """A batch on its way in: bytes that arrive, then an import that somebody can watch.

    `token` names its folder; `problems` is everything that was wrong with it.
    """

    __tablename__ = "delivery"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(40), unique=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researcher.id"), index=True)
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batch.id"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[DeliveryKind] = mapped_column(closed_set(DeliveryKind))
    state: Mapped[DeliveryState] = mapped_column(closed_set(DeliveryState))
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    received_bytes: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[int]
    total: Mapped[int]
    problems: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Condition(Base):
    """An attack with its budget. The original is a stimulus without a condition.

    Of another tool's attack nobody said how it was run: its steps and confidence target are 0,
    its step size and seed empty.
    """

    __tablename__ = "condition"
    __table_args__ = (UniqueConstraint("batch_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    name: Mapped[str] = mapped_column(String(64))
    attack: Mapped[str] = mapped_column(String(64))
    norm: Mapped[str] = mapped_column(String(10))
    epsilon: Mapped[str | None] = mapped_column(String(20))
    steps: Mapped[int]
    step_size: Mapped[str] = mapped_column(String(20))
    confidence_target: Mapped[float]
    seed: Mapped[str] = mapped_column(String(40))

    batch: Mapped[Batch] = relationship(back_populates="conditions")


class Case(Base):
    """One tissue patch: what a truth belongs to. 0 micrometres per pixel: nobody said."""

    __tablename__ = "case"
    __table_args__ = (
        UniqueConstraint("batch_id", "name"),
        CheckConstraint("truth IN (0, 1)", name="truth"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    name: Mapped[str] = mapped_column(String(64))
    truth: Mapped[int]
    data_set: Mapped[str] = mapped_column(String(100))
    fold: Mapped[str] = mapped_column(String(100))
    index_in_fold: Mapped[int]
    micrometres_per_pixel: Mapped[float]

    batch: Mapped[Batch] = relationship(back_populates="cases")
    stimuli: Mapped[list["Stimulus"]] = relationship(back_populates="case", order_by="Stimulus.id")


class Stimulus(Base):
    """One image of one case: the original, or the case under one condition.

    `file` names the pixels in the image store, `sha256` is their digest there;
    `delivered_sha256` is the digest of the file that the batch delivered. The measured norms
    are in grey levels, `l0_fraction` a share of the pixels; all are empty for an original.
    """

    __tablename__ = "stimulus"
    __table_args__ = (
        UniqueConstraint("case_id", "condition_id"),
        Index(
            "uq_stimulus_original",
            "case_id",
            unique=True,
            sqlite_where=text("condition_id IS NULL"),
            postgresql_where=text("condition_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"))
    condition_id: Mapped[int | None] = mapped_column(ForeignKey("condition.id"))
    file: Mapped[str] = mapped_column(String(100), unique=True)
    sha256: Mapped[str] = mapped_column(DIGEST)
    delivered_sha256: Mapped[str] = mapped_column(DIGEST)
    stored_bytes: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    p_positive: Mapped[float | None] = mapped_column(PerhapsProbability, nullable=False)
    success: Mapped[bool | None]
    l0_fraction: Mapped[float | None]
    l1_mad: Mapped[float | None]
    l2_rmsd: Mapped[float | None]
    linf: Mapped[int | None]
    ssim: Mapped[float | None]

    case: Mapped[Case] = relationship(back_populates="stimuli")
    condition: Mapped[Condition | None] = relationship()


class Study(Base):
    """One blinded study. `secret` is the key from which each reader's order is drawn.

    A break is offered after so many images or minutes, 0 for never. With `masking` every image
    is shown in one of its flips and rotations. The sets are split into `waves`, at least
    `washout_days` apart. Without `pair_task` there is no block of pairs. Margins are shares; an
    answer faster or slower than the limits is left out of the analysis. An attentive reader has
    the share `catch_least` of catch images right. `protocol` is the frozen plan as canonical JSON,
    from the start on.
    """

    __tablename__ = "study"
    __table_args__ = (
        UniqueConstraint("researcher_id", "internal_title"),
        CheckConstraint("sets >= 1", name="sets"),
        CheckConstraint("minimum_gap >= 1", name="minimum_gap"),
        CheckConstraint("waves BETWEEN 1 AND sets", name="waves"),
        CheckConstraint("(state = 'unblinded') = (unblinded_at IS NOT NULL)", name="unblinded"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researcher.id"))
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    internal_title: Mapped[str] = mapped_column(String(200))
    public_title: Mapped[str] = mapped_column(String(200))
    question: Mapped[str] = mapped_column(String(300))
    criterion: Mapped[str] = mapped_column(String(500))
    sets: Mapped[int]
    minimum_gap: Mapped[int]
    waves: Mapped[int]
    washout_days: Mapped[int]
    feedback: Mapped[bool]
    confidence: Mapped[bool]
    few_cells: Mapped[bool]
    cannot_assess: Mapped[bool]
    undo: Mapped[Undo] = mapped_column(closed_set(Undo))
    break_after_images: Mapped[int]
    break_after_minutes: Mapped[int]
    masking: Mapped[bool]
    pair_task: Mapped[PairTask | None] = mapped_column(closed_set(PairTask))
    not_sure: Mapped[bool]
    estimand: Mapped[Estimand] = mapped_column(closed_set(Estimand), default=Estimand.FLIPS)
    margin_flips: Mapped[float] = mapped_column(default=0.05)
    margin_tp: Mapped[float] = mapped_column(default=0.10)
    alpha: Mapped[float] = mapped_column(default=0.05)
    minimum_time_ms: Mapped[int | None]
    maximum_time_ms: Mapped[int | None]
    catch_least: Mapped[float | None]
    instructions: Mapped[str] = mapped_column(String(2000), default="")
    scan_reason: Mapped[str] = mapped_column(String(500), default="")
    is_demo: Mapped[bool]
    secret: Mapped[str] = mapped_column(String(64))
    state: Mapped[StudyState] = mapped_column(closed_set(StudyState))
    protocol: Mapped[str | None] = mapped_column(Text)
    protocol_hash: Mapped[str | None] = mapped_column(DIGEST)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    locked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    unblinded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    researcher: Mapped[Researcher] = relationship()
    batch: Mapped[Batch] = relationship()
    readers: Mapped[list["Reader"]] = relationship(back_populates="study", order_by="Reader.id")
    images: Mapped[list["StudyStimulus"]] = relationship(order_by="StudyStimulus.stimulus_id")
    rehearsal: Mapped["Rehearsal | None"] = relationship(
        foreign_keys="Rehearsal.study_id", back_populates="study", viewonly=True
    )

    @property
    def is_rehearsal(self) -> bool:
        """Whether robots read it."""
        return self.rehearsal is not None

    def stimuli_of(self, part: Part) -> list[Stimulus]:
        """What the part is about, without catch images."""
        return [
            image.stimulus for image in self.images if image.part is part and not image.is_catch
        ]

    def shown_in(self, part: Part) -> list[Stimulus]:
        """All that readers see in the part."""
        return [image.stimulus for image in self.images if image.part is part]

    @property
    def catch_images(self) -> list[Stimulus]:
        return [image.stimulus for image in self.images if image.is_catch]

    @property
    def stimuli(self) -> list[Stimulus]:
        """What is read for the results."""
        return self.stimuli_of(Part.READING)


class Member(Base):
    """A collaborator: somebody else's study that a researcher may see, or also manage."""

    __tablename__ = "member"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researcher.id"), primary_key=True)
    may_manage: Mapped[bool]

    researcher: Mapped[Researcher] = relationship()


class Rehearsal(Base):
    """A study that robots read to try another one; it may be deleted as a whole.

    `robots` are its readers in the order of their labels, each with its settings. With `seed`
    they decide every order, answer and time. `done` of `total` presentations are answered.
    """

    __tablename__ = "rehearsal"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    of_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    seed: Mapped[int] = mapped_column(BigInteger)
    robots: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    actor: Mapped[str] = mapped_column(String(320))
    state: Mapped[RehearsalState] = mapped_column(closed_set(RehearsalState))
    done: Mapped[int]
    total: Mapped[int]
    problem: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    study: Mapped[Study] = relationship(foreign_keys=study_id, back_populates="rehearsal")
    of: Mapped[Study] = relationship(foreign_keys=of_id)


class Amendment(Base):
    """A change of the plan after the start, with its reason and the whole plan as it is then."""

    __tablename__ = "amendment"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(String(320))
    reason: Mapped[str] = mapped_column(String(1000))
    protocol: Mapped[str] = mapped_column(Text)
    protocol_hash: Mapped[str] = mapped_column(DIGEST)


class StudyStimulus(Base):
    """The images that each part of a study shows.

    A catch image is a clear case among those that are read, and counts in no result.
    """

    __tablename__ = "study_stimulus"
    __table_args__ = (CheckConstraint(CATCH_IS_READ, name="is_catch"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    stimulus_id: Mapped[int] = mapped_column(ForeignKey("stimulus.id"), primary_key=True)
    part: Mapped[Part] = mapped_column(closed_set(Part), primary_key=True)
    is_catch: Mapped[bool] = mapped_column(default=False, server_default=false())

    stimulus: Mapped[Stimulus] = relationship(lazy="joined", innerjoin=True)


class Reader(Base):
    """One pathologist in one study.

    Only digests are kept: of the personal link, and of the visit that may read at present.
    `keys_swapped` tells which of the two answer keys means which answer.
    """

    __tablename__ = "reader"
    __table_args__ = (UniqueConstraint("study_id", "label"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    label: Mapped[str] = mapped_column(String(20))
    link_digest: Mapped[str] = mapped_column(DIGEST, unique=True)
    place_digest: Mapped[str | None] = mapped_column(DIGEST, unique=True)
    keys_swapped: Mapped[bool]
    invited_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    language: Mapped[str | None] = mapped_column(String(10))
    consent_version: Mapped[str | None] = mapped_column(String(40))
    consent_sha256: Mapped[str | None] = mapped_column(DIGEST)
    began_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    study: Mapped[Study] = relationship(back_populates="readers")
    sittings: Mapped[list["Sitting"]] = relationship(
        back_populates="reader", order_by="Sitting.number"
    )


class Sitting(Base):
    """One wave of one reader. `seed` made its order; it opens at `opens_at`, the first at once."""

    __tablename__ = "sitting"

    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    seed: Mapped[str] = mapped_column(String(64))
    opens_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    reader: Mapped[Reader] = relationship(back_populates="sittings")


class ScreenCheck(Base):
    """What a reader's screen and browser were like; `is_silent` when found without asking.

    Lengths are in CSS pixels. `letters_shown` are faint; `letters_read` is what the reader saw.
    """

    __tablename__ = "screen_check"

    id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    is_silent: Mapped[bool]
    code: Mapped[str] = mapped_column(String(40))
    device_pixel_ratio: Mapped[float]
    browser_zoom: Mapped[float]
    screen_width: Mapped[int]
    screen_height: Mapped[int]
    viewport_width: Mapped[int]
    viewport_height: Mapped[int]
    colour_depth: Mapped[int | None]
    pointer: Mapped[str | None] = mapped_column(String(10))
    keys_tried: Mapped[bool | None]
    storage_works: Mapped[bool | None]
    letters_shown: Mapped[str | None] = mapped_column(String(10))
    letters_read: Mapped[str | None] = mapped_column(String(10))


class Debrief(Base):
    """What a reader noticed, asked when all images are read and before any pair is shown."""

    __tablename__ = "debrief"

    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    saw_repeats: Mapped[Impression | None] = mapped_column(closed_set(Impression))
    odd: Mapped[str] = mapped_column(String(1000))


class Presentation(Base):
    """One image, to one reader, at one place in the order; of a pair, `beside` is the right one.

    `position` counts from 1 within the part. `set_number` counts how often this reader has seen
    this very image: the sets of the paper. `orientation` is 0 for the image as it was delivered.
    With `is_catch` it counts in no result, and is shown once.
    """

    __tablename__ = "presentation"
    __table_args__ = (
        UniqueConstraint("reader_id", "part", "position"),
        UniqueConstraint("reader_id", "stimulus_id", "set_number"),
        CheckConstraint("(part = 'reading') = (set_number IS NOT NULL)", name="set_number"),
        CheckConstraint("(part = 'pairs') = (beside_id IS NOT NULL)", name="beside"),
        CheckConstraint("orientation BETWEEN 0 AND 7", name="orientation"),
        CheckConstraint(CATCH_IS_READ, name="is_catch"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    part: Mapped[Part] = mapped_column(closed_set(Part))
    sitting: Mapped[int]
    position: Mapped[int]
    stimulus_id: Mapped[int] = mapped_column(ForeignKey("stimulus.id"))
    beside_id: Mapped[int | None] = mapped_column(ForeignKey("stimulus.id"))
    set_number: Mapped[int | None]
    orientation: Mapped[int]
    is_catch: Mapped[bool] = mapped_column(default=False, server_default=false())
    token: Mapped[str] = mapped_column(String(40), unique=True)

    reader: Mapped[Reader] = relationship()
    stimulus: Mapped[Stimulus] = relationship(foreign_keys=stimulus_id)
    beside: Mapped[Stimulus | None] = relationship(foreign_keys=beside_id)


class Response(Base):
    """One answer to one presentation; rows are only ever added.

    An answer that was taken back has a row in `undone`; the next answer has the next `attempt`.
    Times are the reader's own clock: `given_at` its date, the others milliseconds.
    """

    __tablename__ = "response"
    __table_args__ = (UniqueConstraint("presentation_id", "attempt"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    presentation_id: Mapped[int] = mapped_column(ForeignKey("presentation.id"))
    attempt: Mapped[int]
    answer: Mapped[Answer] = mapped_column(closed_set(Answer))
    confidence: Mapped[int | None]
    given_at: Mapped[datetime] = mapped_column(UTCDateTime)
    answered_at: Mapped[datetime] = mapped_column(UTCDateTime)
    reading_time_ms: Mapped[int]
    hidden_ms: Mapped[int]
    idle_ms: Mapped[int]
    device_pixel_ratio: Mapped[float]
    viewport_width: Mapped[int]
    viewport_height: Mapped[int]
    display_width: Mapped[int]
    display_height: Mapped[int]
    scale: Mapped[int]
    zoom: Mapped[int]
    pixel_exact: Mapped[bool]

    presentation: Mapped[Presentation] = relationship()


class Undone(Base):
    """An answer that the reader took back: it stays in the record and counts no more."""

    __tablename__ = "undone"

    response_id: Mapped[int] = mapped_column(ForeignKey("response.id"), primary_key=True)
    undone_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ProblemReport(Base):
    """What a reader reported about an image."""

    __tablename__ = "problem_report"

    id: Mapped[int] = mapped_column(primary_key=True)
    presentation_id: Mapped[int] = mapped_column(ForeignKey("presentation.id"), index=True)
    kind: Mapped[Problem] = mapped_column(closed_set(Problem))
    reported_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Event(Base):
    """What happened to a study, and by whom; rows are only ever added.

    `detail` says more where the kind needs it, such as which collaborator was added.
    """

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(String(320))
    kind: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(400), default="")
