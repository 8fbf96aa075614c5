// The reading room: shows one image after another and never makes the reader wait for the network.
// Tokens live in memory only, and everything about an image is forgotten with its answer.

import { onAnswer } from "./answers.js";
import { PixelCanvas } from "./canvas.js";
import { ReadingClock } from "./clock.js";
import { Outbox } from "./outbox.js";
import { getImage, getWindow, keepTrying, Refusal } from "./server.js";

// Nobody judges tissue this fast: such a press was meant for the image before.
const ARMED_AFTER_MS = 150;

const element = (id) => document.getElementById(id);
const view = new PixelCanvas(element("image"));
const outbox = new Outbox({ onState: showSaving, onWindow: plan, onRefusal: stop });

const planned = new Set();
const upcoming = [];
let done = 0;
let reading = null;
let stopped = false;

async function run() {
  const laidOut = once(view, "resize");
  plan(await keepTrying(getWindow, sayNoConnection));
  await laidOut;
  for (let next = await nextImage(); next; next = await nextImage()) {
    const bitmap = await next.bitmap;
    if (stopped) return;
    showPosition(done + outbox.size + 1);
    view.show(bitmap);
    sayWhetherItFits();
    const response = { token: next.token, ...(await read()) };
    view.clear();
    outbox.add(response);
  }
  location.replace("/reading/done");
}

/** Takes in what the server says is next, and fetches and decodes each new image at once. */
function plan(window) {
  done = window.done;
  element("total").textContent = window.total;
  for (const token of window.tokens.filter((token) => !planned.has(token))) {
    planned.add(token);
    const bitmap = keepTrying(() => getImage(token), sayNoConnection);
    bitmap.catch(stop);
    upcoming.push({ token, bitmap });
  }
}

/** Nothing when every answer is stored and the server has named no further image. */
async function nextImage() {
  while (outbox.isFull || upcoming.length === 0) {
    if (outbox.size === 0) return undefined;
    say("One moment: your answers are being saved.");
    await once(outbox, "acknowledged");
  }
  return upcoming.shift();
}

/** Waits for the answer to the image on the screen, and describes how it was read. */
async function read() {
  const paintedAt = await painted();
  const clock = new ReadingClock(paintedAt);
  const { answer, at } = await new Promise((resolve) => {
    reading = { clock, resolve, armedAt: paintedAt + ARMED_AFTER_MS };
  });
  return {
    answer,
    ...clock.read(at),
    ...view.display,
    device_pixel_ratio: devicePixelRatio,
    viewport_width: innerWidth,
    viewport_height: innerHeight,
  };
}

/** The time of the frame after the one that drew the image: only then has it been put on the screen. */
async function painted() {
  for (;;) {
    await nextFrame();
    const at = await nextFrame();
    if (view.scale > 0) return at;
    await once(view, "resize");
  }
}

onAnswer((answer, at) => {
  if (reading === null || at < reading.armedAt || view.scale === 0) return;
  const { resolve } = reading;
  reading = null;
  resolve({ answer, at });
});

view.addEventListener("resize", (event) => {
  if (stopped || view.isEmpty) return;
  sayWhetherItFits();
  noteVisibility(event);
});
document.addEventListener("visibilitychange", noteVisibility);

function noteVisibility({ timeStamp }) {
  const isSeen = !document.hidden && view.scale > 0;
  if (isSeen) reading?.clock.show(timeStamp);
  else reading?.clock.hide(timeStamp);
}

addEventListener("beforeunload", (event) => {
  if (stopped || outbox.size === 0) return;
  event.preventDefault();
  // Browsers from before 2024 ask only when this is set.
  event.returnValue = true;
});

/** Ends the reading calmly: what the server said, and the way back. */
function stop(error) {
  if (stopped) return;
  stopped = true;
  reading = null;
  view.clear();
  showSaving("");
  say(error instanceof Refusal ? error.message : "Something went wrong. No saved answer is lost.");
  element("leave").hidden = false;
  element("leave").focus();
}

function sayNoConnection() {
  if (!stopped && view.isEmpty) say("No connection. Trying again.");
}

function sayWhetherItFits() {
  say(view.scale > 0 ? "" : "Please enlarge the window: the image does not fit.");
}

function say(message) {
  element("message").textContent = message;
  if (message) announce(message);
}

function showPosition(position) {
  element("position").textContent = position;
  announce(element("progress").textContent.trim());
}

function showSaving(state) {
  element("saving").textContent = state;
  if (state.startsWith("Not")) announce(state);
}

function announce(text) {
  element("announcement").textContent = text;
}

function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}

function nextFrame() {
  return new Promise(requestAnimationFrame);
}

run().catch(stop);
