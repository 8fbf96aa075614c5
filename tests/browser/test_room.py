"""The reading room against the real server: calm, exact in time, and forgiving."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from app.vocabulary import Undo
from tests.browser.reader import NO_TUMOUR, TUMOUR, Reader
from tests.browser.server import Server, Study, in_order

Make = Callable[..., Study]

STORED = """
    SELECT r.* FROM response r JOIN presentation p ON p.id = presentation_id
    JOIN reader d ON d.id = p.reader_id WHERE d.study_id = ? ORDER BY r.id
"""
SCREENS = """
    SELECT is_silent, device_pixel_ratio FROM screen_check c JOIN reader d ON d.id = c.reader_id
    WHERE d.study_id = ? ORDER BY c.id
"""


def times(server: Server, study: Study) -> list[tuple[int, int, int]]:
    """reading_time_ms, hidden_ms and idle_ms of every answer."""
    columns = STORED.replace("r.*", "reading_time_ms, hidden_ms, idle_ms")
    return server.rows(columns, study.number)


def press_as(page: Page, **event: Any) -> None:
    """A key as a keyboard of another layout sends it."""
    page.evaluate(
        "event => document.dispatchEvent(new KeyboardEvent('keydown', event))",
        {"bubbles": True, **event},
    )


def boxes(page: Page) -> list[list[float]]:
    """Where everything is that must never move."""
    found: list[list[float]] = page.evaluate(
        """() => [...document.querySelectorAll("canvas, main > :not(dialog) button, .task")]
          .map((each) => each.getBoundingClientRect())
          .map(({ x, y, width, height }) => [x, y, width, height])"""
    )
    return found


def drawn_scale(page: Page) -> int:
    """Device pixels an image pixel, as a width of 128 tells."""
    runs: int = page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas");
          const { width, height } = canvas;
          const row = canvas.getContext("2d").getImageData(0, height / 2, width, 1).data;
          const pixels = new Uint32Array(row.buffer);
          const isImage = (pixel) => pixel !== pixels[0];
          return pixels.findLastIndex(isImage) - pixels.findIndex(isImage) + 1;
        }"""
    )
    return runs // 128


# Keys


