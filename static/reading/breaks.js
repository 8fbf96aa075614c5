// When a break is due: after so many images or minutes since the last one. 0 means never.

const MINUTE_MS = 60_000;

export class Breaks {
  #images;
  #minutes;
  #read = 0;
  #since = performance.now();

  constructor({ break_after_images, break_after_minutes }) {
    this.#images = break_after_images || Infinity;
    this.#minutes = break_after_minutes || Infinity;
  }

  get isDue() {
    const minutes = (performance.now() - this.#since) / MINUTE_MS;
    return this.#read >= this.#images || (this.#read > 0 && minutes >= this.#minutes);
  }

  /** One more image is read. */
  count() {
    this.#read += 1;
  }

  /** The reader has just had a break. */
  restart() {
    this.#read = 0;
    this.#since = performance.now();
  }
}
