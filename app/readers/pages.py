"""What a researcher sees of one reader, and of new personal links: these are shown once, for only
digests are kept."""

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import segno
from markupsafe import Markup

from app.readers.domain import last_day
from app.readers.service import Invitation
from app.storage.models import Reader, Study
from app.studies.logs import ProblemRow
from app.studies.monitor import OPEN, Watched
from app.studies.monitor_pages import WatchedRow, watched_row
from app.studies.service import design_of_study
from app.vocabulary import N_
from app.web.language import LANGUAGES, translate, whole_day

INVITED = N_(
    "You are invited by {researcher} to “{study}”. "
    "You will see images of tissue and answer one question about each."
)
YOUR_LINK = N_("This is your personal link. Please do not pass it on:")
HOW = N_(
    "Please open it on a computer with a mouse or a keyboard. "
    "You may stop at any time and continue later with the same link."
)
LAST_DAY = N_("The link is good until the end of {day} (UTC).")
PLACE_OF_LINK = N_("[your personal link]")
HEADS = ("reader", "link", "last_day")


@dataclass(frozen=True)
class Link:
    """`qr` is its QR code as SVG."""

    label: str
    url: str
    last_day: date | None

    @property
    def qr(self) -> Markup:
        return Markup(segno.make(self.url, micro=False).svg_inline(scale=4, light="#fff"))  # noqa: S704


@dataclass(frozen=True)
class NeutralText:
    """What can be pasted into a mail: it says nothing of what is studied."""

    language: str
    name: str
    text: str


@dataclass(frozen=True)
class InvitationPage:
    """One link."""

    title: str
    study_id: int
    study: str
    link: Link
    texts: Sequence[NeutralText]


@dataclass(frozen=True)
class InvitationsPage:
    """Several links. `csv` is a data: address, so that no link is sent or kept once more."""

    title: str
    study_id: int
    study: str
    links: Sequence[Link]
    csv: str
    texts: Sequence[NeutralText]


@dataclass(frozen=True)
class ReaderPage:
    """`last_day` is that of the present link, which a new one keeps unless it is over."""

    title: str
    study_id: int
    study: str
    label: str
    row: WatchedRow
    invited_at: datetime
    began_at: datetime | None
    seen_at: datetime | None
    finished_at: datetime | None
    language: str
    problems: Sequence[ProblemRow]
    last_day: date | None
    may_invite: bool
    may_revoke: bool


def reader_page(
    reader: Reader,
    watched: Watched,
    problems: Sequence[ProblemRow],
    may_manage: bool,
    now: datetime,
) -> ReaderPage:
    study = reader.study
    may_invite = may_manage and study.state in OPEN
    is_over = reader.expires_at is not None and reader.expires_at <= now
    return ReaderPage(
        title=f"Reader {reader.label}",
        study_id=study.id,
        study=study.internal_title,
        label=reader.label,
        row=watched_row(study, watched, design_of_study(study), now),
        invited_at=reader.invited_at,
        began_at=reader.began_at,
        seen_at=reader.last_seen_at,
        finished_at=reader.finished_at,
        language=LANGUAGES.get(reader.language or "", ""),
        problems=problems,
        last_day=None if is_over else last_day(reader.expires_at),
        may_invite=may_invite,
        may_revoke=may_manage and reader.revoked_at is None,
    )


def link_of(invitation: Invitation, public_url: str) -> Link:
    return Link(invitation.label, invitation.url(public_url), last_day(invitation.expires_at))


def invitation_page(study: Study, link: Link, title: str) -> InvitationPage:
    return InvitationPage(
        f"{title} for {link.label}",
        study.id,
        study.internal_title,
        link,
        neutral_texts(study, link.last_day, link.url),
    )


def invitations_page(study: Study, links: Sequence[Link]) -> InvitationsPage:
    encoded = base64.b64encode(links_csv(links).encode()).decode()
    return InvitationsPage(
        f"Invitations for {len(links)} readers",
        study.id,
        study.internal_title,
        links,
        f"data:text/csv;charset=utf-8;base64,{encoded}",
        neutral_texts(study, links[0].last_day),
    )


def neutral_texts(study: Study, until: date | None, url: str | None = None) -> list[NeutralText]:
    return [
        NeutralText(language, name, neutral_text(study, until, url, language))
        for language, name in LANGUAGES.items()
    ]


def neutral_text(study: Study, until: date | None, url: str | None, language: str) -> str:
    invited = translate(language, INVITED).format(
        researcher=study.researcher.email, study=study.public_title
    )
    parts = [
        invited,
        translate(language, YOUR_LINK),
        url or translate(language, PLACE_OF_LINK),
        translate(language, HOW),
    ]
    if until:
        parts.append(translate(language, LAST_DAY).format(day=whole_day(language, until)))
    return "\n\n".join(parts)


def links_csv(links: Sequence[Link]) -> str:
    """One line a reader: a label of ours, an address, and a day. None begins like a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADS)
    writer.writerows((link.label, link.url, link.last_day or "") for link in links)
    return file.getvalue()
