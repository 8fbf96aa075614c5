"""Whatever breaks: no answer is lost, none is stored twice, and each stands in its place."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, Response, expect
from playwright.sync_api import Error as PlaywrightError

from app.vocabulary import Undo
from tests.browser.conftest import ARGUMENTS, CHROMIUM, VIEWPORT
from tests.browser.reader import NO_TUMOUR, TUMOUR, Reader, Watch
from tests.browser.server import Server, Study, in_order

Make = Callable[..., Study]
Computer = Callable[..., BrowserContext]

ELSEWHERE = "You continued elsewhere"
SIXTEEN = [TUMOUR, NO_TUMOUR, NO_TUMOUR, TUMOUR, TUMOUR, NO_TUMOUR, TUMOUR, NO_TUMOUR] * 2
TIMES = """
    SELECT reading_time_ms, hidden_ms FROM response r
    JOIN presentation p ON p.id = presentation_id JOIN reader d ON d.id = p.reader_id
    WHERE d.study_id = ? ORDER BY r.id
"""


def wait_for_images(reader: Reader, count: int) -> None:
    """Until so many are on this computer."""
    reader.page.wait_for_function(
        "count => performance.getEntriesByType('resource')"
        ".filter(({ name }) => name.includes('/reading/images/')).length >= count",
        arg=count,
    )


def keeps_nothing(reader: Reader) -> None:
    """The queue on the reader's computer is empty soon after all is saved."""
    for _ in range(50):
        if not reader.queued():
            return
        reader.page.wait_for_timeout(100)
    assert reader.queued() == []


def cut_off(page: Page) -> None:
    """What this window sends does not arrive; it can still ask."""
    page.route("**/reading/responses", lambda route: route.abort())


# No connection


def test_ten_answers_given_offline_are_stored_once_and_in_order(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=4, sets=2)
    reader.enter(made.link)
    reader.answer(1, SIXTEEN[0])
    reader.look_at(2)
    reader.is_saved()
    wait_for_images(reader, 13)
    reader.page.context.set_offline(True)
    reader.answer_all(SIXTEEN[1:11], start=2)
    reader.is_offline(10)
    assert len(reader.queued()) == 10
    assert server.all_answers(made) == in_order(SIXTEEN[:1])
    reader.page.context.set_offline(False)
    reader.is_saved()
    assert server.all_answers(made) == in_order(SIXTEEN[:11])
    keeps_nothing(reader)
    reader.answer_all(SIXTEEN[11:], start=12)
    reader.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN)


def test_whoever_reads_on_offline_as_far_as_it_goes_cannot_finish_before_all_is_stored(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.look_at(1)
    wait_for_images(reader, 4)
    reader.page.context.set_offline(True)
    reader.answer_all(SIXTEEN[:4])
    reader.is_offline(4)
    assert reader.page.url.endswith("/reading/room")
    reader.page.context.set_offline(False)
    reader.page.wait_for_url("**/reading/questions", timeout=30_000)
    assert server.all_answers(made) == in_order(SIXTEEN[:4])


def test_a_server_killed_while_answering_loses_no_acknowledged_answer(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=4, sets=2)
    acknowledged: set[str] = set()

    def note(response: Response) -> None:
        if response.url.endswith("/reading/responses") and response.status == 200:
            acknowledged.add(json.loads(response.request.post_data or "")["token"])

    reader.page.on("response", note)
    reader.enter(made.link)
    for start, patience_ms in ((1, 0), (6, 10), (11, 25)):
        wait_for_images(reader, min(start + 11, 16))
        reader.answer_all(SIXTEEN[start - 1 : start + 2], start=start)
        reader.page.wait_for_timeout(patience_ms)
        server.stop(signal.SIGKILL)
        stored = server.rows(
            "SELECT token FROM presentation JOIN response r ON presentation_id = presentation.id"
        )
        assert acknowledged <= {token for (token,) in stored}
        reader.answer_all(SIXTEEN[start + 2 : start + 4], start=start + 3)
        expect(reader.page.locator("#saving")).to_contain_text("Offline", timeout=15_000)
        server.start()
        reader.is_saved()
    assert acknowledged
    reader.answer(16, SIXTEEN[15])
    reader.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN)


