"""Who may do what with a study, and who sees which batch."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.batches.service import find_batch, import_batch, list_batches
from app.errors import Conflict, Invalid, NotAllowed, NotFound
from app.researchers.accounts import deactivate, make_administrator
from app.researchers.domain import Right, right_of
from app.researchers.service import find_researcher
from app.storage.images import ImageStore
from app.storage.models import Batch, Event, Member
from app.storage.session import Database
from app.studies.members import remove_member, set_member
from app.studies.service import (
    NewStudy,
    create_study,
    find_study,
    find_study_named,
    list_studies,
)
from app.web.identity import now

ADA, BOB = "ada@example.org", "bob@example.org"
Ready = Callable[..., Any]
Office = Callable[..., TestClient]
Employ = Callable[[str], str]


def test_the_rule_of_rights_is_complete() -> None:
    """Owners and administrators own, collaborators have what they were given, others nothing."""
    for is_owner, is_administrator, may_manage in product(
        (True, False), (True, False), (None, False, True)
    ):
        right = right_of(
            is_owner=is_owner, is_administrator=is_administrator, may_manage=may_manage
        )
        if is_owner or is_administrator:
            assert right is Right.OWN
        else:
            assert right is {None: None, False: Right.VIEW, True: Right.MANAGE}[may_manage]


def test_each_right_includes_those_before_it() -> None:
    assert Right.VIEW < Right.MANAGE < Right.OWN


@pytest.mark.parametrize("may_manage", [None, False, True])
def test_a_study_is_found_by_who_has_the_right_and_by_nobody_else(
    may_manage: bool | None, ready: Ready, employ: Employ, database: Database
) -> None:
    made = ready()
    employ(BOB)
    if may_manage is not None:
        name(database, made.study, BOB, may_manage)
    held = {None: None, False: Right.VIEW, True: Right.MANAGE}[may_manage]
    for right in Right:
        with database.reading() as session:
            bob = find_researcher(session, BOB)
            if held is None:
                with pytest.raises(NotFound, match="There is no such study"):
                    find_study(session, made.study, bob, right)
            elif right > held:
                with pytest.raises(NotAllowed):
                    find_study(session, made.study, bob, right)
            else:
                assert find_study(session, made.study, bob, right).id == made.study


def name(database: Database, study: int, email: str, may_manage: bool) -> None:
    with database.writing() as session:
        set_member(session, find_study(session, study), email, may_manage, ADA, now())


def test_whoever_forgets_to_say_which_right_is_needed_asks_for_all(
    ready: Ready, employ: Employ, database: Database
) -> None:
    made = ready()
    employ(BOB)
    name(database, made.study, BOB, may_manage=True)
    with database.reading() as session, pytest.raises(NotAllowed):
        find_study(session, made.study, find_researcher(session, BOB))


def test_a_viewer_sees_the_page_without_what_changes_the_study(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ(BOB)
    name(database, made.study, BOB, may_manage=False)
    page = office(BOB).get(f"/studies/{made.study}").text
    main = page[page.index("<main") :]
    assert "ada@example.org owns this study" in main
    assert "<form" not in main
    refused = office(BOB).post(f"/studies/{made.study}/lock")
    assert refused.status_code == 403
    assert "You may look at this study, and not change it." in refused.text


def test_a_manager_invites_and_locks_and_does_not_unblind(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ(BOB)
    name(database, made.study, BOB, may_manage=True)
    desk = office(BOB)
    page = desk.get(f"/studies/{made.study}").text
    assert "Invite" in page
    assert "/collaborators" not in page
    assert desk.post(f"/studies/{made.study}/lock").status_code == 303
    assert "/unblind" not in desk.get(f"/studies/{made.study}").text
    refused = desk.post(f"/studies/{made.study}/unblind", data={"typed": "Linf 2"})
    assert refused.status_code == 403
    assert "Only the owner of this study and administrators may do this." in refused.text
    assert "/unblind" in office(ADA).get(f"/studies/{made.study}").text


def test_the_owner_names_a_collaborator_by_email_and_changes_and_removes_them(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ(BOB)
    owner, study = office(ADA), f"/studies/{made.study}"
    assert "Nobody else works on it." in owner.get(study).text
    assert office(BOB).get(study).status_code == 404
    owner.post(f"{study}/collaborators", data={"email": " BOB@example.org", "may": "view"})
    assert office(BOB).get(study).status_code == 200
    owner.post(f"{study}/collaborators", data={"email": BOB, "may": "manage"})
    with database.reading() as session:
        [member] = session.scalars(select(Member)).all()
        assert member.may_manage
        number = member.researcher_id
    owner.post(f"{study}/collaborators/{number}/remove")
    owner.post(f"{study}/collaborators/{number}/remove")
    assert office(BOB).get(study).status_code == 404


def test_who_cannot_be_a_collaborator_is_said_and_nothing_is_changed(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ("gone@example.org")
    with database.writing() as session:
        deactivate(session, find_researcher(session, "gone@example.org"), now())
    for email, status, problem in [
        ("eve@example.org", 422, "There is no researcher eve@example.org"),
        ("gone@example.org", 422, "There is no researcher gone@example.org"),
        (ADA, 409, "ada@example.org owns this study."),
    ]:
        sent = {"email": email, "may": "manage"}
        refused = office(ADA).post(f"/studies/{made.study}/collaborators", data=sent)
        assert refused.status_code == status
        assert problem in refused.text
    with database.reading() as session:
        assert session.scalars(select(Member)).all() == []


def test_the_record_tells_who_named_and_removed_whom(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    for email in (BOB, "head@example.org"):
        employ(email)
    with database.writing() as session:
        make_administrator(find_researcher(session, "head@example.org"))
        number = find_researcher(session, BOB).id
    sent = {"email": BOB, "may": "manage"}
    office(ADA).post(f"/studies/{made.study}/collaborators", data=sent)
    office("head@example.org").post(f"/studies/{made.study}/collaborators/{number}/remove")
    with database.reading() as session:
        told = [(e.actor, e.kind, e.detail) for e in session.scalars(select(Event)) if e.detail]
    assert told == [
        (ADA, "named a collaborator", "bob@example.org: manage"),
        ("head@example.org", "removed a collaborator", "bob@example.org"),
    ]


def test_what_a_collaborator_does_is_recorded_under_their_own_name(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ(BOB)
    name(database, made.study, BOB, may_manage=True)
    office(BOB).post(f"/studies/{made.study}/lock")
    with database.reading() as session:
        [locked] = session.scalars(select(Event).where(Event.kind == "locked")).all()
    assert locked.actor == BOB


def test_a_study_list_holds_own_and_named_studies_and_for_administrators_all(
    ready: Ready, employ: Employ, database: Database
) -> None:
    first = ready(title="First")
    second = ready(title="Second", email=BOB)
    third = ready(title="Third", email="eve@example.org")
    name(database, third.study, BOB, may_manage=False)
    employ("head@example.org")
    with database.writing() as session:
        make_administrator(find_researcher(session, "head@example.org"))
    expected = {
        ADA: [first.study],
        BOB: [second.study, third.study],
        "head@example.org": [first.study, second.study, third.study],
    }
    with database.reading() as session:
        for email, numbers in expected.items():
            listed = list_studies(session, find_researcher(session, email))
            assert sorted(study.id for study in listed) == numbers, email


def test_a_card_offers_what_the_researcher_may_do_next(
    ready: Ready, employ: Employ, office: Office, database: Database
) -> None:
    made = ready()
    employ(BOB)
    name(database, made.study, BOB, may_manage=False)
    assert "Invite readers" in office(ADA).get("/studies").text
    seen = office(BOB).get("/studies").text
    assert "See the study" in seen
    assert "Invite readers" not in seen
    assert "ada@example.org" in seen
    name(database, made.study, BOB, may_manage=True)
    assert "Invite readers" in office(BOB).get("/studies").text


def test_two_researchers_may_use_the_same_title_and_neither_learns_of_it(
    ready: Ready, database: Database
) -> None:
    made = ready(title="Linf 2")
    other = ready(title="Linf 2", email=BOB)
    assert made.study != other.study
    with database.writing() as session:
        study = find_study(session, made.study)
        again = NewStudy("Linf 2", "Tissue images", sets=1)
        with pytest.raises(Conflict, match="choose another title"):
            create_study(session, study.researcher, study.batch, again, now())
    with database.reading() as session:
        with pytest.raises(Conflict, match="say which by number"):
            find_study_named(session, "Linf 2")
        assert find_study_named(session, str(other.study)).id == other.study


# Batches


@pytest.fixture
def brought(
    ready: Ready, employ: Employ, database: Database
) -> Callable[[str | None], tuple[int, int]]:
    """`brought(email)`: a study of ada's and its batch, which that researcher brought."""

    def make(email: str | None) -> tuple[int, int]:
        made = ready()
        for each in (BOB, "eve@example.org", "head@example.org"):
            employ(each)
        with database.writing() as session:
            make_administrator(find_researcher(session, "head@example.org"))
            batch = find_batch(session, made.batch)
            batch.researcher_id = find_researcher(session, email).id if email else None
        return made.study, made.batch

    return make


