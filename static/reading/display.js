// The screen check repeated silently: on arrival, and whenever the screen or its scale changes.

import { screenFacts } from "./screen.js";

const SETTLED_AFTER_MS = 500;

/** Calls report(record) now and after every change. */
export function watchDisplay(report) {
  let known = "";
  let timer = 0;

  const check = () => {
    const identity = [devicePixelRatio, screen.width, screen.height].join();
    if (identity === known) return;
    known = identity;
    watchRatio();
    report({ is_silent: true, ...screenFacts() });
  };
  const checkSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(check, SETTLED_AFTER_MS);
  };
  function watchRatio() {
    const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    query.addEventListener("change", checkSoon, { once: true });
  }
  // Another screen is mostly another window size, and there is no event of its own for it everywhere.
  addEventListener("resize", checkSoon);
  check();
}
