"""Every route by every role: a new route fails until somebody decides who may open it."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.routing import BaseRoute, Mount

from app.batches.deliveries import Announced
from app.batches.deliveries import begin as start_delivery
from app.batches.delivery_folder import DeliveryFolder
from app.main import create_app
from app.readers.service import CONSENT_VERSION
from app.rehearsal.domain import ROBOTS
from app.rehearsal.service import create_rehearsal
from app.researchers.accounts import deactivate, make_administrator
from app.researchers.service import find_researcher
from app.researchers.tokens import make_token
from app.settings import Settings
from app.storage.models import Batch, Stimulus
from app.storage.session import Database
from app.studies.members import set_member
from app.studies.service import find_study
from app.vocabulary import DeliveryKind, RehearsalState, RobotKind
from app.web.identity import digest, now

SIGN_IN = "sign in"
OWNER = "ada@example.org"
DESK = ("owner", "other", "viewer", "manager", "administrator")  # who is signed in
STRANGERS = ("nobody", "reader", "deactivated")
ROLES = (*STRANGERS, *DESK)
Answers = dict[str, int | str]


def to_all(status: int | str) -> Answers:
    return dict.fromkeys(ROLES, status)


def researchers(status: int | str, strangers: int | str = SIGN_IN) -> Answers:
    """Whoever is signed in."""
    return {**to_all(status), **dict.fromkeys(STRANGERS, strangers)}


def view(status: int) -> Answers:
    """Whose study or batch it is, those named for the study, and administrators."""
    return {**researchers(status), "other": 404}


def manage(status: int) -> Answers:
    return {**view(status), "viewer": 403}


def own(status: int) -> Answers:
    return {**manage(status), "manager": 403}


def personal(status: int) -> Answers:
    """Whose it is, and nobody else, not even an administrator."""
    return {**researchers(404), "owner": status}


def administrators(status: int) -> Answers:
    return {**researchers(403), "administrator": status}


def reading(status: int) -> Answers:
    """The reader, by the cookie of a personal link."""
    return {**to_all(403), "reader": status}


@dataclass(frozen=True)
class Row:
    """What each role is answered; SIGN_IN is a redirection to the sign-in page.

    `json` is the name of what is sent. What `moves` the study is done by its owner when the
    role may not, so that all see the same study in the rows after it.
    """

    route: str
    answers: Answers
    data: dict[str, str] | None = None
    json: str = ""
    params: dict[str, str] | None = None
    moves: bool = False


SOMEBODY = {"email": "carol@example.org", "may": "view"}
TABLE = [
    # Open to all
    Row("GET /", to_all(303)),
    Row("GET /healthz", to_all(200)),
    Row("GET /static", to_all(200)),
    Row("GET /sign-in", to_all(200)),
    Row("POST /sign-in", to_all(401), {"email": "a@b", "password": "wrong"}),
    # Any researcher
    Row("GET /account", researchers(200)),
    Row("POST /account/password", researchers(422), {"present": "wrong", "new": "another one"}),
    Row("POST /account/tokens", researchers(200), {"name": "A program"}),
    Row("GET /batches", researchers(200)),
    Row("POST /batches", researchers(422)),
    Row("GET /batches/new", researchers(200)),
    Row("GET /deliveries", researchers(200)),
    Row("POST /deliveries", researchers(422)),
    Row("GET /studies", researchers(200)),
    Row("GET /studies/new", researchers(200)),
    Row("POST /studies", researchers(422)),
    Row("POST /studies/reckon", researchers(200)),
    Row("GET /api/v1", researchers(200, strangers=404)),
    Row("GET /api/v1/openapi.json", researchers(200, strangers=404)),
    # A program with the personal token of somebody in that role
    Row("POST /api/v1/batches", researchers(422)),
    Row("GET /api/v1/deliveries/{token}", personal(200)),
    # Whose it is, alone
    Row("GET /deliveries/{token}", personal(200)),
    Row("GET /deliveries/{token}/bytes", personal(200)),
    Row("PUT /deliveries/{token}/bytes", personal(200), params={"offset": "0"}),
    Row("POST /deliveries/{token}/discard", personal(303)),
    Row("POST /account/tokens/{token_digest}/revoke", personal(303)),
    # Administrators
    Row("GET /accounts", administrators(200)),
    Row("GET /accounts/record", administrators(200)),
    Row("POST /accounts", administrators(200), {"email": "new@example.org"}),
    Row("POST /accounts/{researcher_id}/password", administrators(200)),
    Row("POST /accounts/{researcher_id}/deactivate", administrators(303)),
    Row("POST /accounts/{researcher_id}/reactivate", administrators(303)),
    Row("POST /accounts/{researcher_id}/make-administrator", administrators(303)),
    Row("POST /accounts/{researcher_id}/unmake-administrator", administrators(303)),
    # Who works on the study
    Row("GET /batches/{batch_id}", view(200)),
    Row("GET /batches/{batch_id}/images/{stimulus_id}", view(200)),
    Row("GET /batches/{batch_id}/differences/{stimulus_id}", view(200)),
    Row("GET /batches/{batch_id}/saliency/{stimulus_id}", view(200)),
    Row("GET /batches/{batch_id}/network", view(200)),
    Row("GET /batches/{batch_id}/charts/{chart}.{kind}", view(200)),
    Row("GET /studies/{study_id}", view(200)),
    Row("GET /studies/{study_id}/protocol.json", view(200)),
    Row("GET /studies/{study_id}/problems", view(200)),
    Row("GET /studies/{study_id}/record", view(200)),
    Row("GET /studies/{study_id}/readers/{label}", view(200)),
    Row("GET /studies/{study_id}/edit", manage(200)),
    Row("POST /studies/{study_id}/edit", manage(422)),
    Row("POST /studies/{study_id}/start", manage(409)),
    Row("POST /studies/{study_id}/delete", own(409)),
    Row("GET /studies/{study_id}/amend", manage(200)),
    Row("POST /studies/{study_id}/amend", manage(422)),
    Row("POST /studies/{study_id}/readers", manage(200)),
    Row("POST /studies/{study_id}/readers/{label}/reissue", manage(200)),
    Row("GET /studies/{study_id}/rehearsals/{number}", view(200)),
    Row("POST /studies/{study_id}/rehearsals/{number}/delete", manage(303), moves=True),
    Row("POST /studies/{study_id}/rehearsals", manage(303)),
    Row("POST /studies/{study_id}/collaborators", own(303), SOMEBODY),
    Row("POST /studies/{study_id}/collaborators/{researcher_id}/remove", own(303)),
    # The reader; each step has its page, and leads elsewhere when it is not the step
    Row("GET /reading", reading(303)),
    Row("GET /reading/language/{code}", to_all(303)),
    Row("GET /reading/welcome", reading(200)),
    Row("POST /reading/begin", reading(303), {"consent": CONSENT_VERSION}),
    Row("GET /reading/check", reading(303)),
    Row("POST /reading/check", reading(200), json="check"),
    Row("GET /reading/check/saved", reading(200)),
    Row("GET /reading/room", reading(200)),
    Row("GET /reading/later", reading(303)),
    Row("GET /reading/questions", reading(303)),
    Row("POST /reading/questions", reading(303)),
    Row("GET /reading/pairs", reading(303)),
    Row("POST /reading/pairs", reading(303)),
    Row("GET /reading/done", reading(303)),
    # The reader, in the one place where they read
    Row("GET /reading/window", reading(200)),
    Row("GET /reading/images/{token}", reading(200)),
    Row("GET /reading/images/{token}/right", reading(404)),
    Row("POST /reading/display", reading(200), json="display"),
    Row("POST /reading/problems", reading(200), json="problem"),
    Row("POST /reading/responses", reading(200), json="answer"),
    Row("POST /reading/undo", reading(200), json="undo"),
    Row("POST /reading/arrive", reading(200)),
    # Whoever has a personal link
    Row("GET /r/{token}", to_all(303)),
    # What changes the study, in the order in which it is possible
    Row("POST /studies/{study_id}/readers/{label}/revoke", manage(303)),
    Row("POST /studies/{study_id}/lock", manage(303), moves=True),
    Row("POST /studies/{study_id}/unblind", own(303), {"typed": "Linf 2"}, moves=True),
    Row("GET /studies/{study_id}/results", view(200)),
    Row("GET /studies/{study_id}/analysis.json", view(200)),
    Row("GET /studies/{study_id}/report", view(200)),
    Row("GET /studies/{study_id}/report.pdf", view(200)),
    Row("GET /studies/{study_id}/charts/{chart}.{kind}", view(200)),
    Row("GET /studies/{study_id}/presentations.csv", view(200)),
    Row("GET /studies/{study_id}/export.zip", view(200)),
    Row("POST /sign-out", to_all(303)),
]


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    created = create_app(settings)
    yield created
    created.state.database.close()


def all_routes(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """Every route, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from all_routes(included.routes)


