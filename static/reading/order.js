// The order of the presentations, as far as the server has named it, and what is fetched ahead.
// Tokens live in memory only, and everything about an image is forgotten soon after its answer.

import { Presentation } from "./presentation.js";
import { Closed } from "./server.js";
import { imageFirst } from "./waiting.js";

const DECODED_AHEAD = 2;
const FETCHED_AT_ONCE = 3;

export class Order {
  #server;
  #rule;
  #isPair;
  #total;
  #place = 0;
  #known = [];
  #undoable = null;
  #fetching = 0;
  #onFailure;
  #onClosed;

  /** `rule`: which answers may be taken back: "none", "one" or "all". */
  constructor({ server, total, rule, isPair, onFailure, onClosed }) {
    this.#server = server;
    this.#total = total;
    this.#rule = rule;
    this.#isPair = isPair;
    this.#onFailure = onFailure;
    this.#onClosed = onClosed;
  }

  /** How many were answered before the present one. */
  get place() {
    return this.#place;
  }

  get total() {
    return this.#total;
  }

  get isFinished() {
    return this.#place >= this.#total;
  }

  /** Undefined while the server has not named it. */
  get present() {
    return this.#known[this.#place];
  }

  get mayUndo() {
    return this.#undoable !== null;
  }

  /**
   * Takes in what the server says. It is behind us by what it has not got yet; when it has
   * everything, its place is the place. Tells whether the place has moved.
   */
  follow({ done, total, tokens, attempts = [], undoable = null }, hasEverything) {
    // The next part of the study has a page of its own.
    if (total !== this.#total) return false;
    tokens.forEach((token, i) => {
      const attempt = attempts[i] ?? 0;
      const known = (this.#known[done + i] ??= new Presentation(token, attempt, this.#isPair));
      known.attempt = Math.max(known.attempt, attempt);
    });
    const hasMoved = hasEverything && done !== this.#place;
    if (hasEverything) {
      this.#undoable = undoable;
      this.#moveTo(done);
    }
    this.#prepare();
    return hasMoved;
  }

  /** The present one is answered. */
  advance() {
    const { token, attempt } = this.present;
    this.#undoable = this.#rule === "none" ? null : { token, attempt };
    this.#moveTo(this.#place + 1);
    imageFirst().then(() => this.#prepare());
  }

  /**
   * Goes back to the last answer, and names the answer that no longer stands. Its image is not
   * asked for here: if it is gone, the server gives it again only once it knows of this.
   */
  goBack() {
    const undone = this.#undoable;
    const place = this.#place - 1;
    const back = (this.#known[place] ??= new Presentation(undone.token, 0, this.#isPair));
    back.attempt = undone.attempt + 1;
    const before = this.#rule === "all" ? this.#known[place - 1] : undefined;
    this.#undoable = before ? { token: before.token, attempt: before.attempt } : null;
    this.#moveTo(place);
    return undone;
  }

  /** The decoded images of the present one. */
  decode() {
    return this.#decode(this.present);
  }

  #moveTo(place) {
    this.#place = place;
    const kept = this.#rule === "none" ? place : place - 1;
    this.#known.forEach((presentation, i) => {
      if (i < kept) presentation.forget();
      else if (i < place || i > place + DECODED_AHEAD) presentation.close();
    });
  }

  /** Fetches what the server has named, first things first, and decodes the next few. */
  #prepare() {
    const ahead = this.#known.slice(this.#place).filter(Boolean);
    for (const presentation of ahead) {
      if (this.#fetching < FETCHED_AT_ONCE && !presentation.isFetched) this.#fetch(presentation);
    }
    for (const presentation of ahead.slice(0, DECODED_AHEAD + 1)) {
      if (presentation.isFetched) this.#decode(presentation).catch(() => {});
    }
  }

  #fetch(presentation) {
    this.#fetching += 1;
    presentation
      .fetch(this.#server, this.#onFailure)
      .finally(() => (this.#fetching -= 1))
      .then(() => this.#prepare())
      // One that is not due any more is asked for again when the server names it again.
      .catch((error) => error instanceof Closed && this.#onClosed(error));
  }

  #decode(presentation) {
    return presentation.decode(this.#server, this.#onFailure);
  }
}