# The browser goes


@pytest.fixture
def own_computer(
    playwright: Playwright, watch: Watch, tmp_path: Path
) -> Iterator[Callable[[], BrowserContext]]:
    """`own_computer()` starts the browser of a computer that keeps what it kept before."""
    started: list[BrowserContext] = []

    def start() -> BrowserContext:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            args=list(ARGUMENTS),
            viewport=VIEWPORT,  # type: ignore[arg-type]
        )
        started.append(context)
        return watch.over(context)

    yield start
    for context in started:
        context.close()


def close(context: BrowserContext, _profile: Path) -> None:
    context.close()


def kill(context: BrowserContext, profile: Path) -> None:
    """The whole browser, as when the power fails."""
    with context.expect_event("close"):
        for folder in Path("/proc").glob("[0-9]*"):
            words = command_of(folder)
            if f"--user-data-dir={profile}" in words and not any("--type=" in w for w in words):
                os.kill(int(folder.name), signal.SIGKILL)


def command_of(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.parametrize("end", [close, kill])
def test_answers_that_were_not_sent_when_the_browser_ended_are_sent_when_it_is_back(
    end: Callable[[BrowserContext, Path], None],
    server: Server,
    study: Make,
    own_computer: Callable[[], BrowserContext],
    tmp_path: Path,
) -> None:
    made = study(cases=4, sets=1)
    context = own_computer()
    reader = Reader(context.pages[0])
    reader.enter(made.link)
    reader.look_at(1)
    wait_for_images(reader, 5)
    context.set_offline(True)
    reader.answer_all(SIXTEEN[:4])
    reader.is_offline(4)
    end(context, tmp_path / "profile")

    reader = Reader(own_computer().pages[0])
    reader.come_back(made.link)
    reader.answer_all(SIXTEEN[4:8], start=5)
    reader.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN[:8])
    keeps_nothing(reader)


def test_answers_that_were_not_sent_when_the_page_crashed_or_was_reloaded_are_sent(
    server: Server, study: Make, computer: Computer
) -> None:
    made = study(cases=4, sets=1)
    context = computer()
    reader = Reader(context.new_page())
    reader.enter(made.link)
    cut_off(reader.page)
    reader.answer_all(SIXTEEN[:3])
    reader.is_offline(3)
    with pytest.raises(PlaywrightError, match="crash"):
        reader.page.goto("chrome://crash")

    reader = Reader(context.new_page())
    cut_off(reader.page)
    reader.page.goto(f"{server.url}/reading")
    reader.is_offline(3)
    assert server.all_answers(made) == []
    reader.page.unroute("**/reading/responses")
    reader.page.reload()
    reader.answer_all(SIXTEEN[3:8], start=4)
    reader.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN[:8])


# Two places


def test_of_two_tabs_only_the_newer_one_writes(
    server: Server, study: Make, computer: Computer
) -> None:
    made = study(cases=4, sets=1)
    context = computer()
    first, second = Reader(context.new_page()), Reader(context.new_page())
    first.enter(made.link)
    first.answer(1, SIXTEEN[0])
    first.look_at(2)
    first.is_saved()
    cut_off(first.page)
    first.page.bring_to_front()
    first.answer_all(SIXTEEN[1:3], start=2)
    first.is_offline(2)

    second.page.bring_to_front()
    second.come_back(made.link)
    first.is_parked(ELSEWHERE)
    second.answer(4, SIXTEEN[3])
    first.press("f", "j")
    second.look_at(5)
    second.is_saved()
    assert server.all_answers(made) == in_order(SIXTEEN[:4])

    first.page.bring_to_front()
    first.page.unroute("**/reading/responses")
    first.press("Enter")
    second.is_parked(ELSEWHERE)
    second.press("f", "j")
    first.answer_all(SIXTEEN[4:8], start=5)
    first.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN[:8])


