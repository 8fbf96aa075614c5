"""Every route by every role: a new route fails until somebody decides who may open it."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import select
from starlette.routing import BaseRoute, Mount

from app.main import create_app
from app.readers.service import CONSENT_VERSION
from app.settings import Settings
from app.storage.models import Stimulus
from app.storage.session import Database

SIGN_IN = "sign in"
ROLES = ("nobody", "reader", "owner", "other")


@dataclass(frozen=True)
class Row:
    """What each role is answered; SIGN_IN is a redirection to the sign-in page."""

    route: str
    nobody: int | str
    reader: int | str
    owner: int | str
    other: int | str
    data: dict[str, str] | None = None
    json: str = ""  # the name of what is sent


TABLE = [
    # Open to all
    Row("GET /", 303, 303, 303, 303),
    Row("GET /healthz", 200, 200, 200, 200),
    Row("GET /static", 200, 200, 200, 200),
    Row("GET /sign-in", 200, 200, 200, 200),
    Row("POST /sign-in", 401, 401, 401, 401, {"email": "a@b", "password": "wrong"}),
    # Any researcher
    Row("GET /batches", SIGN_IN, SIGN_IN, 200, 200),
    Row("POST /batches", SIGN_IN, SIGN_IN, 422, 422),
    Row("GET /batches/{batch_id}", SIGN_IN, SIGN_IN, 200, 200),
    Row("GET /batches/{batch_id}/images/{stimulus_id}", SIGN_IN, SIGN_IN, 200, 200),
    Row("GET /studies", SIGN_IN, SIGN_IN, 200, 200),
    Row("GET /studies/new", SIGN_IN, SIGN_IN, 200, 200),
    Row("POST /studies", SIGN_IN, SIGN_IN, 422, 422),
    # The researcher whose study it is
    Row("GET /studies/{study_id}", SIGN_IN, SIGN_IN, 200, 404),
    Row("POST /studies/{study_id}/readers", SIGN_IN, SIGN_IN, 200, 404),
    Row("POST /studies/{study_id}/readers/{label}/reissue", SIGN_IN, SIGN_IN, 200, 404),
    # The reader; each step has its page, and leads elsewhere when it is not the step
    Row("GET /reading", 403, 303, 403, 403),
    Row("GET /reading/language/{code}", 303, 303, 303, 303),
    Row("GET /reading/welcome", 403, 200, 403, 403),
    Row("POST /reading/begin", 403, 303, 403, 403, {"consent": CONSENT_VERSION}),
    Row("GET /reading/check", 403, 303, 403, 403),
    Row("POST /reading/check", 403, 200, 403, 403, json="check"),
    Row("GET /reading/check/saved", 403, 200, 403, 403),
    Row("GET /reading/room", 403, 200, 403, 403),
    Row("GET /reading/later", 403, 303, 403, 403),
    Row("GET /reading/questions", 403, 303, 403, 403),
    Row("POST /reading/questions", 403, 303, 403, 403),
    Row("GET /reading/pairs", 403, 303, 403, 403),
    Row("POST /reading/pairs", 403, 303, 403, 403),
    Row("GET /reading/done", 403, 303, 403, 403),
    # The reader, in the one place where they read
    Row("GET /reading/window", 403, 200, 403, 403),
    Row("GET /reading/images/{token}", 403, 200, 403, 403),
    Row("GET /reading/images/{token}/right", 403, 404, 403, 403),
    Row("POST /reading/display", 403, 200, 403, 403, json="display"),
    Row("POST /reading/problems", 403, 200, 403, 403, json="problem"),
    Row("POST /reading/responses", 403, 200, 403, 403, json="answer"),
    Row("POST /reading/undo", 403, 200, 403, 403, json="undo"),
    Row("POST /reading/arrive", 403, 200, 403, 403),
    # Whoever has a personal link
    Row("GET /r/{token}", 303, 303, 303, 303),
    # What changes the study, in the order in which it is possible
    Row("POST /studies/{study_id}/readers/{label}/revoke", SIGN_IN, SIGN_IN, 303, 404),
    Row("POST /studies/{study_id}/lock", SIGN_IN, SIGN_IN, 303, 404),
    Row("POST /studies/{study_id}/unblind", SIGN_IN, SIGN_IN, 303, 404, {"typed": "Linf 2"}),
    Row("GET /studies/{study_id}/results", SIGN_IN, SIGN_IN, 200, 404),
    Row("GET /studies/{study_id}/presentations.csv", SIGN_IN, SIGN_IN, 200, 404),
    Row("GET /studies/{study_id}/export.zip", SIGN_IN, SIGN_IN, 200, 404),
    Row("POST /sign-out", 303, 303, 303, 303),
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


@pytest.fixture
def come(
    browser: Callable[[], TestClient],
    ready: Callable[..., Any],
    begin: Callable[[TestClient, str], None],
    office: Callable[..., TestClient],
    employ: Callable[[str], str],
    answer: Callable[..., Any],
    check_record: dict[str, Any],
    display_record: dict[str, Any],
    database: Database,
) -> Callable[[str], tuple[TestClient, dict[str, Any]]]:
    """`come(role)`: a browser in that role, and what there is to ask for and to send."""

    def prepare(role: str) -> tuple[TestClient, dict[str, Any]]:
        made = ready(readers=3)
        reader = browser()
        begin(reader, made.links[0])
        token = reader.get("/reading/window").json()["tokens"][0]
        with database.reading() as session:
            stimulus = session.scalars(select(Stimulus.id)).first()
        visitors: dict[str, Callable[[], TestClient]] = {
            "nobody": browser,
            "reader": lambda: reader,
            "owner": office,
            "other": lambda: office(employ("eve@example.org")),
        }
        things = {
            "{study_id}": made.study,
            "{batch_id}": made.batch,
            "{stimulus_id}": stimulus,
            "/r/{token}": f"/r/{made.links[1].rpartition('/')[2]}",
            "{token}": token,
            "{label}": "R03",
            "{code}": "en",
            "/static": "/static/plainsight.css",
            "answer": answer(token),
            "undo": {"token": token, "attempt": 0},
            "problem": {"token": token, "kind": "unclear"},
            "check": check_record,
            "display": display_record,
        }
        return visitors[role](), things

    return prepare


def ask(visitor: TestClient, row: Row, things: dict[str, Any]) -> int | str:
    method, path = row.route.split()
    for name, value in things.items():
        if not name.isalpha():
            path = path.replace(name, str(value))
    sent: dict[str, Any] = {"json": things[row.json]} if row.json else {}
    if row.data:
        sent["data"] = row.data
    response = visitor.request(method, path, **sent)
    is_sign_in = response.headers.get("location", "").startswith("/sign-in?")
    return SIGN_IN if is_sign_in else response.status_code


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_answered_as_the_table_says(
    role: str, come: Callable[[str], tuple[TestClient, dict[str, Any]]]
) -> None:
    visitor, things = come(role)
    answered = {row.route: ask(visitor, row, things) for row in TABLE}
    assert answered == {row.route: getattr(row, role) for row in TABLE}


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
