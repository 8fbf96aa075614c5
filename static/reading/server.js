// The three calls the reading room makes, and which of their failures are worth another attempt.

const TIMEOUT_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
// Servers and proxies also say "later" with these two, which are no verdict on the request.
const TRY_AGAIN = [408, 429];

/** The server understood and said no. Asking again would not help; its message is for the reader. */
export class Refusal extends Error {}

/** Repeats an attempt until it succeeds or the server refuses, with growing pauses in between. */
export async function keepTrying(attempt, onFailure) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Refusal) throw error;
      onFailure();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

export async function getWindow() {
  return readWindow(await request("/reading/window"));
}

export async function postResponse(response) {
  const body = JSON.stringify(response);
  const headers = { "Content-Type": "application/json" };
  return readWindow(await request("/reading/responses", { method: "POST", headers, body }));
}

/** The image, decoded to the very numbers in the file: no colour management, no alpha arithmetic. */
export async function getImage(token) {
  const response = await request(`/reading/images/${token}`);
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  return createImageBitmap(await response.blob(), options);
}

async function request(url, options = {}) {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(url, { ...options, signal, cache: "no-store", redirect: "error" });
  if (response.ok) return response;
  if (response.status >= 500 || TRY_AGAIN.includes(response.status)) {
    throw new Error(`The server answered ${response.status}`);
  }
  const { message } = await response.json().catch(() => ({}));
  throw new Refusal(message ?? "The server did not accept this.");
}

async function readWindow(response) {
  const window = await response.json();
  // A hospital's login portal also answers 200; only the study server's own words mean "stored".
  if (!Array.isArray(window.tokens)) throw new Error("This is not the study server");
  return window;
}
