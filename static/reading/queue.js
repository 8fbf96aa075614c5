// What this computer keeps until the server has it: through reload, crash and closed laptop.
// A record is {queue, kind, body}: the token, the answer and its times. Never an image.

import { openDB } from "/static/vendor/idb-8.0.4.js";

const STORE = "unsent";

/** Where IndexedDB is not to be had, everything still works, but only memory keeps it. */
export class Queue {
  #name;
  #database = null;

  constructor(name) {
    this.#name = name;
  }

  /** The records that an earlier visit left behind, in their order. */
  async open() {
    try {
      this.#database = await openDB("plainsight", 1, {
        upgrade: (database) =>
          database.createObjectStore(STORE, { autoIncrement: true }).createIndex("queue", "queue"),
        terminated: () => (this.#database = null),
      });
      const { store } = this.#database.transaction(STORE);
      const [keys, records] = await Promise.all([
        store.index("queue").getAllKeys(this.#name),
        store.index("queue").getAll(this.#name),
      ]);
      return records.map(({ kind, body }, i) => ({ kind, body, key: keys[i] }));
    } catch {
      this.#database = null;
      return [];
    }
  }

  /** The key of the stored record once it is on the disk; null if it could not be stored. */
  async add(kind, body) {
    try {
      const transaction = this.#database.transaction(STORE, "readwrite", { durability: "strict" });
      const key = await transaction.store.add({ queue: this.#name, kind, body });
      await transaction.done;
      return key;
    } catch {
      return null;
    }
  }

  async remove(key) {
    // A record that stays is sent once more, which the server recognises.
    await this.#database?.delete(STORE, key).catch(() => {});
  }
}
