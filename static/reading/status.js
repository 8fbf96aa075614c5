// Says where the reading stands: on the page, and through its one live region.

import { element, page, text } from "./page.js";

let hasEnded = false;

/** A sentence in the place of the image; an empty one takes it away. */
export function say(message) {
  if (hasEnded || element("message").textContent === message) return;
  element("message").textContent = message;
  if (message) announce(message);
}

export function showPosition(position) {
  element("position").textContent = position;
  announce(element("progress").textContent.trim());
}

/** "Saved" only when the server has everything. */
export function showSaving({ name, answers, isDurable }) {
  const place = isDurable ? "" : "_memory";
  const many = answers === 1 ? "_one" : "_many";
  const said = name === "offline" ? `offline${place}${many}` : name;
  const sentence = text(said, { count: answers });
  showSentence(sentence, name);
  // What is normal would only disturb whoever listens.
  if (name === "offline") announce(sentence);
}

function showSentence(sentence, state) {
  element("saving").textContent = sentence;
  element("saving").dataset.state = state;
}

export function showZoom(zoom) {
  element("zoom").textContent = text("zoom", { zoom });
}

export function announce(sentence) {
  element("announcement").textContent = sentence;
}

/** Which answer is chosen while it still waits for the confidence. */
export function showChoice(answer) {
  for (const button of document.querySelectorAll("[data-answer]")) {
    if (page.confidence) button.setAttribute("aria-pressed", button.dataset.answer === answer);
  }
  for (const button of document.querySelectorAll("[data-confidence]")) {
    button.setAttribute("aria-disabled", answer === null);
  }
  if (answer !== null) announce(element("sure").textContent);
}

export function showMayUndo(mayUndo) {
  document.querySelector("[data-act=undo]")?.setAttribute("aria-disabled", !mayUndo);
}

/** Ends all reading in this window: what the server said, and the way on, or else only out. */
export function showEnd(message, mayGoOn) {
  say(message);
  hasEnded = true;
  showSentence("", "ended");
  for (const button of document.querySelectorAll("main > :not(dialog) button")) {
    button.setAttribute("aria-disabled", true);
  }
  if (!mayGoOn) element("leave").textContent = text("leave");
  element("leave").hidden = false;
  element("leave").focus();
}