def sees(database: Database, email: str, batch: int) -> bool:
    """By the list and by its number alike."""
    with database.reading() as session:
        researcher = find_researcher(session, email)
        is_listed = batch in [each.id for each in list_batches(session, researcher)]
        try:
            is_found = find_batch(session, batch, researcher).id == batch
        except NotFound:
            is_found = False
    assert is_listed is is_found
    return is_found


def test_a_batch_is_seen_by_who_brought_it_by_its_studies_people_and_by_administrators(
    brought: Callable[[str | None], tuple[int, int]], database: Database
) -> None:
    study, batch = brought("eve@example.org")
    everybody = (ADA, BOB, "eve@example.org", "head@example.org")
    seen = {email: sees(database, email, batch) for email in everybody}
    assert seen == {ADA: True, BOB: False, "eve@example.org": True, "head@example.org": True}
    name(database, study, BOB, may_manage=False)
    assert sees(database, BOB, batch)
    with database.writing() as session:
        bob = find_researcher(session, BOB)
        remove_member(session, find_study(session, study), bob.id, ADA, now())
    assert not sees(database, BOB, batch)


def test_a_batch_that_came_by_the_command_line_is_for_everybody(
    brought: Callable[[str | None], tuple[int, int]], database: Database
) -> None:
    _, batch = brought(None)
    assert all(sees(database, email, batch) for email in (ADA, BOB, "eve@example.org"))


