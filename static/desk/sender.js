const LONGEST_WAIT_MS = 15_000;
const SENT_TWICE = 409;
const TRANSIENT = new Set([408, 429]);

/** What the server said is wrong, one sentence each. */
export class Refused extends Error {
  /** @param {string[]} problems */
  constructor(problems) {
    super(problems.join(" "));
    this.problems = problems;
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** SHA-256, or null where the browser has none: on an address that is neither https nor local. */
async function digest(bytes) {
  return crypto.subtle ? new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)) : null;
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** Sends one file piece by piece, goes on after a dropped line, and where an earlier page ended. */
export class Sender {
  #file;
  #form;
  #report;
  #delivery = null;
  #pieceBytes = 0;

  /**
   * @param {Blob} file
   * @param {URLSearchParams} form what is announced
   * @param {{sent(done: number, total: number): void, waiting(): void}} report
   */
  constructor(file, form, report) {
    this.#file = file;
    this.#form = form;
    this.#report = report;
  }

  /** The address of the delivery's page, when all has arrived. */
  async send() {
    let here = await this.#announce();
    if (here.received_bytes > 0 && !(await this.#isOurs(here))) {
      await this.#ask(`/deliveries/${this.#delivery}/discard`, { method: "POST" });
      here = await this.#announce();
    }
    let offset = here.received_bytes;
    while (offset < this.#file.size) {
      this.#report.sent(offset, this.#file.size);
      offset = await this.#piece(offset);
    }
    this.#report.sent(offset, this.#file.size);
    return here.url;
  }

  async #announce() {
    const here = await this.#json("/deliveries", { method: "POST", body: this.#form });
    this.#delivery = here.delivery;
    this.#pieceBytes = here.piece_bytes;
    return here;
  }

  /** Whether what the server has already is the beginning of this very file. */
  async #isOurs(here) {
    const { digests } = await this.#json(this.#bytes(), {});
    let start = 0;
    for (const expected of digests) {
      const end = Math.min(start + this.#pieceBytes, here.received_bytes);
      const found = await digest(await this.#file.slice(start, end).arrayBuffer());
      if (found === null || hex(found) !== expected) {
        return false;
      }
      start = end;
    }
    return true;
  }

  /** Where the next piece begins. A piece that arrived, but not its answer, is not sent again. */
  async #piece(offset) {
    const bytes = await this.#read(offset);
    const found = await digest(bytes);
    const headers = found ? { "Content-Digest": `sha-256=:${base64(found)}:` } : {};
    const url = `${this.#bytes()}?offset=${offset}`;
    const answer = await this.#ask(url, { method: "PUT", body: bytes, headers });
    if (answer.status === SENT_TWICE) {
      const here = await this.#json(this.#bytes(), {});
      return here.state === "receiving" ? here.received_bytes : this.#file.size;
    }
    return (await this.#understood(answer)).received_bytes;
  }

  async #read(offset) {
    try {
      return await this.#file.slice(offset, offset + this.#pieceBytes).arrayBuffer();
    } catch {
      throw new Refused(["The file can no longer be read; choose it again."]);
    }
  }

  #bytes() {
    return `/deliveries/${this.#delivery}/bytes`;
  }

  async #json(url, options) {
    return this.#understood(await this.#ask(url, options));
  }

  async #understood(answer) {
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new Refused(said.problems ?? [said.message ?? "The server refused this."]);
    }
    return said;
  }

  /** Until there is an answer that will not change by itself. */
  async #ask(url, options) {
    const headers = { Accept: "application/json", ...options.headers };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await fetch(url, { ...options, headers });
        if (answer.status < 500 && !TRANSIENT.has(answer.status)) {
          return answer;
        }
      } catch {
        // The line is down.
      }
      this.#report.waiting();
      await sleep(Math.min(LONGEST_WAIT_MS, 500 * 2 ** attempt));
    }
  }
}