def name_of(route: BaseRoute) -> list[str]:
    if isinstance(route, Mount):
        return [f"GET {route.path}"]
    assert isinstance(route, APIRoute), f"a kind of route that this test does not know: {route}"
    return [f"{method} {route.path}" for method in sorted(route.methods or ())]


def test_every_route_is_in_the_table_and_the_table_has_no_other(app: FastAPI) -> None:
    routes = [name for route in all_routes(app.routes) for name in name_of(route)]
    assert sorted(routes) == sorted(row.route for row in TABLE)


def test_no_route_blocks_the_event_loop(app: FastAPI) -> None:
    """The database blocks: FastAPI runs `def` in threads, an `async def` would stop everybody."""
    for route in all_routes(app.routes):
        if isinstance(route, APIRoute):
            assert not inspect.iscoroutinefunction(route.endpoint), route.path


def email_of(role: str) -> str:
    return OWNER if role == "owner" else f"{role}@example.org"


@dataclass(frozen=True)
class World:
    """What stands for each {name} in a path and for each body, and a program's token by role."""

    paths: dict[str, str]
    bodies: dict[str, Any]
    programs: dict[str, str]
    visit: Callable[[str], TestClient]


@pytest.fixture
def world(
    browser: Callable[[], TestClient],
    ready: Callable[..., Any],
    begin: Callable[[TestClient, str], None],
    office: Callable[..., TestClient],
    employ: Callable[[str], str],
    answer: Callable[..., Any],
    check_record: dict[str, Any],
    display_record: dict[str, Any],
    settings: Settings,
    database: Database,
) -> World:
    """A study with people in every role, read by one reader."""
    made = ready(readers=3, evidence=True)
    reader = browser()
    begin(reader, made.links[0])
    token = reader.get("/reading/window").json()["tokens"][0]
    for role in ("other", "viewer", "manager", "administrator", "deactivated", "carol"):
        employ(email_of(role))
    with database.writing() as session:
        give_roles(session, made.study)
        programs = programs_of(session)
        owner = find_researcher(session, OWNER)
        announced = Announced("batch.zip", DeliveryKind.BATCH, 10)
        folder = DeliveryFolder(settings.deliveries)
        delivery = start_delivery(session, folder, owner.id, announced, now()).token
        altered = select(Stimulus.id).where(Stimulus.condition_id.is_not(None))
        rehearsed = rehearsal_of(session, made.study)
        paths = {
            "/deliveries/{token}": f"/deliveries/{delivery}",
            "/r/{token}": f"/r/{made.links[1].rpartition('/')[2]}",
            "/static": "/static/plainsight.css",
            "{batch_id}": str(made.batch),
            "{chart}.{kind}": "network-linf.svg",
            "{code}": "en",
            "{label}": "R03",
            "{number}": str(rehearsed),
            "{researcher_id}": str(find_researcher(session, email_of("carol")).id),
            "{stimulus_id}": str(session.scalars(altered).first()),
            "{study_id}": str(made.study),
            "{token_digest}": digest(make_token(session, owner, "Another program", now())),
            "{token}": token,
        }
    bodies = {
        "answer": answer(token),
        "undo": {"token": token, "attempt": 0},
        "problem": {"token": token, "kind": "unclear"},
        "check": check_record,
        "display": display_record,
    }

    def visit(role: str) -> TestClient:
        if role == "nobody":
            return browser()
        if role == "reader":
            return reader
        opened = office(email_of(role))
        if role == "deactivated":
            with database.writing() as session:
                deactivate(session, find_researcher(session, email_of(role)), now())
        return opened

    return World(paths, bodies, programs, visit)


