// One place to read in: a newer window of the same browser parks this one at once.

/** Calls onElsewhere() when the reader goes on in another window of this browser. */
export function takePlace(queue, onElsewhere) {
  const channel = new BroadcastChannel(`plainsight-${queue}`);
  channel.postMessage("taken");
  channel.addEventListener("message", onElsewhere);
}

/** Asks before the window is closed while that would lose something. */
export function warnBeforeLoss(wouldLose) {
  addEventListener("beforeunload", (event) => {
    if (!wouldLose()) return;
    event.preventDefault();
    // Browsers from before 2024 ask only when this is set.
    event.returnValue = true;
  });
}

/** A page out of the back-forward cache knows a visit that is over. */
export function startAnewWhenBack() {
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}
