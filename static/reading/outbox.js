// Keeps answers until the server has them, and sends them one after another in the order given.

import { keepTrying, postResponse } from "./server.js";

const CAPACITY = 3;

/** Emits "acknowledged" whenever one more answer is stored by the server. */
export class Outbox extends EventTarget {
  #unsent = 0;
  #last = Promise.resolve();
  #onState;
  #onWindow;
  #onRefusal;

  constructor({ onState, onWindow, onRefusal }) {
    super();
    this.#onState = onState;
    this.#onWindow = onWindow;
    this.#onRefusal = onRefusal;
  }

  get size() {
    return this.#unsent;
  }

  get isFull() {
    return this.#unsent >= CAPACITY;
  }

  add(response) {
    this.#unsent += 1;
    if (this.#unsent === 1) this.#onState("Saving");
    this.#last = this.#last.then(() => this.#send(response));
    this.#last.catch(this.#onRefusal);
  }

  async #send(response) {
    const window = await keepTrying(
      () => postResponse(response),
      () => this.#onState("Not saved yet, trying again"),
    );
    this.#unsent -= 1;
    this.#onState(this.#unsent === 0 ? "Saved" : "Saving");
    this.#onWindow(window);
    this.dispatchEvent(new Event("acknowledged"));
  }
}