def rehearsal_of(session: Session, study_id: int) -> int:
    """One whose robots have finished."""
    robots = [ROBOTS[RobotKind.PERFECT]]
    made = create_rehearsal(session, find_study(session, study_id), robots, 1, OWNER, now())
    made.state = RehearsalState.DONE
    session.flush()
    return made.study_id


def give_roles(session: Session, study_id: int) -> None:
    study = find_study(session, study_id)
    session.execute(update(Batch).values(researcher_id=study.researcher_id))
    for role, may_manage in (("viewer", False), ("manager", True)):
        set_member(session, study, email_of(role), may_manage, OWNER, now())
    make_administrator(find_researcher(session, email_of("administrator")))


def programs_of(session: Session) -> dict[str, str]:
    """A personal token of everybody who has an account."""
    return {
        role: make_token(session, find_researcher(session, email_of(role)), "A program", now())
        for role in (*DESK, "deactivated")
    }


def ask(world: World, row: Row, visitor: TestClient, role: str) -> Response:
    method, path = row.route.split()
    for name, value in world.paths.items():
        path = path.replace(name, value)
    sent: dict[str, Any] = {"json": world.bodies[row.json]} if row.json else {}
    if row.data:
        sent["data"] = row.data
    if path.startswith("/api/") and role in world.programs:
        sent["headers"] = {"authorization": f"Bearer {world.programs[role]}"}
    return visitor.request(method, path, params=row.params, **sent)