def test_the_batch_of_practice_images_is_seen_by_the_studys_people(
    ready: Ready, employ: Employ, database: Database
) -> None:
    first = ready(cases=4)
    practice = ready(title="Other", email="eve@example.org").batch
    employ(BOB)
    with database.writing() as session:
        eve = find_researcher(session, "eve@example.org")
        for batch in session.scalars(select(Batch)):
            batch.researcher_id = eve.id
        study = find_study(session, first.study)
        new = NewStudy(
            "Practised", "Tissue", practice=2, practice_batch=find_batch(session, practice)
        )
        made = create_study(session, study.researcher, study.batch, new, now()).id
    assert not sees(database, BOB, practice)
    name(database, made, BOB, may_manage=False)
    assert sees(database, BOB, practice)


def test_no_study_is_made_of_a_batch_that_one_may_not_see(
    brought: Callable[[str | None], tuple[int, int]], office: Office
) -> None:
    _, batch = brought("eve@example.org")
    form = {"internal_title": "Mine", "public_title": "Tissue", "sets": "1"}
    desk = office(BOB)
    hidden = desk.post("/studies", data={**form, "batch": str(batch)})
    missing = desk.post("/studies", data={**form, "batch": "999"})
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert "There is no such batch." in hidden.text
    assert "There is no such batch." in missing.text


def test_a_researcher_who_brings_a_batch_that_another_has_gets_their_own(
    employ: Employ,
    database: Database,
    store: ImageStore,
    tmp_path: Path,
    make_batch: Callable[..., Path],
) -> None:
    path = make_batch(tmp_path / "batch", cases=2, size=16)
    ada, bob = employ(ADA), employ(BOB)
    with database.reading() as session:
        numbers = {email: find_researcher(session, email).id for email in (ada, bob)}
    first = import_for(numbers[ADA], path, database, store)
    second = import_for(numbers[BOB], path, database, store)
    assert first != second
    with pytest.raises(Conflict, match=f"imported before, as number {first}"):
        import_for(numbers[ADA], path, database, store)
    assert not sees(database, BOB, first)
    with pytest.raises(Conflict, match="imported before"):
        import_batch(path, database, store, now())


def import_for(researcher_id: int, path: Path, database: Database, store: ImageStore) -> int:
    from app.batches.check import check_batch
    from app.batches.service import Import, import_checked

    return import_checked(check_batch(path), database, store, Import(now(), researcher_id))


def test_a_wrong_right_in_a_form_is_refused(ready: Ready, employ: Employ, office: Office) -> None:
    made = ready()
    employ(BOB)
    sent = {"email": BOB, "may": "own"}
    assert office(ADA).post(f"/studies/{made.study}/collaborators", data=sent).status_code == 422


def test_refusals_are_of_the_right_kind(ready: Ready, database: Database) -> None:
    made = ready()
    with database.writing() as session, pytest.raises(Invalid, match="no researcher"):
        set_member(session, find_study(session, made.study), "x@y", True, ADA, now())