def test_of_two_browsers_the_older_one_is_told_and_overwrites_nothing(
    server: Server, study: Make, computer: Computer
) -> None:
    made = study(cases=4, sets=1)
    old, new = Reader(computer().new_page()), Reader(computer().new_page())
    old.enter(made.link)
    old.answer_all(SIXTEEN[:2])
    old.look_at(3)
    old.is_saved()
    new.come_back(made.link)
    new.look_at(3)
    old.answer(3, TUMOUR)
    old.is_parked(ELSEWHERE)
    assert len(old.queued()) == 1
    new.answer_all([NO_TUMOUR, TUMOUR], start=3)
    new.look_at(5)
    new.is_saved()
    old.press("Enter")
    old.look_at(5)
    keeps_nothing(old)
    new.answer(5, TUMOUR)
    new.is_parked(ELSEWHERE)
    old.answer(5, NO_TUMOUR)
    old.look_at(6)
    old.is_saved()
    assert server.all_answers(made) == in_order([*SIXTEEN[:2], NO_TUMOUR, TUMOUR, NO_TUMOUR])


def test_the_unsent_answers_of_one_reader_wait_while_another_reads_on_the_same_computer(
    server: Server, study: Make, computer: Computer
) -> None:
    made = study(cases=2, sets=1, readers=2)
    context = computer()
    first = Reader(context.new_page())
    first.enter(made.links[0])
    cut_off(first.page)
    first.answer_all(SIXTEEN[:2])
    first.is_offline(2)
    first.page.close()

    second = Reader(context.new_page())
    second.enter(made.links[1])
    second.answer_all([NO_TUMOUR] * 3)
    second.look_at(4)
    second.is_saved()
    assert len(second.queued()) == 2
    assert server.all_answers(made, "R01") == []

    first = Reader(context.new_page())
    first.come_back(made.links[0])
    first.answer(3, SIXTEEN[2])
    first.look_at(4)
    first.is_saved()
    keeps_nothing(first)
    assert server.all_answers(made, "R01") == in_order(SIXTEEN[:3])
    assert server.all_answers(made, "R02") == in_order([NO_TUMOUR] * 3)


def test_a_window_left_open_by_another_reader_cannot_write_for_the_one_who_reads_now(
    server: Server, study: Make, computer: Computer
) -> None:
    made = study(cases=2, sets=1, readers=2)
    context = computer()
    first, second = Reader(context.new_page()), Reader(context.new_page())
    first.enter(made.links[0])
    first.page.bring_to_front()
    first.look_at(1)
    second.page.bring_to_front()
    second.enter(made.links[1])
    second.look_at(1)
    first.page.bring_to_front()
    first.answer(1, TUMOUR)
    first.is_parked(ELSEWHERE)
    second.page.bring_to_front()
    second.answer(1, NO_TUMOUR)
    second.look_at(2)
    second.is_saved()
    assert server.all_answers(made, "R01") == []
    assert server.all_answers(made, "R02") == in_order([NO_TUMOUR])


