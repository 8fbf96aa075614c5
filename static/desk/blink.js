const ONCE_A_SECOND_MS = 1000;

/** Two images in one place, of which one is shown. Readers can load this file too: it names neither. */
class Blink {
  #figure;
  #button;

  /** @param {HTMLElement} figure */
  constructor(figure) {
    this.#figure = figure;
    this.#button = figure.querySelector("button");
    this.#button.addEventListener("click", () => this.toggle());
    this.#button.hidden = false;
    figure.dataset.ready = "";
    this.show(false);
  }

  /** @param {boolean} second */
  show(second) {
    this.#figure.dataset.shows = second ? "second" : "first";
    this.#button.setAttribute("aria-pressed", String(second));
  }

  toggle() {
    this.show(this.#figure.dataset.shows === "first");
  }

  /** @param {Element | null} element */
  holds(element) {
    return this.#figure.contains(element);
  }
}

/** Every image pixel as a whole block of device pixels, on any screen. */
function sizeExactly() {
  const scale = Math.max(1, Math.round(devicePixelRatio)) / devicePixelRatio;
  for (const image of document.querySelectorAll(".blink img")) {
    image.style.width = `${image.getAttribute("width") * scale}px`;
    image.style.height = `${image.getAttribute("height") * scale}px`;
  }
}

const blinks = Array.from(document.querySelectorAll(".blink"), (figure) => new Blink(figure));
const still = matchMedia("(prefers-reduced-motion: reduce)");
const choice = document.getElementById("blink");
let timer = null;

/** Nothing changes by itself unless it was asked for, and the system does not ask for rest. */
function changeByItself() {
  clearInterval(timer);
  timer = null;
  if (!choice) {
    return;
  }
  choice.parentElement.hidden = still.matches;
  if (choice.checked && !still.matches) {
    let second = false;
    timer = setInterval(() => {
      second = !second;
      blinks.forEach((blink) => blink.show(second));
    }, ONCE_A_SECOND_MS);
  }
}

addEventListener("keydown", (event) => {
  const writes = event.target.closest("input, textarea, select");
  if (event.key.toLowerCase() !== "b" || writes || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const here = blinks.filter((blink) => blink.holds(document.activeElement));
  (here.length ? here : blinks).forEach((blink) => blink.toggle());
});
addEventListener("resize", sizeExactly);
still.addEventListener("change", changeByItself);
choice?.addEventListener("change", changeByItself);
sizeExactly();
changeByItself();
