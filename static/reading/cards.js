// Cards that cover the reading until the reader goes on: the beginning, a pause, a break, a problem.

import { element, text } from "./page.js";

/** Emits "change" when a card has opened or closed. */
export const cards = new EventTarget();

/** Whether a card covers the image. */
export function isCardOpen() {
  return document.querySelector("dialog[open]") !== null;
}

/** Resolves when the reader goes on. */
export function showCard(title, sentence) {
  element("card-title").textContent = title;
  element("card-text").textContent = sentence;
  return opened(element("card"));
}

/** In practice: the answer of the data set, in the words of its button. */
export function showFeedback(given, right) {
  const answer = document.querySelector(`[data-answer="${right}"] .label`).textContent;
  return showCard(text(given === right ? "agree" : "differ"), text("feedback", { answer }));
}

/** The kind of problem the reader chose, or "" for none. */
export function askForProblem() {
  return opened(element("problem"));
}

/** `value` is what an open card resolves to. */
export function closeCard(value = "") {
  document.querySelector("dialog[open]")?.close(value);
}

function opened(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  cards.dispatchEvent(new Event("change"));
  return new Promise((resolve) => {
    const close = () => {
      cards.dispatchEvent(new Event("change"));
      resolve(dialog.returnValue);
    };
    dialog.addEventListener("close", close, { once: true });
  });
}
