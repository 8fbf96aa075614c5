"""From the link in a mail to the receipt in a real Chromium, and the table that comes of it."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.vocabulary import PairTask, Undo
from tests.browser.reader import NO_TUMOUR, TUMOUR, Reader
from tests.browser.server import EMAIL, PASSWORD, Server, Study, in_order

Make = Callable[..., Study]

SHOWN = """
    SELECT p.position, p.set_number, c.name, s.condition_id IS NOT NULL
    FROM presentation p JOIN reader d ON d.id = p.reader_id
    JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
    WHERE d.study_id = ? AND p.part = 'reading' ORDER BY p.position
"""


def sign_in(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/studies")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


def axe_finds_nothing(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def says_tumour(case: str, is_perturbed: bool, set_number: int) -> bool:
    """A reader who misses some originals, and more perturbed images, differently in each set."""
    number = int(case.removeprefix("c"))
    return number % (4 if is_perturbed else 6) >= set_number


def finish(reader: Reader) -> None:
    """The two questions, answered by keyboard, and what comes after them."""
    page = reader.page
    page.wait_for_url("**/reading/questions")
    page.get_by_role("radio", name="I am not sure").focus()
    reader.press("Space", "Tab")
    page.keyboard.type("The same nuclei, perhaps.")
    reader.press_button("Continue")


def test_the_table_shows_what_a_reader_of_a_whole_study_answered(
    server: Server, study: Make, reader: Reader, computer: Callable[..., BrowserContext]
) -> None:
    made = study(practice=4, practice_batch=server.batches[1], is_demo=True, break_after_images=40)
    reader.enter(made.link)
    reader.answer_all([TUMOUR, NO_TUMOUR] * 2)
    reader.go_on("The reading begins now")
    shown = server.rows(SHOWN, made.number)
    assert len(shown) == 80
    given = []
    expected: Counter[tuple[int, bool]] = Counter()
    for position, set_number, case, is_perturbed in shown:
        if position == 41:
            reader.go_on("Time for a short break")
        says_it_is = says_tumour(case, bool(is_perturbed), set_number)
        expected[set_number, bool(is_perturbed)] += says_it_is
        given.append(TUMOUR if says_it_is else NO_TUMOUR)
        reader.answer(position, given[-1])
    finish(reader)
    page = reader.page
    page.wait_for_url("**/reading/done")
    expect(page.locator("code")).to_have_text(re.compile(r"^[0-9A-F]{4}-[0-9A-F]{4}$"))
    practice = in_order([TUMOUR, NO_TUMOUR] * 2, part="practice")
    assert server.all_answers(made) == practice + in_order(given)

    office = computer().new_page()
    sign_in(office, server)
    office.goto(f"{server.url}/studies/{made.number}/results")
    expect(office.get_by_text("Demo: results are shown live")).to_be_visible()
    for set_number in (1, 2):
        line = office.get_by_role("row").filter(has_text=f"Set {set_number}")
        cells = [re.sub(r"\s+", " ", cell) for cell in line.get_by_role("cell").all_inner_texts()]
        assert cells[1].startswith(f"{expected[set_number, False]} of 20 ")
        assert cells[2].startswith(f"{expected[set_number, True]} of 20 ")
    assert len({*expected.values()}) == 4, "the four counts must not be alike"


def test_whoever_reloads_every_page_loses_nothing_and_is_asked_nothing_twice(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(
        cases=2,
        sets=1,
        practice=2,
        practice_batch=server.batches[1],
        pair_task=PairTask.COMPARE,
        pair_conditions=("linf-4",),
    )
    page = reader.page
    page.goto(made.link)
    page.reload()
    reader.press_button("I agree and begin")
    page.wait_for_url("**/reading/check")
    page.reload()
    reader.check_screen()
    page.reload()
    read_and_reload(reader, [TUMOUR, NO_TUMOUR])
    reader.go_on("The reading begins now")
    page.reload()
    reader.go_on("The reading begins now")
    read_and_reload(reader, [TUMOUR, NO_TUMOUR, NO_TUMOUR, TUMOUR])
    page.wait_for_url("**/reading/questions")
    page.reload()
    finish(reader)
    page.wait_for_url("**/reading/pairs")
    page.reload()
    reader.press_button("Begin the pairs")
    page.wait_for_url("**/reading/room")
    page.reload()
    pairs = ["same", "different", "different", "same"]
    read_and_reload(reader, pairs)
    page.wait_for_url("**/reading/done")
    receipt = page.locator("code").inner_text()
    page.reload()
    expect(page.locator("code")).to_have_text(receipt)
    assert server.all_answers(made) == [
        *in_order([TUMOUR, NO_TUMOUR], part="practice"),
        *in_order([TUMOUR, NO_TUMOUR, NO_TUMOUR, TUMOUR]),
        *in_order(pairs, part="pairs"),
    ]
    checks = (
        "SELECT count(*) FROM screen_check JOIN reader r ON r.id = reader_id {} AND study_id = ?"
    )
    assert server.rows(checks.format("WHERE NOT is_silent"), made.number) == [(1,)]
    told = "SELECT saw_repeats, odd FROM debrief JOIN reader ON id = reader_id WHERE study_id = ?"
    assert server.rows(told, made.number) == [("unsure", "The same nuclei, perhaps.")]


def read_and_reload(reader: Reader, answers: list[str]) -> None:
    """Right after each answer, whether or not it is sent by then."""
    for position, answer in enumerate(answers, start=1):
        reader.answer(position, answer)
        if position < len(answers):
            reader.page.reload()


@pytest.mark.parametrize(("task", "pairs"), [(PairTask.CHOICE, 4), (PairTask.COMPARE, 8)])
def test_pairs_are_shown_side_by_side_when_all_images_are_read(
    task: PairTask, pairs: int, server: Server, study: Make, reader: Reader
) -> None:
    made = study(
        cases=2,
        sets=1,
        pair_task=task,
        pair_conditions=("linf-2", "linf-4"),
        not_sure=True,
    )
    reader.enter(made.link)
    reader.answer_all([TUMOUR] * 4)
    finish(reader)
    reader.press_button("Begin the pairs")
    main = ["left", "right"] if task is PairTask.CHOICE else ["same", "different"]
    answers = [*main, "not_sure", main[0], *main, *main][:pairs]
    for position, answer in enumerate(answers, start=1):
        keys = reader.look_at(position)
        if task is PairTask.CHOICE:
            assert (keys["left"], keys["right"]) == ("f", "j")
        sizes = reader.page.evaluate(
            "[...document.querySelectorAll('canvas')].map(c => [c.width, c.height])"
        )
        assert len(sizes) == 2
        assert abs(sizes[0][0] - sizes[1][0]) <= 1
        assert sizes[0][1] == sizes[1][1]
        reader.answer(position, answer)
    reader.page.wait_for_url("**/reading/done")
    assert server.answers(made) == in_order([TUMOUR] * 4) + in_order(answers, part="pairs")


def test_the_right_answer_is_told_in_practice_and_never_after(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, practice=4, practice_batch=2, feedback=True)
    truths = """
        SELECT c.truth FROM presentation p JOIN reader d ON d.id = p.reader_id
        JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
        WHERE d.study_id = ? AND p.part = 'practice' ORDER BY p.position
    """
    reader.enter(made.link)
    card = reader.page.locator("#card")
    for position, (truth,) in enumerate(server.rows(truths, made.number), start=1):
        reader.answer(position, TUMOUR)
        expect(card).to_contain_text("The data set says: " + ("Tumour" if truth else "No tumour"))
        reader.go_on("You agree with" if truth else "says something else")
    reader.go_on("The reading begins now")
    for position in range(1, 5):
        reader.answer(position, NO_TUMOUR)
        expect(card).to_be_hidden()
    reader.page.wait_for_url("**/reading/questions")


def test_every_answer_has_its_confidence_where_the_study_asks_for_it(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, confidence=True, few_cells=True, cannot_assess=True)
    reader.enter(made.link)
    reader.answer(1, TUMOUR, 5)
    keys = reader.look_at(2)
    reader.press("4", keys[TUMOUR], "Escape", "3", keys["few_cells"], "1")
    reader.answer(3, "cannot_assess")
    reader.answer(4, NO_TUMOUR, 3)
    finish(reader)
    reader.page.wait_for_url("**/reading/done")
    stored = """
        SELECT r.answer, r.confidence FROM response r JOIN presentation p ON p.id = presentation_id
        JOIN reader d ON d.id = p.reader_id WHERE d.study_id = ? ORDER BY r.id
    """
    assert server.rows(stored, made.number) == [
        (TUMOUR, 5),
        ("few_cells", 1),
        ("cannot_assess", None),
        (NO_TUMOUR, 3),
    ]


def test_the_second_sitting_is_read_on_its_day_with_the_same_link(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=2, waves=2)
    reader.enter(made.link)
    reader.answer_all([TUMOUR, NO_TUMOUR, TUMOUR, TUMOUR])
    page = reader.page
    page.wait_for_url("**/reading/later")
    expect(page.get_by_role("heading", name="Your second part opens on")).to_be_visible()
    for address in (made.link, f"{server.url}/reading/room"):
        page.goto(address)
        page.wait_for_url("**/reading/later")
    server.change(
        "UPDATE sitting SET opens_at = '2026-01-01 00:00:00' WHERE number = 2 AND reader_id IN"
        " (SELECT id FROM reader WHERE study_id = ?)",
        made.number,
    )
    reader.come_back(made.link)
    expect(page.locator("#progress")).to_have_text("Image 1 of 4")
    reader.answer_all([NO_TUMOUR] * 4)
    finish(reader)
    page.wait_for_url("**/reading/done")
    answers = [TUMOUR, NO_TUMOUR, TUMOUR, TUMOUR, *[NO_TUMOUR] * 4]
    assert server.all_answers(made) == in_order(answers)


def test_a_researcher_goes_from_invitation_to_the_unblinded_table(
    server: Server, study: Make, computer: Callable[..., BrowserContext]
) -> None:
    title = "From invitation to table"
    made = study(cases=2, title=title)
    page = computer().new_page()
    sign_in(page, server)
    axe_finds_nothing(page)
    page.get_by_role("link", name=title, exact=True).click()
    axe_finds_nothing(page)
    page.get_by_role("button", name="Invite readers").click()
    link = page.locator("#url").inner_text()
    assert link.startswith(f"{server.url}/r/")
    axe_finds_nothing(page)
    page.goto(f"{server.url}/studies/{made.number}/results")
    expect(page.get_by_text("sealed")).to_be_visible()

    page.goto(f"{server.url}/studies/{made.number}")
    page.get_by_text("Close it before anybody reads").click()
    page.get_by_role("button", name="Lock the study").click()
    page.get_by_label("Type the title").fill("Another study")
    page.get_by_role("button", name="Unblind").click()
    expect(page.get_by_role("alert")).to_contain_text("not the title")
    page.get_by_label("Type the title").fill(title)
    page.get_by_role("button", name="Unblind").click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    axe_finds_nothing(page)
    for path in ("batches", "batches/1", "studies/new", "sign-in", "no-such-page"):
        page.goto(f"{server.url}/{path}")
        axe_finds_nothing(page)


def test_no_answer_can_be_taken_back_where_the_study_says_so(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, undo=Undo.NONE)
    reader.enter(made.link)
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.press("u")
    reader.answer(2, NO_TUMOUR)
    reader.look_at(3)
    reader.is_saved()
    assert server.all_answers(made) == in_order([TUMOUR, NO_TUMOUR])
