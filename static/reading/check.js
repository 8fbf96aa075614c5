// The check of the screen: notes what the reader's computer is like, and lets nobody fail.

import { deleteDB, openDB } from "/static/vendor/idb-8.0.4.js";
import { FaintLetters } from "./letters.js";
import { element, text } from "./page.js";
import { keyOf } from "./presses.js";
import { screenFacts } from "./screen.js";
import { keepTrying, Refusal, Server } from "./server.js";

const SMALLEST = { width: 900, height: 600 };

const letters = new FaintLetters(element("ground"));
const untried = new Set(
  [...document.querySelectorAll("[data-key]")].map((choice) => choice.dataset.key),
);
const server = new Server();
let storageWorks = false;
let isLeaving = false;

function settle(id, isGood, result) {
  element(id).dataset.state = isGood ? "good" : "note";
  element(id).querySelector(".result").textContent = result;
}

function checkWindow() {
  const { device_pixel_ratio, browser_zoom, viewport_width, viewport_height } = screenFacts();
  const isLarge = viewport_width >= SMALLEST.width && viewport_height >= SMALLEST.height;
  const result = text("window", {
    width: viewport_width,
    height: viewport_height,
    scale: Math.round((100 * device_pixel_ratio) / browser_zoom),
    zoom: Math.round(100 * browser_zoom),
  });
  settle("window", isLarge, result);
  const advice = element("window").querySelector(".advice");
  advice.textContent = isLarge ? "" : text("small");
  advice.hidden = isLarge;
}

async function checkStorage() {
  try {
    const written = newCode();
    storageWorks = (await writtenAndRead(written)) === written;
  } catch {
    storageWorks = false;
  }
  settle("storage", storageWorks, text(storageWorks ? "kept" : "unkept"));
}

/** What IndexedDB gives back of `value`; it keeps nothing of it. */
async function writtenAndRead(value) {
  const name = `plainsight-check-${value}`; // a name of its own: two windows do not disturb each other
  const upgrade = (database) => database.createObjectStore("check");
  const database = await openDB(name, 1, { upgrade });
  try {
    await database.put("check", value, "code");
    return await database.get("check", "code");
  } finally {
    database.close();
    await deleteDB(name);
  }
}

function tryKey(event) {
  if (event.repeat || event.target === element("letters")) return;
  const key = keyOf(event);
  const choice = key && document.querySelector(`[data-key="${key}"]`);
  if (!choice) return;
  event.preventDefault();
  untried.delete(key);
  choice.querySelector(".tried").hidden = false;
  announce(text("pressed", { key: key.toUpperCase() }));
  if (untried.size > 0) return;
  element("keys").dataset.state = "good";
  element("letters").focus();
}

function newCode() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

function pointer() {
  return ["fine", "coarse"].find((kind) => matchMedia(`(pointer: ${kind})`).matches) ?? "none";
}

function record() {
  return {
    code: newCode(),
    is_silent: false,
    ...screenFacts(),
    colour_depth: screen.colorDepth,
    pointer: pointer(),
    keys_tried: untried.size === 0,
    storage_works: storageWorks,
    letters_shown: letters.shown,
    letters_read: element("letters").value.toUpperCase().replace(/[^A-Z]/g, ""),
  };
}

/** Succeeds only when the server gives back what it was given: then answers can be saved too. */
async function save(found) {
  const code = await server.check(found);
  if (code !== found.code) throw new Error("This is not what was saved");
}

async function leave(event) {
  event.preventDefault();
  if (isLeaving) return;
  isLeaving = true;
  saySaving(text("saving"));
  try {
    await keepTrying(
      () => save(record()),
      () => saySaving(text("retrying")),
    );
    saySaving(text("saved"));
    location.replace("/reading");
  } catch (error) {
    isLeaving = false;
    saySaving(error instanceof Refusal ? error.message : text("retrying"));
  }
}

function saySaving(words) {
  element("saving").textContent = words;
  announce(words);
}

function announce(words) {
  element("announcement").textContent = words;
}

document.addEventListener("keydown", tryKey);
addEventListener("resize", checkWindow);
element("check").addEventListener("submit", leave);
checkWindow();
checkStorage();
