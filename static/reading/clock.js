// Times one reading. All times are milliseconds on the clock of performance.now() and event.timeStamp.

export class ReadingClock {
  #startedAt;
  #hiddenSince = null;
  #hiddenFor = 0;

  constructor(startedAt) {
    this.#startedAt = startedAt;
  }

  hide(at) {
    this.#hiddenSince ??= at;
  }

  show(at) {
    if (this.#hiddenSince === null) return;
    this.#hiddenFor += at - this.#hiddenSince;
    this.#hiddenSince = null;
  }

  /** Time spent looking, without the time in which the image could not be seen. */
  read(at) {
    return {
      reading_time_ms: Math.round(at - this.#startedAt - this.#hiddenFor),
      hidden_ms: Math.round(this.#hiddenFor),
    };
  }
}
