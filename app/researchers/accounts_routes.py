"""Everybody's accounts, for administrators."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.researchers.accounts import (
    deactivate,
    find_account,
    list_accounts,
    list_record,
    make_administrator,
    note,
    reactivate,
    set_password,
    unmake_administrator,
)
from app.researchers.pages import PasswordPage, RecordPage, accounts_page
from app.researchers.service import add_researcher, new_password
from app.storage.models import Researcher
from app.storage.session import Database, DatabaseDep, ReadingDep, WritingDep
from app.web.fields import WITHOUT_ZERO_BYTE, RowNumber
from app.web.identity import AdministratorDep, now
from app.web.listing import PageNumber, SortedBy
from app.web.templating import render

router = APIRouter()
Email = Annotated[str, Form(max_length=320, pattern=WITHOUT_ZERO_BYTE)]


@router.get("/accounts")
def accounts(
    you: AdministratorDep, session: ReadingDep, page: PageNumber = 1, sort: SortedBy = ""
) -> Response:
    rows, listing = list_accounts(session, page, sort)
    return render("researcher/accounts.html", accounts_page(rows, listing, you))


@router.get("/accounts/record")
def record(
    _you: AdministratorDep, session: ReadingDep, page: PageNumber = 1, sort: SortedBy = ""
) -> Response:
    rows, listing = list_record(session, page, sort)
    return render("researcher/account_record.html", RecordPage(rows, listing))


@router.post("/accounts")
def add(
    you: AdministratorDep,
    database: DatabaseDep,
    email: Email,
    is_administrator: Annotated[bool, Form()] = False,
) -> Response:
    password = new_password()
    try:
        with database.writing() as session:
            added = add_researcher(
                session, email, password, now(), is_administrator=is_administrator
            )
            note(
                session,
                you.email,
                "administrator added" if is_administrator else "added",
                added,
                now(),
            )
    except (Conflict, Invalid) as refusal:
        return refused(database, you, refusal, email)
    return shown_once("New account", added.email, password)


@router.post("/accounts/{researcher_id}/password")
def renew_password(
    researcher_id: RowNumber, you: AdministratorDep, session: WritingDep
) -> Response:
    account = find_account(session, researcher_id)
    password = new_password()
    set_password(session, account, password)
    note(session, you.email, "given a new password", account, now())
    return shown_once("New password", account.email, password)


@router.post("/accounts/{researcher_id}/deactivate")
def deactivate_here(
    researcher_id: RowNumber, you: AdministratorDep, database: DatabaseDep
) -> Response:
    return changed(
        database,
        you,
        researcher_id,
        "deactivated",
        lambda session, account: deactivate(session, account, now()),
    )


@router.post("/accounts/{researcher_id}/reactivate")
def reactivate_here(
    researcher_id: RowNumber, you: AdministratorDep, database: DatabaseDep
) -> Response:
    return changed(database, you, researcher_id, "reactivated", lambda _, each: reactivate(each))


@router.post("/accounts/{researcher_id}/make-administrator")
def make_here(researcher_id: RowNumber, you: AdministratorDep, database: DatabaseDep) -> Response:
    return changed(
        database,
        you,
        researcher_id,
        "made an administrator",
        lambda _, account: make_administrator(account),
    )


@router.post("/accounts/{researcher_id}/unmake-administrator")
def unmake_here(researcher_id: RowNumber, you: AdministratorDep, database: DatabaseDep) -> Response:
    return changed(database, you, researcher_id, "administrator no more", unmake_administrator)


def changed(
    database: Database,
    you: Researcher,
    researcher_id: int,
    kind: str,
    change: Callable[[Session, Researcher], None],
) -> Response:
    try:
        with database.writing() as session:
            account = find_account(session, researcher_id)
            change(session, account)
            note(session, you.email, kind, account, now())
    except Conflict as refusal:
        return refused(database, you, refusal)
    return RedirectResponse("/accounts", 303)


def refused(
    database: Database, you: Researcher, refusal: Conflict | Invalid, email: str = ""
) -> Response:
    with database.reading() as session:
        rows, listing = list_accounts(session)
        page = accounts_page(rows, listing, you, email=email, problem=str(refusal))
        return render("researcher/accounts.html", page, status=refusal.status)


def shown_once(title: str, email: str, password: str) -> Response:
    return render("researcher/password.html", PasswordPage(title, email, password))
