// One image, or the two of a pair, on their way from the server to the screen.

import { keepTrying } from "./server.js";

// The very numbers in the file: no colour management, no alpha arithmetic.
const EXACTLY = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** Fetched at most once and decoded at most once, until it is forgotten. */
export class Presentation {
  #paths;
  #blobs = null;
  #bitmaps = null;

  /** `attempt`: how often the answer to it was taken back. */
  constructor(token, attempt, isPair) {
    this.token = token;
    this.attempt = attempt;
    this.#paths = isPair ? [token, `${token}/right`] : [token];
  }

  get isFetched() {
    return this.#blobs !== null;
  }

  async fetch(server, onFailure) {
    this.#blobs ??= Promise.all(
      this.#paths.map((path) => keepTrying(() => server.image(path), onFailure)),
    );
    try {
      return await this.#blobs;
    } catch (error) {
      this.#blobs = null;
      throw error;
    }
  }

  async decode(server, onFailure) {
    this.#bitmaps ??= this.fetch(server, onFailure).then((blobs) =>
      Promise.all(blobs.map((blob) => createImageBitmap(blob, EXACTLY))),
    );
    try {
      return await this.#bitmaps;
    } catch (error) {
      this.#bitmaps = null;
      throw error;
    }
  }

  /** Frees the decoded image; the file stays until all is forgotten. */
  close() {
    this.#bitmaps?.then((bitmaps) => bitmaps.forEach((bitmap) => bitmap.close())).catch(() => {});
    this.#bitmaps = null;
  }

  forget() {
    this.close();
    this.#blobs = null;
  }
}
