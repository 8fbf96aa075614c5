// One image on the screen, until its answer is complete or something else comes first.

import { ReadingClock } from "./clock.js";

// Nobody judges tissue this fast: such a press was meant for the image before.
const ARMED_AFTER_MS = 150;

/** `outcome` resolves to {kind: "answer", response}, {kind: "undo"} or {kind: "moved"}. */
export class Reading {
  #clock;
  #armedAt;
  #describe;
  #response = null;
  #end;
  outcome = new Promise((resolve) => (this.#end = resolve));

  /** `describe()` tells how the image is shown at the moment of the answer. */
  constructor({ paintedAt, describe }) {
    this.#clock = new ReadingClock(paintedAt);
    this.#armedAt = paintedAt + ARMED_AFTER_MS;
    this.#describe = describe;
  }

  isArmed(at) {
    return at >= this.#armedAt;
  }

  /** The answer that waits for its confidence. */
  get chosen() {
    return this.#response?.answer ?? null;
  }

  /** Complete at once, unless it is still asked how sure the reader is. */
  choose(answer, at, asksConfidence) {
    const given_at = Date.now();
    this.#response = {
      answer,
      confidence: null,
      given_at,
      ...this.#clock.read(at),
      ...this.#describe(),
    };
    if (!asksConfidence) this.#answer();
  }

  unchoose() {
    this.#response = null;
  }

  rate(confidence) {
    if (this.#response === null) return;
    this.#response.confidence = confidence;
    this.#answer();
  }

  /** Ends it without an answer. */
  end(kind) {
    this.#end({ kind });
  }

  hide(at) {
    this.#clock.hide(at);
  }

  /** A key that was meant for something else must not answer an image that has just come back. */
  show(at) {
    if (!this.#clock.isHidden) return;
    this.#clock.show(at);
    this.#armedAt = Math.max(this.#armedAt, at + ARMED_AFTER_MS);
  }

  note(at) {
    this.#clock.note(at);
  }

  #answer() {
    this.#end({ kind: "answer", response: this.#response });
  }
}
