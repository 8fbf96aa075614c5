// The reading room: shows one image after another and never makes the reader wait for the network.

import { Breaks } from "./breaks.js";
import { askForProblem, cards, closeCard, isCardOpen, showCard, showFeedback } from "./cards.js";
import { watchDisplay } from "./display.js";
import { followGestures } from "./gestures.js";
import { Order } from "./order.js";
import { Outbox } from "./outbox.js";
import { element, page, text } from "./page.js";
import { startAnewWhenBack, takePlace, warnBeforeLoss } from "./place.js";
import { onPress } from "./presses.js";
import { Queue } from "./queue.js";
import { Reading } from "./reading.js";
import { Closed, keepTrying, Refusal, Server } from "./server.js";
import { say, showChoice, showEnd, showMayUndo, showPosition, showSaving, showZoom } from "./status.js";
import { View } from "./view.js";
import { aMoment, once, patiently } from "./waiting.js";

const server = new Server();
const view = new View(document.querySelectorAll("canvas"));
const breaks = new Breaks(page);
const order = new Order({
  server,
  total: page.total,
  rule: page.undo,
  isPair: page.part === "pairs",
  onFailure: sayNoConnection,
  onClosed: stop,
});
let outbox = null;
let reading = null;
let isStopped = false;

async function run() {
  const arrival = await patiently(keepTrying(() => server.arrive(), sayNoConnection));
  takePlace(arrival.queue, () => stop(new Closed(text("elsewhere"))));
  const queue = new Queue(arrival.queue);
  outbox = new Outbox({ server, queue, onState, onWindow: follow, onClosed: stop });
  await outbox.load();
  if (outbox.isEmpty) follow(arrival);
  else await patiently(outbox.emptied());
  watchDisplay((record) => keepTrying(() => server.send("display", record)).catch(stopIfClosed));
  while (!view.isLaidOut) await once(view, "resize");
  if (page.card && order.place === 0) await showCard(text("begin_title"), text("begin"));
  while (!isStopped && !order.isFinished) await readNext();
  await patiently(outbox.emptied());
  if (!isStopped) location.replace("/reading");
}

/** From an image that is ready to its answer on the way. */
async function readNext() {
  const { present } = order;
  const bitmaps = await patiently(decoded(present));
  if (bitmaps === null) await askAnew();
  if (breaks.isDue) await haveBreak("break");
  if (isStopped || bitmaps === null || present !== order.present) return;

  showPosition(order.place + 1);
  view.show(bitmaps);
  sayWhetherItFits();
  const paintedAt = await view.painted();
  if (isStopped || present !== order.present) return;
  reading = new Reading({ paintedAt, describe: () => view.display });
  noteVisibility(paintedAt);
  const { kind, response } = await reading.outcome;
  reading = null;
  view.clear();
  showChoice(null);
  if (kind === "answer") await keep(present, response);
  if (kind === "undo") await takeBack();
}

/** Null when there is no image, or the server does not give this one now. */
async function decoded(presentation) {
  try {
    return presentation ? await order.decode() : null;
  } catch (error) {
    if (error instanceof Closed || !(error instanceof Refusal)) throw error;
    return null;
  }
}

async function askAnew() {
  await patiently(Promise.all([outbox.emptied(), aMoment()]));
  if (order.isFinished) return;
  follow(await keepTrying(() => server.window(), sayNoConnection));
  if (!order.present && !order.isFinished) throw new Closed(text("failed"));
}

async function keep({ token, attempt }, response) {
  order.advance();
  showMayUndo(order.mayUndo);
  breaks.count();
  const sent = outbox.add("response", { token, attempt, ...response });
  // What is learnt in practice is learnt before the next image.
  const window = page.part === "practice" ? await patiently(sent) : null;
  if (window?.feedback && !isStopped) await showFeedback(response.answer, window.feedback);
}

async function takeBack() {
  outbox.add("undo", order.goBack());
  showMayUndo(order.mayUndo);
  if (!order.present.isFetched) await patiently(outbox.emptied());
}

function follow(window) {
  if (order.follow(window, outbox.isEmpty)) reading?.end("moved");
  showMayUndo(order.mayUndo);
}

async function haveBreak(name) {
  await showCard(text(`${name}_title`), text(name));
  breaks.restart();
}

// What the reader does

const acts = {
  undo(_, at) {
    if (reading?.chosen) unchoose();
    else if (reading?.isArmed(at) && order.mayUndo) reading.end("undo");
  },
  pause: () => haveBreak("pause"),
  close: ({ value }) => closeCard(value),
  "zoom-in": () => view.zoomTo(view.zoom + 1),
  "zoom-out": () => view.zoomTo(view.zoom - 1),
  "zoom-reset": () => view.zoomTo(1),
  async problem() {
    if (reading === null) return;
    const { token } = order.present;
    const kind = await askForProblem();
    if (kind) outbox.add("problem", { token, kind });
  },
};

onPress((button, at) => {
  const { act, answer, asksConfidence, confidence } = button.dataset;
  if (isStopped) return;
  if (act) acts[act](button, at);
  else if (!reading?.isArmed(at) || view.scale === 0) return;
  else if (answer) choose(answer, at, asksConfidence !== undefined);
  else reading.rate(Number(confidence));
});

document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !isCardOpen()) unchoose();
});

function choose(answer, at, asksConfidence) {
  if (asksConfidence) showChoice(answer);
  reading.choose(answer, at, asksConfidence);
}

function unchoose() {
  reading?.unchoose();
  showChoice(null);
}

followGestures(element("stage"), view, () => reading !== null && !isCardOpen());
view.addEventListener("zoom", () => showZoom(view.zoom));

// When the image is seen

view.addEventListener("resize", ({ timeStamp }) => {
  if (isStopped || view.isEmpty) return;
  sayWhetherItFits();
  noteVisibility(timeStamp);
});
document.addEventListener("visibilitychange", ({ timeStamp }) => noteVisibility(timeStamp));
cards.addEventListener("change", ({ timeStamp }) => noteVisibility(timeStamp));
for (const type of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  const note = ({ timeStamp }) => reading?.note(timeStamp);
  addEventListener(type, note, { capture: true, passive: true });
}

function noteVisibility(at) {
  const isUncovered = !document.hidden && !isCardOpen();
  view.cover(!isUncovered);
  if (isUncovered && view.scale > 0) reading?.show(at);
  else reading?.hide(at);
}

warnBeforeLoss(() => outbox !== null && !outbox.isDurable);
startAnewWhenBack();

// What is said

/** Ends the reading in this window calmly. */
function stop(error) {
  if (isStopped) return;
  isStopped = true;
  reading = null;
  view.clear();
  closeCard();
  // Nothing is wanted here any more: the server knows the page where the reader is now.
  if (error instanceof Refusal && !(error instanceof Closed)) location.replace("/reading");
  // Who only reads elsewhere can take the place again; a closed study or a withdrawn link is an end.
  const mayGoOn = !(error instanceof Closed) || error.message.startsWith(text("elsewhere"));
  showEnd(error instanceof Refusal ? error.message : text("failed"), mayGoOn);
}

function stopIfClosed(error) {
  if (error instanceof Closed) stop(error);
}

function onState(state) {
  showSaving(state);
  if (state.name === "offline") sayNoConnection();
}

function sayNoConnection() {
  if (!isStopped && view.isEmpty) say(text("no_connection"));
}

function sayWhetherItFits() {
  say(view.scale > 0 ? "" : text("too_small"));
}

run().catch(stop);