def test_the_back_button_repeats_nothing(server: Server, study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.answer_all(SIXTEEN[:2])
    reader.look_at(3)
    reader.is_saved()
    reader.page.go_back()
    reader.page.goto(f"{server.url}/reading")
    reader.look_at(3)
    reader.page.goto("about:blank")
    reader.page.go_back()
    reader.answer_all(SIXTEEN[2:4], start=3)
    reader.page.wait_for_url("**/reading/questions")
    reader.page.go_back()
    reader.page.goto(f"{server.url}/reading/room")
    reader.page.wait_for_url("**/reading/questions")
    assert server.all_answers(made) == in_order(SIXTEEN[:4])


# One press, one answer


def test_a_double_press_and_a_held_key_answer_once(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=4, sets=1)
    reader.enter(made.link)
    keys = reader.look_at(1)
    reader.press(keys[TUMOUR], keys[TUMOUR])
    reader.look_at(2)
    for _ in range(4):
        # Playwright marks every further "down" of the same key as a repeat, as a keyboard does.
        reader.page.keyboard.down(keys[NO_TUMOUR])
        reader.look_at(3)
    reader.page.keyboard.up(keys[NO_TUMOUR])
    reader.press(keys[TUMOUR], keys[NO_TUMOUR])
    reader.look_at(4)
    reader.is_saved()
    assert server.all_answers(made) == in_order([TUMOUR, NO_TUMOUR, TUMOUR])


# Second thoughts


def test_one_answer_may_be_taken_back_and_the_record_keeps_it(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=4, sets=1, undo=Undo.ONE)
    reader.enter(made.link)
    reader.answer_all([TUMOUR, NO_TUMOUR])
    reader.look_at(3)
    reader.press("u")
    reader.look_at(2)
    reader.press("u")
    reader.answer(2, TUMOUR)
    reader.look_at(3)
    reader.is_saved()
    first, second = ("reading", 1, 0, TUMOUR), ("reading", 2, 1, TUMOUR)
    assert server.all_answers(made) == [first, ("reading", 2, 0, NO_TUMOUR), second]
    assert server.answers(made) == [first, second]


def test_what_was_taken_back_offline_is_taken_back_in_the_record_too(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=4, sets=1, undo=Undo.ALL)
    reader.enter(made.link)
    reader.look_at(1)
    wait_for_images(reader, 8)
    reader.page.context.set_offline(True)
    reader.answer_all([TUMOUR, TUMOUR, TUMOUR])
    reader.look_at(4)
    reader.press("u")
    reader.answer(3, NO_TUMOUR)
    reader.look_at(4)
    reader.page.context.set_offline(False)
    reader.is_saved()
    for position in (4, 3):
        reader.look_at(position)
        reader.press("u")
    reader.answer(2, NO_TUMOUR)
    reader.answer(3, TUMOUR)
    reader.look_at(4)
    reader.is_saved()
    assert server.all_answers(made) == [
        *in_order([TUMOUR] * 3),
        ("reading", 3, 1, NO_TUMOUR),
        ("reading", 2, 1, NO_TUMOUR),
        ("reading", 3, 2, TUMOUR),
    ]
    assert [answer for *_, answer in server.answers(made)] == [TUMOUR, NO_TUMOUR, TUMOUR]


def test_a_pause_hides_the_image_takes_no_answer_and_stops_the_clock(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    keys = reader.look_at(1)
    assert colours(reader) > 1
    reader.press("p")
    expect(reader.page.get_by_role("dialog", name="Pause")).to_be_visible()
    assert colours(reader) == 1
    reader.press(keys[TUMOUR])
    reader.page.wait_for_timeout(1200)
    reader.go_on("Pause")
    assert colours(reader) > 1
    reader.answer(1, NO_TUMOUR)
    reader.look_at(2)
    reader.is_saved()
    assert server.all_answers(made) == in_order([NO_TUMOUR])
    [(reading_time, hidden)] = server.rows(TIMES, made.number)
    assert hidden >= 1200
    assert 150 <= reading_time < 1200 + 5000


def colours(reader: Reader) -> int:
    """How many different ones the canvas has, as far as a few rows tell."""
    counted: int = reader.page.evaluate(
        """() => {
          const { width, height } = document.querySelector("canvas");
          const context = document.querySelector("canvas").getContext("2d");
          const { data } = context.getImageData(0, Math.floor(height / 2), width, 2);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    return counted


def test_a_problem_is_reported_and_the_image_is_still_answered(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.look_at(1)
    reader.press("n", "2")
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.is_saved()
    reported = """
        SELECT p.position, kind FROM problem_report JOIN presentation p ON p.id = presentation_id
        JOIN reader d ON d.id = p.reader_id WHERE d.study_id = ?
    """
    assert server.rows(reported, made.number) == [(1, "unclear")]
    assert server.all_answers(made) == in_order([TUMOUR])


def test_a_study_locked_while_reading_says_so_and_keeps_what_it_does_not_take(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.is_saved()
    server.lock(made)
    reader.answer(2, NO_TUMOUR)
    reader.is_parked("This study is closed")
    expect(reader.page.locator("#leave")).to_have_text("Leave this page")
    assert [record["body"]["answer"] for record in reader.queued()] == [NO_TUMOUR]
    reader.press("Enter")
    expect(reader.page.get_by_role("heading", name="You cannot go on here")).to_be_visible()
    assert server.all_answers(made) == in_order([TUMOUR])
