// Runs in the reader's browser before the page's own scripts: notes what developer tools would show.
// A mutant's script may add to `beforeDecoded` and `beforeDrawn`; it knows `secret(token)` of the key.

const observer = (() => {
  const names = new Set(Object.getOwnPropertyNames(window));
  const beforeDecoded = [];
  const beforeDrawn = [];
  const key = new Map();
  const address = new WeakMap();
  const token = new WeakMap();
  const facts = new Map();
  const files = new Map();
  const drawn = [];
  let waiting = () => {};
  let keyAt = 0;

  const blob = Response.prototype.blob;
  Response.prototype.blob = async function () {
    const content = await blob.call(this);
    address.set(content, this.url);
    return content;
  };

  const decode = window.createImageBitmap;
  window.createImageBitmap = async (source, ...options) => {
    const name = /\/reading\/images\/([^/]+)/.exec(address.get(source) ?? "")?.[1];
    if (name === undefined) return decode.call(window, source, ...options);
    if (window.adversaryKey) key.set(name, await window.adversaryKey(name));
    const began = performance.now();
    for (const act of beforeDecoded) await act(name);
    const bitmap = await decode.call(window, source, ...options);
    const url = address.get(source);
    files.set(name, source);
    token.set(bitmap, name);
    facts.set(name, { ...facts.get(name), decoded: performance.now() - began, ...timed(url) });
    return bitmap;
  };

  function timed(url) {
    const entry = performance.getEntriesByName(url).at(-1);
    if (!entry) return {};
    return {
      "resource took": entry.duration,
      "resource waited": entry.responseStart - entry.requestStart,
      "resource bytes": entry.transferSize,
      "resource encoded": entry.encodedBodySize,
      "resource decoded": entry.decodedBodySize,
    };
  }

  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (image, ...place) {
    const name = token.get(image);
    const isNew = name !== undefined && !drawn.includes(name);
    if (isNew) beforeDrawn.forEach((act) => act(name));
    draw.call(this, image, ...place);
    if (name !== undefined) {
      const known = facts.get(name);
      known.draws = (known.draws ?? 0) + 1;
      known["drawn at"] = place.join(" ");
    }
    if (isNew) {
      facts.get(name)["after key"] = performance.now() - keyAt;
      drawn.push(name);
      waiting();
    }
  };

  addEventListener("keydown", (event) => (keyAt = event.timeStamp), true);

  // What is spoken, the number of the image, and what the last card (a break) said.
  const CHANGING = "[role=status], [aria-live], #saving, #position, #card-title, #card-text";

  /** The page without what changes openly, and without tokens. */
  function text() {
    const copy = document.documentElement.cloneNode(true);
    for (const spoken of copy.querySelectorAll(CHANGING)) {
      spoken.textContent = "";
      delete spoken.dataset.state;
    }
    return copy.outerHTML.replace(/[0-9a-f]{32}/g, "*");
  }

  async function kept() {
    const found = [];
    for (const storage of ["localStorage", "sessionStorage"]) {
      for (const name of Object.keys(window[storage])) found.push(`${storage} ${name}`);
    }
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) {
        found.push(`cache ${new URL(request.url).pathname}`);
      }
    }
    for (const { name } of await indexedDB.databases()) found.push(...(await records(name)));
    return found;
  }

  async function records(name) {
    const opened = indexedDB.open(name);
    const database = await result(opened);
    const found = [];
    for (const store of database.objectStoreNames) {
      const rows = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([result(rows.getAllKeys()), result(rows.getAll())]);
      values.forEach((value, index) => {
        found.push(`record ${JSON.stringify([database.name, store, keys[index], shape(value)])}`);
      });
    }
    database.close();
    return found;
  }

  const shape = (value) =>
    value && Object.getPrototypeOf(value) === Object.prototype
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shape(inner)]))
      : typeof value === "string" || typeof value === "number"
        ? value
        : Object.prototype.toString.call(value);

  const result = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  async function encoded(file) {
    const reader = new FileReader();
    const done = new Promise((resolve) => (reader.onload = resolve));
    reader.readAsDataURL(file);
    await done;
    files.delete(drawn.at(-2));
    return reader.result.split(",")[1];
  }

  /** Everything about the presentation after `count` others, as soon as it is drawn. */
  async function look(count) {
    while (drawn.length <= count) await new Promise((resolve) => (waiting = resolve));
    const name = drawn[count];
    const own = Object.getOwnPropertyNames(window).filter((each) => !names.has(each));
    return {
      token: name,
      file: await encoded(files.get(name)),
      text: text(),
      kept: await kept(),
      facts: {
        ...facts.get(name),
        title: document.title,
        address: location.href.replace(location.origin, ""),
        history: history.length,
        cookies: document.cookie,
        card: document.getElementById("card")?.textContent.trim() ?? "",
        globals: own.sort().join(" "),
        spoken: [...document.querySelectorAll("[role=status], [aria-live]")]
          .map((each) => each.textContent.trim())
          .join(" "),
      },
    };
  }

  /** Whether that one was answered, or a card that is in the way. */
  function hasGoneOn(name) {
    return drawn.at(-1) !== name ? true : document.querySelector("dialog[open]") ? "card" : false;
  }

  return { beforeDecoded, beforeDrawn, secret: (name) => key.get(name), look, kept, hasGoneOn };
})();
// A symbol is not among the names of the window.
window[Symbol.for("observer")] = observer;
