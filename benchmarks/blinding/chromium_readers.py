"""Readers in a real Chromium, by keyboard, with everything that developer tools would show them."""

import asyncio
import base64
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from playwright.async_api import Error as PlaywrightError

from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.network import Network
from benchmarks.blinding.secrets import Key
from benchmarks.blinding.seen import Exchange, Fact, Visit, kind_of, presentations, token_of

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)
VIEWPORT: ViewportSize = {"width": 1280, "height": 800}
OBSERVER = Path(__file__).with_name("observer.js").read_text(encoding="utf-8")
PATIENCE_MS = 60_000
ARMED_AFTER_MS = 170
FOCUS_FIRST = "document.querySelector('form button[type=submit]').focus()"
ANSWER_KEYS = "[...document.querySelectorAll('[data-answer]')].map(({ dataset }) => dataset.key)"
Progress = Callable[[int], None]


def in_chromium(
    *, at_once: int = 3, progress: Progress = lambda _shown: None
) -> Callable[[str, Sequence[str], Mutant | None, Key], list[Visit]]:
    """So many readers at the same time; `progress` hears of every presentation."""

    def read(address: str, links: Sequence[str], mutant: Mutant | None, key: Key) -> list[Visit]:
        return asyncio.run(read_all(address, links, mutant, key))

    async def read_all(
        address: str, links: Sequence[str], mutant: Mutant | None, key: Key
    ) -> list[Visit]:
        free = asyncio.Semaphore(at_once)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=list(ARGUMENTS)
            )

            async def one(reader: int, link: str) -> Visit:
                async with free:
                    watched = ChromiumReader(reader, mutant, key, progress)
                    return await watched.read(browser, f"{address}/r/{link}")

            readers = [one(reader, link) for reader, link in enumerate(links, start=1)]
            visits = await asyncio.gather(*readers)
            await browser.close()
        return list(visits)

    return read


class ChromiumReader:
    """One reader in a browser profile of their own, who answers by chance."""

    def __init__(self, reader: int, mutant: Mutant | None, key: Key, progress: Progress) -> None:
        self.reader = reader
        self.mutant = mutant
        self.key = key
        self.progress = progress
        self.chance = random.Random(reader)  # noqa: S311 (a simulation)
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, dict[str, Fact]] = {}
        self.kept: set[str] = set()
        self.texts: set[str] = set()

    async def read(self, browser: Browser, link: str) -> Visit:
        context = await browser.new_context(viewport=VIEWPORT)
        page = await context.new_page()
        network = Network(await context.new_cdp_session(page))
        await network.begin()
        if self.mutant and self.mutant.script:
            await page.expose_function("adversaryKey", lambda token: asdict(self.key[token]))
        script = self.mutant.script if self.mutant else ""
        await page.add_init_script(f"(() => {{ {OBSERVER}\n{script}\n}})();")
        await self.enter(page, link)
        total = await page.evaluate("JSON.parse(document.getElementById('page').text).total")
        for shown in range(total):
            await self.look_and_answer(page, shown)
        await page.wait_for_url("**/reading/questions", timeout=PATIENCE_MS)
        self.kept |= {f"after the end: {place}" for place in await look_again(page)}
        exchanges = [self.with_file(each) for each in await network.everything()]
        await context.close()
        return Visit(
            self.reader,
            exchanges,
            presentations(exchanges, self.pages),
            kept=frozenset(self.kept),
            texts=frozenset(self.texts),
        )

    def with_file(self, exchange: Exchange) -> Exchange:
        """Chromium's tools keep no body that a page has taken as a blob: the page gives it."""
        file = self.files.get(token_of(exchange)) if kind_of(exchange) == "image" else None
        return exchange if file is None else replace(exchange, body=file)

    async def enter(self, page: Page, link: str) -> None:
        """Consent and the check of the screen; no clicks."""
        await page.goto(link)
        await page.evaluate(FOCUS_FIRST)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/reading/check", timeout=PATIENCE_MS)
        await page.wait_for_selector("#storage[data-state]", timeout=PATIENCE_MS)
        for key in "fj":
            await page.keyboard.press(key)
        await page.evaluate(FOCUS_FIRST)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/reading/room", timeout=PATIENCE_MS)

    async def look_and_answer(self, page: Page, shown: int) -> None:
        seen = await page.evaluate("shown => window[Symbol.for('observer')].look(shown)", shown)
        token = seen["token"]
        self.files[token] = base64.b64decode(seen["file"])
        self.pages[token] = {
            name: float(value) if isinstance(value, int) else value
            for name, value in seen["facts"].items()
        }
        self.pages[token]["text"] = hashlib.sha256(seen["text"].encode()).hexdigest()
        self.kept |= set(seen["kept"])
        if shown:  # before the first there is nothing to take back
            self.texts.add(seen["text"])
        keys = (await page.evaluate(ANSWER_KEYS))[:2]
        key = self.chance.choice(keys)
        await page.wait_for_timeout(ARMED_AFTER_MS)
        for _ in range(200):
            await page.keyboard.press(key)
            if await has_gone_on(page, seen["token"]):
                break
            await page.wait_for_timeout(50)
        self.progress(1)


async def has_gone_on(page: Page, token: str) -> bool:
    """Whether the answer was taken; a card of a break is closed on the way."""
    try:
        state = await page.evaluate(
            "token => window[Symbol.for('observer')].hasGoneOn(token)", token
        )
    except PlaywrightError:  # the page is just leaving for the next
        return True
    if state == "card":
        await page.keyboard.press("Enter")
    return bool(state)


async def look_again(page: Page) -> list[str]:
    found: list[str] = await page.evaluate("window[Symbol.for('observer')].kept()")
    return found
