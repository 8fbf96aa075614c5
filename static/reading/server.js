// The calls the reading room makes, and which of their failures are worth another attempt.

const TIMEOUT_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const URLS = {
  response: "/reading/responses",
  undo: "/reading/undo",
  problem: "/reading/problems",
  display: "/reading/display",
};
// Servers and proxies also say "later" with these two, which are no verdict on the request.
const TRY_AGAIN = [408, 429];
// Nobody is known here, or somebody may not go on here any more.
const CLOSED = [401, 403];

/** The study server understood and said no. Its message is for the reader. */
export class Refusal extends Error {}

/** The reading cannot go on in this window. */
export class Closed extends Refusal {}

/** Repeats an attempt until it succeeds or the server refuses, with growing pauses in between. */
export async function keepTrying(attempt, onFailure = () => {}) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Refusal) throw error;
      onFailure();
      await waitForBetterTimes(pause);
    }
  }
}

/** The pauses differ a little, so that a ward of readers does not come back all at once. */
function waitForBetterTimes(pause) {
  return new Promise((resolve) => {
    const go = () => {
      removeEventListener("online", go);
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(go, pause * (0.75 + Math.random() / 2));
    addEventListener("online", go);
  });
}

/** One visit to the study server; the server hears only the newest visit of a reader. */
export class Server {
  #visit = "";

  /** Takes the reader's one place: from now on other windows are refused. */
  async arrive() {
    const arrival = await this.#window("/reading/arrive", { method: "POST" });
    this.#visit = arrival.visit;
    return arrival;
  }

  window() {
    return this.#window("/reading/window");
  }

  /** Answered with the window after it. */
  send(kind, body) {
    return this.#window(URLS[kind], post(body));
  }

  async image(path) {
    const response = await this.#request(`/reading/images/${path}`);
    const blob = await response.blob();
    if (!blob.type.startsWith("image/")) throw new Error("This is not the study server");
    return blob;
  }

  /** Stores what the check of the screen found, and asks for the code that is stored now. */
  async check(found) {
    await this.#request("/reading/check", post(found));
    const stored = await this.#request("/reading/check/saved");
    return (await stored.json()).code;
  }

  async #window(url, options) {
    const response = await this.#request(url, options);
    const window = await response.json();
    // A hospital's login portal also answers 200; only the study server's own words mean "stored".
    if (!Array.isArray(window.tokens)) throw new Error("This is not the study server");
    return window;
  }

  async #request(url, { headers = {}, ...options } = {}) {
    const response = await fetch(url, {
      ...options,
      headers: { Accept: "*/*", ...headers, "Plainsight-Visit": this.#visit },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      cache: "no-store",
      redirect: "error",
    });
    if (!response.ok) await refuse(response);
    return response;
  }
}

function post(body) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

/** Whatever is not the study server's own "no" may pass: a proxy's page, a server that restarts. */
async function refuse(response) {
  const { status } = response;
  const { message } = await response.json().catch(() => ({}));
  if (status >= 500 || TRY_AGAIN.includes(status) || typeof message !== "string") {
    throw new Error(`The server answered ${status}`);
  }
  throw new (CLOSED.includes(status) ? Closed : Refusal)(message);
}
