// Turns deliberate key presses and clicks into answers.

const ANSWERS = { f: "non_tumour", j: "tumour" };

/** Calls handle(answer, at) with the time of the event itself, not of its late arrival here. */
export function onAnswer(handle) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat) {
      // A held Enter would otherwise click a focused button again and again.
      if (event.key === "Enter") event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const answer = ANSWERS[letterOf(event)];
    if (answer) handle(answer, event.timeStamp);
  });
  for (const answer of Object.values(ANSWERS)) {
    document.getElementById(answer).addEventListener("click", (event) => {
      // The second click of a double click is meant for the image before.
      if (event.detail <= 1) handle(answer, event.timeStamp);
    });
  }
}

/** The letter on the key; where a layout has no Latin letters, the place of the key. */
function letterOf({ key, code }) {
  return /^[a-z]$/i.test(key) ? key.toLowerCase() : code.replace("Key", "").toLowerCase();
}
