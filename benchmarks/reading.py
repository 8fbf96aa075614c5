"""How quickly the reading room answers a key, and how much it takes to get there.

Real server, real Chromium, keys as a keyboard sends them. From the key (the time of the event,
which the browser stamps before any script runs) to the next image painted: the first task after
the first frame that holds the image, so after style, layout, paint and commit; what the screen
itself takes comes on top. The floor is measured alike in the same run: a bare page that draws a
decoded image of the same size at the key, half of it before and half after. Keys come about half a
second apart, at a random moment of the frame; Chromium itself adds the delay to every request.

    python benchmarks/reading.py --json
"""

import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, Request, expect, sync_playwright

from app.provenance import code
from tests.browser.conftest import ARGUMENTS, CHROMIUM, VIEWPORT
from tests.browser.reader import NO_TUMOUR, TUMOUR, Reader
from tests.browser.server import Server, with_tissue
from tests.conftest import write_batch

USUAL: dict[str, Any] = {"conditions": ("linf-2",)}
DELAYS_MS = (0, 300)
PACE_MS = 500
FRAME_MS = 1000 / 60
LARGEST_CLICKS = 3
LARGEST_LOAD = 100_000

# From the last key to the first frame that holds what was drawn after it.
STOPWATCH = """
  window.samples = [];
  let pressedAt = null;
  addEventListener("keydown", ({ timeStamp, repeat }) => {
    if (!repeat) pressedAt = timeStamp;
  }, { capture: true });
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    const from = pressedAt;
    pressedAt = null;
    if (from !== null) requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => samples.push(performance.now() - from);
      port2.postMessage(null);
    });
    return draw.apply(this, given);
  };
"""
FLOOR = """async () => {
  document.body.innerHTML = '<canvas tabindex="0"></canvas>';
  document.body.style = "margin: 0; background: #777";
  const canvas = document.querySelector("canvas");
  Object.assign(canvas, { width: 1280, height: 640 });
  const context = canvas.getContext("2d", { alpha: false });
  const noise = (seed) => new ImageData(
    Uint8ClampedArray.from({ length: 128 * 128 * 4 }, (_, i) => (i * seed) % 251), 128, 128);
  const bitmaps = await Promise.all([7, 13].map((seed) => createImageBitmap(noise(seed))));
  let shown = 0;
  addEventListener("keydown", () => {
    context.imageSmoothingEnabled = false;
    context.drawImage(bitmaps[shown++ % 2], 320, 0, 640, 640);
  });
}"""


@dataclass(frozen=True)
class Times:
    median: float
    p95: float
    p99: float
    largest: float
    n: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Times":
        p95, p99 = np.percentile(samples, [95, 99])
        return cls(
            median=round(median(samples), 2),
            p95=round(float(p95), 2),
            p99=round(float(p99), 2),
            largest=round(max(samples), 2),
            n=len(samples),
        )

    def told(self, name: str) -> str:
        numbers = (self.median, self.p95, self.p99, self.largest)
        return f"{name:<22}" + "".join(f"{n:>9.1f}" for n in numbers) + f"{self.n:>6}"


@dataclass
class Load:
    """Of everything but the images, until the first image of the study is shown."""

    on_the_wire: int = 0
    unpacked: int = 0
    requests: int = 0
    images_on_the_wire: int = 0
    of: dict[str, str] = field(default_factory=dict, repr=False)

    def watch(self, session: CDPSession) -> None:
        session.on("Network.requestWillBeSent", self.asked)
        session.on("Network.dataReceived", self.received)
        session.on("Network.loadingFinished", self.finished)
        session.send("Network.enable")

    def asked(self, event: dict[str, Any]) -> None:
        self.of[event["requestId"]] = event["request"]["url"]
        self.requests += "/reading/images/" not in event["request"]["url"]
        if redirect := event.get("redirectResponse"):
            self.on_the_wire += redirect["encodedDataLength"]

    def received(self, event: dict[str, Any]) -> None:
        if not self.is_image(event):
            self.unpacked += event["dataLength"]

    def finished(self, event: dict[str, Any]) -> None:
        if self.is_image(event):
            self.images_on_the_wire += event["encodedDataLength"]
        else:
            self.on_the_wire += event["encodedDataLength"]

    def is_image(self, event: dict[str, Any]) -> bool:
        return "/reading/images/" in self.of.get(event["requestId"], "")


