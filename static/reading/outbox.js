// Keeps what the reader did until the server has it, and sends it strictly in its order.

import { Closed, keepTrying, Refusal } from "./server.js";
import { imageFirst } from "./waiting.js";

/** Emits "acknowledged" whenever the server has one more item. */
export class Outbox extends EventTarget {
  #server;
  #queue;
  #items = [];
  #isSending = false;
  #isFailing = false;
  #onState;
  #onWindow;
  #onClosed;

  constructor({ server, queue, onState, onWindow, onClosed }) {
    super();
    this.#server = server;
    this.#queue = queue;
    this.#onState = onState;
    this.#onWindow = onWindow;
    this.#onClosed = onClosed;
  }

  get isEmpty() {
    return this.#items.length === 0;
  }

  /** Whether closing this window now would lose nothing. */
  get isDurable() {
    return this.#items.every((item) => item.isDurable);
  }

  /** Takes over what an earlier visit could not send. */
  async load() {
    for (const { kind, body, key } of await this.#queue.open()) {
      this.#items.push({ kind, body, key, isDurable: true, settle: () => {} });
    }
    if (!this.isEmpty) this.#start();
  }

  /** A promise of the window that the server answered, or null when it did not want the item. */
  add(kind, body) {
    return new Promise((settle) => {
      const item = { kind, body, settle, isDurable: false };
      item.key = this.#queue.add(kind, body).then((key) => {
        item.isDurable = key !== null;
        if (this.#isFailing) this.#report();
        return key;
      });
      this.#items.push(item);
      this.#start();
    });
  }

  /** Resolves when the server has everything. */
  async emptied() {
    while (!this.isEmpty) {
      await new Promise((go) => this.addEventListener("acknowledged", go, { once: true }));
    }
  }

  #start() {
    this.#report();
    if (!this.#isSending) this.#sendAll().catch(this.#onClosed);
  }

  async #sendAll() {
    this.#isSending = true;
    try {
      await imageFirst();
      while (!this.isEmpty) await this.#sendFirst();
    } finally {
      this.#isSending = false;
    }
  }

  async #sendFirst() {
    const [item] = this.#items;
    const { window, isWanted } = await this.#deliver(item);
    this.#items.shift();
    Promise.resolve(item.key).then((key) => key !== null && this.#queue.remove(key));
    this.#isFailing = false;
    this.#report();
    this.#onWindow(window);
    item.settle(isWanted ? window : null);
    this.dispatchEvent(new Event("acknowledged"));
  }

  async #deliver({ kind, body }) {
    const onFailure = () => {
      this.#isFailing = true;
      this.#report();
    };
    try {
      return { window: await keepTrying(() => this.#server.send(kind, body), onFailure), isWanted: true };
    } catch (error) {
      if (error instanceof Closed || !(error instanceof Refusal)) throw error;
      // Answered already, or not due: what holds now, the server says.
      return { window: await keepTrying(() => this.#server.window(), onFailure), isWanted: false };
    }
  }

  #report() {
    const answers = this.#items.filter(({ kind }) => kind === "response").length;
    const name = this.isEmpty ? "saved" : this.#isFailing ? "offline" : "saving";
    this.#onState({ name, answers, isDurable: this.isDurable });
  }
}