@pytest.mark.parametrize(
    "event",
    [
        {"key": "а", "code": "KeyF"},  # noqa: RUF001 (Cyrillic)
        {"key": "F", "code": "KeyF"},
        {"key": "f", "code": "KeyU"},
    ],
)
def test_every_layout_has_the_answer_keys(
    event: dict[str, str], server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    keys = reader.look_at(1)
    press_as(reader.page, **event)
    reader.look_at(2)
    reader.is_saved()
    [answer] = [answer for answer, key in keys.items() if key == "f"]
    assert server.all_answers(made) == in_order([answer])


def test_confidence_is_asked_after_the_answer_and_time_ends_with_the_answer(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, confidence=True)
    reader.enter(made.link)
    page = reader.page
    keys = reader.look_at(1)
    steps = page.locator("[data-confidence]")
    before = boxes(page)
    reader.press("3")
    expect(steps.first).to_have_attribute("aria-disabled", "true")
    reader.press(keys[NO_TUMOUR], keys[TUMOUR])
    expect(page.locator(f"[data-answer={TUMOUR}]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(f"[data-answer={NO_TUMOUR}]")).to_have_attribute("aria-pressed", "false")
    expect(steps.first).to_have_attribute("aria-disabled", "false")
    assert boxes(page) == before
    assert Axe().run(page).response["violations"] == []
    page.wait_for_timeout(1500)
    press_as(page, key="&", code="Digit1")  # 1 where digits need Shift
    reader.look_at(2)
    assert boxes(page) == before
    reader.is_saved()
    assert server.all_answers(made) == in_order([TUMOUR])
    assert server.rows(STORED.replace("r.*", "confidence"), made.number) == [(1,)]
    lasted = "(julianday(answered_at) - julianday(given_at)) * 86400"
    [(after,)] = server.rows(STORED.replace("r.*", lasted), made.number)
    assert after > 1.3


def test_a_problem_can_be_thought_better_of(server: Server, study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    for way_out in ("Escape", "n"):
        reader.look_at(1)
        reader.press("n")
        dialog = reader.page.get_by_role("dialog", name="Problem with this image")
        expect(dialog).to_be_visible()
        assert Axe().run(reader.page).response["violations"] == []
        reader.press(way_out)
        expect(dialog).to_be_hidden()
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.is_saved()
    assert server.rows("SELECT count(*) FROM problem_report WHERE kind = 'other'") == [(0,)]


# Undo


def test_after_a_reload_the_last_answer_can_still_be_taken_back(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, undo=Undo.ALL)
    reader.enter(made.link)
    reader.answer_all([TUMOUR, NO_TUMOUR])
    reader.look_at(3)
    reader.is_saved()
    reader.page.reload()
    for position in (3, 2):
        reader.look_at(position)
        reader.press("u")
        # The one before that is known when the server has said it.
        reader.look_at(position - 1)
        reader.is_saved()
    reader.page.reload()
    reader.answer_all([NO_TUMOUR, TUMOUR])
    reader.look_at(3)
    reader.is_saved()
    assert server.all_answers(made)[2:] == [
        ("reading", 1, 1, NO_TUMOUR),
        ("reading", 2, 1, TUMOUR),
    ]
    assert [answer for *_, answer in server.answers(made)] == [NO_TUMOUR, TUMOUR]


def test_undo_while_the_confidence_is_asked_only_takes_the_choice_back(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1, confidence=True)
    reader.enter(made.link)
    reader.answer(1, TUMOUR, 5)
    keys = reader.look_at(2)
    reader.press(keys[TUMOUR], "u")
    expect(reader.page.locator("#position")).to_have_text("2")
    expect(reader.page.locator("[data-confidence]").first).to_have_attribute(
        "aria-disabled", "true"
    )
    reader.press("5")
    reader.page.wait_for_timeout(200)
    assert server.all_answers(made) == in_order([TUMOUR])


# Breaks and time


def test_a_break_is_offered_after_so_many_images(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=3, sets=1, break_after_images=2)
    reader.enter(made.link)
    for position in (1, 2, 3, 4):
        reader.answer(position, TUMOUR)
        if position % 2 == 0:
            assert Axe().run(reader.page).response["violations"] == []
            reader.go_on("Time for a short break")
    reader.look_at(5)
    reader.is_saved()
    assert all(hidden == 0 for _, hidden, _ in times(server, made))


def test_a_break_is_offered_after_so_many_minutes(study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1, break_after_minutes=20)
    reader.page.add_init_script(
        "const now = performance.now.bind(performance);"
        "performance.now = () => now() + (window.later ?? 0)"
    )
    reader.enter(made.link)
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.page.evaluate("window.later = 20 * 60 * 1000")
    reader.answer(2, TUMOUR)
    reader.go_on("Time for a short break")
    reader.answer(3, TUMOUR)
    reader.look_at(4)
    expect(reader.page.get_by_role("dialog")).to_be_hidden()


def test_idle_time_is_what_goes_beyond_half_a_minute(study: Make, reader: Reader) -> None:
    reader.enter(study(cases=2, sets=1).link)
    read = reader.page.evaluate(
        """async () => {
          const { ReadingClock } = await import("/static/reading/clock.js");
          const clock = new ReadingClock(1_000);
          clock.note(31_000);    // exactly half a minute: not idle
          clock.note(71_000);    // 10 s idle
          clock.hide(72_000);
          clock.note(500_000);   // what is done while hidden is not looking
          clock.show(572_000);
          return clock.read(612_000);  // 10 s idle again
        }"""
    )
    assert read == {"reading_time_ms": 91_000, "hidden_ms": 500_000, "idle_ms": 20_000}


def test_a_card_that_opens_under_a_held_enter_stays(study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1, break_after_images=1)
    reader.enter(made.link)
    reader.look_at(1)
    reader.page.locator("[data-answer]").first.focus()
    for _ in range(5):
        reader.page.keyboard.down("Enter")
        reader.page.wait_for_timeout(100)
    expect(reader.page.get_by_role("dialog", name="Time for a short break")).to_be_visible()


# The network


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<!doctype html><title>Please sign in to the guest network</title>"),
        (403, "<!doctype html><title>Blocked by policy</title>"),
        (404, "not found"),
        (429, '{"message": "Too many requests"}'),
        (502, '{"message": "Bad gateway"}'),
    ],
)
def test_what_stands_in_between_is_not_taken_for_the_server(
    status: int, body: str, server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    keys = reader.look_at(1)
    troubles = 2

    def meddle(route: Route) -> None:
        nonlocal troubles
        troubles -= 1
        if troubles < 0:
            route.continue_()
        else:
            route.fulfill(status=status, body=body)

    reader.page.route("**/reading/responses", meddle)
    reader.press(keys[TUMOUR])
    reader.look_at(2)
    reader.is_offline(1)
    reader.is_saved()
    assert server.all_answers(made) == in_order([TUMOUR])


def test_an_image_that_does_not_come_is_waited_for_in_words(study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1)
    reader.page.route("**/reading/images/**", lambda route: route.abort())
    reader.enter(made.link)
    expect(reader.page.locator("#message")).to_contain_text("No connection")
    reader.page.unroute_all()
    reader.look_at(1)
    expect(reader.page.locator("#message")).to_be_empty()


def test_an_answer_that_is_not_wanted_is_dropped_and_the_right_image_shown(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.answer(1, TUMOUR)
    keys = reader.look_at(2)
    reader.is_saved()
    refusal = {"status": 409, "json": {"message": "This image is answered already."}}
    reader.page.route("**/reading/responses", lambda route: route.fulfill(**refusal), times=1)
    reader.press(keys[TUMOUR])
    reader.answer(2, NO_TUMOUR)
    reader.answer(3, NO_TUMOUR)
    reader.look_at(4)
    reader.is_saved()
    assert server.all_answers(made) == in_order([TUMOUR, NO_TUMOUR, NO_TUMOUR])


def test_the_first_load_is_small_and_from_one_host(study: Make, reader: Reader) -> None:
    made = study(cases=2, sets=1)
    sizes: dict[str, int] = {}
    reader.enter(made.link)
    reader.look_at(1)
    reader.page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    reader.page.reload()
    reader.look_at(1)
    loaded = {url: size for url, size in sizes.items() if "/reading/images/" not in url}
    assert any(url.endswith(".js") for url in loaded)
    assert sum(loaded.values()) < 100_000, loaded


# The screen


def test_the_screen_is_checked_again_silently_when_it_changes(
    server: Server, study: Make, reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    reader.enter(made.link)
    reader.look_at(1)
    page = reader.page
    session = page.context.new_cdp_session(page)
    changed = {"width": 1200, "height": 780, "deviceScaleFactor": 2, "mobile": False}
    with page.expect_response("**/reading/display"):
        session.send("Emulation.setDeviceMetricsOverride", changed)
    assert server.rows(SCREENS, made.number) == [(0, 1.0), (1, 2.0)]
    reader.answer(1, TUMOUR)
    reader.look_at(2)
    reader.is_saved()
    ratio = STORED.replace("r.*", "r.device_pixel_ratio")
    assert server.rows(ratio, made.number) == [(2.0,)]


def test_nothing_moves_and_large_text_leaves_the_image_alone(study: Make, reader: Reader) -> None:
    made = study(cases=3, sets=1, confidence=True, few_cells=True, cannot_assess=True)
    reader.enter(made.link)
    page = reader.page
    reader.look_at(1)
    before = boxes(page)
    scale = drawn_scale(page)
    page.context.set_offline(True)
    reader.answer(1, TUMOUR, 4)
    reader.look_at(2)
    reader.is_offline(1)
    assert boxes(page) == before
    page.context.set_offline(False)
    reader.is_saved()
    reader.press("+")
    assert boxes(page) == before
    reader.press("0")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    page.wait_for_timeout(200)
    assert drawn_scale(page) == scale
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_grey_is_the_same_for_everybody(
    scheme: str, computer: Callable[..., Any], study: Make
) -> None:
    for colours in ("none", "active"):
        reader = Reader(computer(color_scheme=scheme, forced_colors=colours).new_page())
        reader.enter(study(cases=2, sets=1).link)
        reader.look_at(1)
        grey = reader.page.evaluate(
            """() => [...document.querySelector("canvas").getContext("2d")
              .getImageData(0, 0, 1, 1).data]"""
        )
        assert grey == [0x77, 0x77, 0x77, 255]
        assert Axe().run(reader.page).response["violations"] == []