@dataclass
class Bench:
    server: Server
    browser: Browser
    presentations: int
    foreign: list[str] = field(default_factory=list)

    @contextmanager
    def page(self) -> Iterator[Page]:
        with self.browser.new_context(viewport=VIEWPORT) as context:  # type: ignore[arg-type]
            context.on("request", self.note)
            yield context.new_page()

    def note(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "blob" and parts.netloc != urlsplit(self.server.url).netloc:
            self.foreign.append(request.url)

    def floor(self, count: int) -> list[float]:
        with self.page() as page:
            page.add_init_script(STOPWATCH)
            page.goto(f"{self.server.url}/healthz")
            page.evaluate(FLOOR)
            for _ in range(count):
                page.wait_for_timeout(170 + at_random())
                page.keyboard.press("f")
            page.wait_for_timeout(100)
            return samples(page)

    def room(self, delay_ms: int) -> list[float]:
        """So many of a study that has some more: its last answer would leave the page."""
        sets = self.presentations // 40 + 1
        study = self.server.add_study(sets=sets, break_after_images=0, **USUAL)
        with self.page() as page:
            page.add_init_script(STOPWATCH)
            slow_down(page, delay_ms)
            reader = Reader(page)
            reader.enter(study.link)
            for position in range(1, self.presentations + 1):
                reader.look_at(position)
                page.wait_for_timeout(PACE_MS - 200 + at_random())
                reader.answer(position, (TUMOUR, NO_TUMOUR)[position % 2])
                if position % 40 == 0:
                    progress(f"  {position} of {self.presentations}")
            page.wait_for_timeout(100)
            taken = samples(page)
        stored = self.server.answers(study)
        assert len(stored) >= self.presentations - 1, "answers are missing"  # noqa: S101
        return taken

    def clicks(self) -> int:
        """Of a mouse, from the link to the first image that counts; practice is read by key."""
        study = self.server.add_study(practice=4, practice_batch=self.server.batches[1], **USUAL)
        with self.page() as page:
            clicks: list[str] = []
            page.expose_function("noteClick", lambda: clicks.append(page.url))
            page.add_init_script("addEventListener('click', () => noteClick(), { capture: true })")
            reader = Reader(page)
            page.goto(study.link)
            page.get_by_role("button", name="I agree and begin").click()
            page.wait_for_url("**/reading/check")
            page.get_by_role("button", name="Continue").click()
            page.wait_for_url("**/reading/room")
            reader.answer_all([TUMOUR] * 4)
            page.get_by_role("button", name="Continue").click()
            reader.look_at(1)
            expect(page.locator("#progress")).to_have_text("Image 1 of 80")
            return len(clicks)

    def first_load(self) -> Load:
        study = self.server.add_study(**USUAL)
        load = Load()
        with self.page() as page:
            load.watch(page.context.new_cdp_session(page))
            reader = Reader(page)
            reader.enter(study.link)
            reader.look_at(1)
            page.wait_for_timeout(500)
        return load


def at_random() -> float:
    return random.uniform(0, FRAME_MS)  # noqa: S311


def slow_down(page: Page, delay_ms: int) -> None:
    conditions = {
        "offline": False,
        "latency": delay_ms,
        "downloadThroughput": -1,
        "uploadThroughput": -1,
    }
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)


def samples(page: Page) -> list[float]:
    taken: list[float] = page.evaluate("samples")
    return taken


def progress(text: str) -> None:
    click.echo(text, err=True)


def measured(bench: Bench) -> dict[str, Any]:
    half = -(-bench.presentations // 2)
    progress("floor")
    floor = bench.floor(half)
    rooms = {}
    for delay in DELAYS_MS:
        progress(f"reading room, {delay} ms of delay")
        rooms[delay] = Times.of(bench.room(delay))
    progress("floor again; clicks; first load")
    times = Times.of(floor + bench.floor(half))
    load = asdict(bench.first_load())
    del load["of"]
    return {
        "floor_ms": asdict(times),
        "key_to_image_ms": {str(delay): asdict(found) for delay, found in rooms.items()},
        "times_the_floor": {
            str(delay): round(found.median / times.median, 2) for delay, found in rooms.items()
        },
        "clicks_to_first_image": bench.clicks(),
        "first_load_bytes": load,
        "requests_to_other_hosts": len(bench.foreign),
    }


def held(found: dict[str, Any]) -> dict[str, bool]:
    rooms = found["key_to_image_ms"].values()
    return {
        "median within one frame": all(room["median"] <= FRAME_MS for room in rooms),
        "p99 within two frames": all(room["p99"] <= 2 * FRAME_MS for room in rooms),
        "first image in 3 clicks": found["clicks_to_first_image"] <= LARGEST_CLICKS,
        "first load under 100 kB": found["first_load_bytes"]["on_the_wire"] < LARGEST_LOAD,
        "no other host": found["requests_to_other_hosts"] == 0,
    }


def tell(found: dict[str, Any]) -> None:
    click.echo(f"{'ms from key to image':<22}   median      p95      p99  largest     n")
    click.echo(Times(**found["floor_ms"]).told("bare page"))
    for delay, times in found["key_to_image_ms"].items():
        ratio = found["times_the_floor"][delay]
        click.echo(Times(**times).told(f"room, {delay} ms delay") + f"   {ratio} x the bare page")
    load = found["first_load_bytes"]
    click.echo(f"clicks from link to first image: {found['clicks_to_first_image']}")
    click.echo(
        f"first load without images: {load['on_the_wire']:,} bytes in {load['requests']} requests "
        f"({load['unpacked']:,} unpacked)"
    )
    click.echo(f"requests to other hosts: {found['requests_to_other_hosts']}")
    for target, is_held in found["targets"].items():
        click.echo(f"{'held  ' if is_held else 'MISSED'}  {target}")


@contextmanager
def started(presentations: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = with_tissue(Path(folder), write_batch)
        server.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield Bench(server, browser, presentations)
        finally:
            browser.close()
            server.stop()


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.option("--presentations", default=160, show_default=True, type=click.IntRange(min=2))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(presentations: int, as_json: bool) -> None:
    with started(presentations) as bench:
        before = os.getloadavg()[0]
        found = measured(bench)
        found |= {
            "targets": held(found),
            "load_average": [round(before, 2), round(os.getloadavg()[0], 2)],
            "chromium": bench.browser.version,
            "code": code(),
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        tell(found)


if __name__ == "__main__":
    main()
