"""What else there is to see: every state of the reading room, and every page of a researcher.

`make screenshots` keeps pictures of it all, with those of test_reader_pages.py.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, expect

from app.vocabulary import Undo
from tests.browser.looks import looks_right, picture, shown_to_axe
from tests.browser.reader import NO_TUMOUR, TUMOUR, Reader
from tests.browser.server import EMAIL, PASSWORD, Server, Study

Make = Callable[..., Study]

SHOWN = """
    SELECT p.set_number, c.name, s.condition_id IS NOT NULL
    FROM presentation p JOIN reader d ON d.id = p.reader_id
    JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
    WHERE d.study_id = ? AND p.part = 'reading' ORDER BY p.position
"""


def answers(server: Server, study: Study) -> list[str]:
    """Of a reader who misses some originals, and more perturbed images."""
    return [
        TUMOUR if int(case[1:]) % (4 if is_perturbed else 6) >= set_number else NO_TUMOUR
        for set_number, case, is_perturbed in server.rows(SHOWN, study.number)
    ]


def test_every_state_of_the_room_is_right_in_every_theme(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(
        practice=2,
        practice_batch=server.batches[1],
        feedback=True,
        confidence=True,
        few_cells=True,
        cannot_assess=True,
        undo=Undo.ALL,
        break_after_images=2,
    )
    page = reader.page
    reader.enter(made.link)
    reader.look_at(1)
    looks_right(page, "room-practice")
    reader.answer(1, TUMOUR, 4)
    expect(page.get_by_role("dialog", name="data set")).to_be_visible()
    looks_right(page, "room-feedback")
    reader.go_on("data set")
    reader.answer(2, TUMOUR, 4)
    reader.go_on("data set")
    expect(page.get_by_role("dialog", name="The reading begins now")).to_be_visible()
    looks_right(page, "room-begin")
    reader.press("Enter")
    reader.press(reader.look_at(1)[TUMOUR])
    looks_right(page, "room-confidence")
    reader.press("5")
    reader.look_at(2)
    reader.press("+", "+")
    looks_right(page, "room-zoomed")
    reader.press("p")
    looks_right(page, "room-pause")
    reader.press("p", "n")
    looks_right(page, "room-problem")
    reader.press("n")
    page.context.set_offline(True)
    reader.answer(2, NO_TUMOUR, 2)
    reader.answer(3, "few_cells", 1)
    reader.is_offline(2)
    expect(page.get_by_role("dialog", name="Time for a short break")).to_be_visible()
    looks_right(page, "room-break")
    reader.press("Enter")
    reader.look_at(4)
    looks_right(page, "room-offline")
    page.context.set_offline(False)
    reader.is_saved()
    server.lock(made)
    reader.answer(4, "cannot_assess")
    reader.is_parked("This study is closed")
    looks_right(page, "room-closed")


def test_every_page_of_a_researcher_is_right_in_every_theme(
    server: Server, study: Make, computer: Callable[..., BrowserContext]
) -> None:
    demo = study(title="Linf 2 on generated tissue", is_demo=True)
    server.begin(demo)
    server.read(demo, answers(server, demo))
    sealed = study(title="Linf 2, a second look", practice=4, practice_batch=server.batches[1])
    unblinded = study(title="Linf 2, unblinded", cases=4)
    server.begin(unblinded)
    server.read(unblinded, answers(server, unblinded))
    page = computer().new_page()
    page.goto(f"{server.url}/sign-in")
    shown_to_axe(page, "office-sign-in")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    page.goto(f"{server.url}/studies/{unblinded.number}")
    page.get_by_role("button", name="Lock the study").click()
    shown_to_axe(page, "office-study-locked")
    page.get_by_label("Type the title").fill("Linf 2, unblinded")
    page.get_by_role("button", name="Unblind").click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    shown_to_axe(page, "office-results-unblinded")
    page.goto(f"{server.url}/studies/{sealed.number}/results")
    shown_to_axe(page, "office-results-sealed")
    page.goto(f"{server.url}/studies/{sealed.number}")
    page.get_by_role("button", name="Invite readers").click()
    shown_to_axe(page, "office-invitation")
    page.goto(f"{server.url}/studies/{demo.number}/results")
    picture(page, "results")
    seen = walk(page, server, [f"/studies/{demo.number}", f"/studies/{demo.number}/results"])
    assert {"/studies", "/studies/new", "/batches", "/batches/one", "/studies/one/results"} <= seen


def walk(page: Page, server: Server, first: Sequence[str]) -> set[str]:
    """Follows every link to a page, one of each kind, and tells the kinds."""
    waiting = list(first)
    seen: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        if kind(path) in seen or "." in path:
            continue
        seen.add(kind(path))
        page.goto(server.url + path)
        shown_to_axe(page, "office" + kind(path).replace("/", "-"))
        links = page.locator("a[href^='/']").evaluate_all("all => all.map((a) => a.href)")
        waiting += [urlsplit(link).path for link in links]
    return seen


def kind(path: str) -> str:
    return "/".join("one" if part.isdecimal() else part for part in path.split("/"))


def test_the_picture_of_the_room_shows_a_reader_in_the_middle_of_a_study(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study()
    server.begin(made)
    server.read(made, answers(server, made)[:35])
    reader.come_back(made.link)
    reader.answer(36, NO_TUMOUR)
    reader.look_at(37)
    reader.is_saved()
    looks_right(reader.page, "room-middle")
    picture(reader.page, "reading-room")
