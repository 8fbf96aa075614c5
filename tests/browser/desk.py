"""A researcher at the keyboard, who counts what they press; and how their pages must be."""

import re
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.server import EMAIL, PASSWORD, Server

# What a person does with a finger or a key, and no script can: text that is typed is none.
COUNTING = """
const count = (event) => {
  if (event.isTrusted || event.target.type === "file") {
    sessionStorage.presses = Number(sessionStorage.presses ?? 0) + 1;
  }
};
document.addEventListener("click", count, true);
document.addEventListener("change", (event) => {
  if (event.target.matches("select, [type=file]")) count(event);
}, true);
"""
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
MOST_TABS = 90


@dataclass
class Desk:
    """Every control is reached by Tab, and pressed by Enter."""

    page: Page

    @classmethod
    def at(cls, context: BrowserContext) -> "Desk":
        context.add_init_script(COUNTING)
        return cls(context.new_page())

    @property
    def presses(self) -> int:
        """Of buttons and links, choices in lists, choices of files, so far."""
        return int(self.page.evaluate("sessionStorage.presses ?? 0"))

    def go_to(self, control: Locator) -> None:
        expect(control).to_be_visible()
        for _ in range(MOST_TABS):
            if control.evaluate("(one) => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {control} by keyboard")

    def press(self, name: str, role: str = "button") -> None:
        control = self.page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        self.go_to(control)
        self.page.keyboard.press("Enter")

    def follow(self, name: str) -> None:
        self.press(name, "link")

    def type(self, label: str, text: str) -> None:
        self.go_to(self.page.get_by_label(label, exact=True))
        self.page.keyboard.type(text)

    def choose(self, label: str, first_letters: str) -> None:
        """Of a list, by typing how the choice begins."""
        self.type(label, first_letters)

    def files(self, label: str, path: Path) -> None:
        """As the dialog does it, which no test can open."""
        field = self.page.get_by_label(label, exact=True)
        self.go_to(field)
        field.set_input_files(path)

    def sign_in(self, server: Server) -> None:
        self.page.goto(f"{server.url}/studies")
        self.type("Email", EMAIL)
        self.type("Password", PASSWORD)
        self.press("Sign in")
        expect(self.page.get_by_role("heading", name="Studies", exact=True)).to_be_visible()

    def arrive_at_batch(self, name: str) -> None:
        self.page.wait_for_url(re.compile(r"/batches/\d+$"), timeout=60_000)
        expect(self.page.get_by_role("heading", name=name)).to_be_visible()


def is_sound(page: Page) -> None:
    """Axe finds nothing in either theme, and the page fits a desk and a narrow window."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            found = Axe().run(page)
            said = f"{page.url} {width} {theme}: {found.generate_report()}"
            assert found.violations_count == 0, said
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{page.url} sticks {over} px out of a window of {width}"
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    page.emulate_media(color_scheme="light")
