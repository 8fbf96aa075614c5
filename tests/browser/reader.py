"""A reader at the keyboard: what a pathologist does, without a single click."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

TUMOUR, NO_TUMOUR = "tumour", "non_tumour"

# Of a position: until its image is painted and takes an answer; then the key of each answer.
ARMED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  await new Promise((resolve) => setTimeout(resolve, 170));
  const buttons = [...document.querySelectorAll("[data-answer]")];
  return Object.fromEntries(buttons.map(({ dataset }) => [dataset.answer, dataset.key]));
}"""
FOCUSED = "document.activeElement?.textContent?.trim().replace(/\\s+/g, ' ') ?? ''"


@dataclass
class Reader:
    page: Page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def press_button(self, name: str) -> None:
        """Goes to it from one control to the next, and presses it."""
        expect(self.page.get_by_text(name, exact=True).last).to_be_visible()
        for _ in range(40):
            if self.page.evaluate(FOCUSED) == name:
                return self.press("Enter")
            self.press("Tab")
        raise AssertionError(f"no way to {name!r} by keyboard")

    # From the link to the room

    def agree(self, link: str) -> None:
        self.page.goto(link)
        assert link.rpartition("/")[2] not in self.page.url
        self.press_button("I agree and begin")
        self.page.wait_for_url("**/reading/check")

    def check_screen(self) -> None:
        self.press("f", "j")
        expect(self.page.locator("#letters")).to_be_focused()
        self.page.keyboard.type("KRS")
        self.press_button("Continue")
        self.page.wait_for_url("**/reading/room")

    def enter(self, link: str) -> None:
        """For a reader who has not begun."""
        self.agree(link)
        self.check_screen()

    def come_back(self, link: str) -> None:
        """For a reader who has begun."""
        self.page.goto(link)
        self.press_button("Go on")
        self.page.wait_for_url("**/reading/room")

    def go_on(self, title: str) -> None:
        """Closes a card."""
        card = self.page.get_by_role("dialog", name=title)
        expect(card).to_be_visible()
        self.press("Enter")
        expect(card).to_be_hidden()

    # In the room

    def look_at(self, position: int) -> dict[str, str]:
        """Until this image takes an answer; then the key of each answer."""
        expect(self.page.locator("#position")).to_have_text(str(position), timeout=15_000)
        keys: dict[str, str] = self.page.evaluate(ARMED)
        return keys

    def answer(self, position: int, answer: str, confidence: int | None = None) -> None:
        """With one press, as the image has been seen."""
        keys = self.look_at(position)
        self.press(keys[answer])
        if confidence is not None:
            self.press(str(confidence))

    def answer_all(self, answers: Sequence[str], start: int = 1) -> None:
        for position, answer in enumerate(answers, start):
            self.answer(position, answer)

    def is_saved(self) -> None:
        expect(self.page.locator("#saving")).to_have_text("Saved", timeout=30_000)

    def is_offline(self, answers: int) -> None:
        """Says that so many answers wait on this computer."""
        many = "1 answer" if answers == 1 else f"{answers} answers"
        expect(self.page.locator("#saving")).to_have_text(
            f"Offline - {many} kept on this computer", timeout=15_000
        )

    def is_parked(self, message: str) -> None:
        """Cannot go on in this window, and is told why and how."""
        expect(self.page.locator("#message")).to_contain_text(message, timeout=15_000)
        expect(self.page.locator("#leave")).to_be_focused()

    def queued(self) -> list[dict[str, Any]]:
        """What this computer keeps for the server, whoever answered it."""
        found: list[dict[str, Any]] = self.page.evaluate(QUEUED)
        return found


QUEUED = """async () => {
  const known = (await indexedDB.databases()).map(({ name }) => name);
  if (!known.includes("plainsight")) return [];
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const database = await done(indexedDB.open("plainsight"));
  const found = await done(database.transaction("unsent").objectStore("unsent").getAll());
  database.close();
  return found;
}"""


@dataclass
class Watch:
    """What no page may ever do: ask another host, or fail in a script."""

    address: str
    problems: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> BrowserContext:
        context.on("request", lambda request: self.note(request.url))
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("console", self.listen)
        return context

    def listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def note(self, url: str) -> None:
        if not url.startswith((f"{self.address}/", "blob:", "about:")):
            self.problems.append(f"asked {url}")
