// Waiting for what comes: with a word only when it takes long.

import { say } from "./status.js";
import { text } from "./page.js";

const PATIENCE_MS = 400;
// Two frames of a common screen.
const IMAGE_FIRST_MS = 34;

/** What the promise resolves to; says that it takes a moment, if it does. */
export async function patiently(promise) {
  const timer = setTimeout(() => say(text("moment")), PATIENCE_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

export function aMoment() {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
}

/** Until the image that the last key asked for is painted: nothing else is as urgent. */
export function imageFirst() {
  return new Promise((resolve) => setTimeout(resolve, IMAGE_FIRST_MS));
}

export function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}

export function nextFrame() {
  return new Promise(requestAnimationFrame);
}