def said(response: Response) -> int | str:
    is_sign_in = response.headers.get("location", "").startswith("/sign-in?")
    return SIGN_IN if is_sign_in else response.status_code


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_answered_as_the_table_says(role: str, world: World) -> None:
    owner, visitor = world.visit("owner"), world.visit(role)
    answered = {}
    for row in TABLE:
        answered[row.route] = said(ask(world, row, visitor, role))
        if row.moves and answered[row.route] != row.answers["owner"]:
            assert said(ask(world, row, owner, "owner")) == row.answers["owner"]
    assert answered == {row.route: row.answers[role] for row in TABLE}


def test_what_is_somebody_elses_is_answered_as_what_is_not_there(world: World) -> None:
    """To the last letter: nobody learns that there is such a study, batch or delivery."""
    stranger = world.visit("other")
    missing = {
        "{batch_id}": "999999",
        "{study_id}": "999999",
        "{token_digest}": "0" * 64,
        "/deliveries/{token}": f"/deliveries/{'0' * 32}",
    }
    nowhere = replace(world, paths={**missing, **world.paths, **missing})
    asked = [row for row in TABLE if row.answers["other"] == 404]
    assert len(asked) >= 20
    for row in asked:
        there = ask(world, row, stranger, "other")
        not_there = ask(nowhere, row, stranger, "other")
        assert (there.status_code, there.text) == (not_there.status_code, not_there.text), row.route


def test_a_list_holds_what_is_theirs_and_nothing_of_others(world: World) -> None:
    links = {
        "/studies": f'href="/studies/{world.paths["{study_id}"]}"',
        "/studies/new": f'<option value="{world.paths["{batch_id}"]}"',
        "/batches": f'href="/batches/{world.paths["{batch_id}"]}"',
    }
    for role in ("owner", "viewer", "manager", "administrator", "other"):
        visitor = world.visit(role)
        for path, link in links.items():
            assert (link in visitor.get(path).text) is (role != "other"), (role, path)


def test_a_script_that_is_not_signed_in_is_told_so_and_not_redirected(
    browser: Callable[[], TestClient], ready: Callable[..., Any]
) -> None:
    made = ready()
    response = browser().get(f"/studies/{made.study}", headers={"accept": "application/json"})
    assert (response.status_code, response.json()) == (
        401,
        {"message": "Sign in to see this page."},
    )


def test_signing_in_leads_to_the_page_asked_for_and_never_to_a_form_that_was_sent(
    browser: Callable[[], TestClient], ready: Callable[..., Any]
) -> None:
    made = ready()
    asked = browser().get(f"/studies/{made.study}")
    sent = browser().post(f"/studies/{made.study}/lock")
    assert asked.headers["location"] == f"/sign-in?next=/studies/{made.study}"
    assert sent.headers["location"] == "/sign-in?next=/"


def test_an_image_is_found_in_its_own_batch_only(
    office: Callable[..., TestClient], ready: Callable[..., Any], database: Database
) -> None:
    first = ready()
    second = ready(title="Other", email="bob@example.org")
    desk = office()
    with database.reading() as session:
        stimulus = session.scalars(select(Stimulus.id)).first()
    assert desk.get(f"/batches/{first.batch}/images/{stimulus}").status_code == 200
    assert desk.get(f"/batches/{second.batch}/images/{stimulus}").status_code == 404


def test_a_number_that_no_row_has_is_no_page(
    office: Callable[..., TestClient], ready: Callable[..., Any]
) -> None:
    ready()
    desk = office()
    for number in ["0", "-1", "999999", "2147483648", "9" * 30, "1e3", "one"]:
        for path in (f"/studies/{number}", f"/batches/{number}", f"/batches/1/images/{number}"):
            assert desk.get(path).status_code in {404, 422}
