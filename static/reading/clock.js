// Times one reading. All times are milliseconds on the clock of performance.now() and event.timeStamp.

// Who neither points, turns nor types for longer than this is counted as away.
const IDLE_AFTER_MS = 30_000;

export class ReadingClock {
  #startedAt;
  #activeAt;
  #hiddenSince = null;
  #hiddenFor = 0;
  #idleFor = 0;

  constructor(startedAt) {
    this.#startedAt = startedAt;
    this.#activeAt = startedAt;
  }

  get isHidden() {
    return this.#hiddenSince !== null;
  }

  hide(at) {
    this.note(at);
    this.#hiddenSince ??= Math.max(at, this.#startedAt);
  }

  show(at) {
    if (!this.isHidden) return;
    this.#hiddenFor += Math.max(0, at - this.#hiddenSince);
    this.#hiddenSince = null;
    this.#activeAt = Math.max(at, this.#activeAt);
  }

  /** The reader did something. */
  note(at) {
    if (this.isHidden) return;
    this.#idleFor += Math.max(0, at - this.#activeAt - IDLE_AFTER_MS);
    this.#activeAt = Math.max(this.#activeAt, at);
  }

  /** Time spent looking, apart from the time without image and the time without reader. */
  read(at) {
    this.note(at);
    return {
      reading_time_ms: Math.round(at - this.#startedAt - this.#hiddenFor - this.#idleFor),
      hidden_ms: Math.round(this.#hiddenFor),
      idle_ms: Math.round(this.#idleFor),
    };
  }
}
