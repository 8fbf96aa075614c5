// Turns deliberate key presses and clicks into presses of the buttons that the page shows.

/**
 * Calls handle(button, at) with the time of the event itself, not of its late arrival here.
 * A button is pressed with the key in its data-key; while a dialog is open only those in it.
 */
export function onPress(handle) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat) {
      // A held Enter would otherwise click a focused button again and again.
      if (event.key === "Enter") event.preventDefault();
      return;
    }
    press(buttonFor(keyOf(event)), event);
  });
  document.addEventListener("click", (event) => {
    // The second click of a double click is meant for the image before.
    if (event.detail <= 1) press(event.target.closest("button[data-key]"), event);
  });

  function press(button, { timeStamp }) {
    if (button && button.getAttribute("aria-disabled") !== "true") handle(button, timeStamp);
  }
}

function buttonFor(key) {
  if (key === null) return null;
  const dialog = document.querySelector("dialog[open]");
  const buttons = [...document.querySelectorAll("button[data-key]")];
  return buttons.find((button) => button.dataset.key === key && button.closest("dialog") === dialog);
}

/** The letter, digit or sign on the key, or null where the press means something else. */
export function keyOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.getModifierState("AltGraph")) return null;
  const { key, shiftKey } = event;
  if (key === "=") return "+";
  // On some keyboards the digits and the plus are reached with Shift only.
  if (/^[0-9+-]$/.test(key)) return key;
  if (shiftKey) return null;
  return /^[a-z]$/i.test(key) ? key.toLowerCase() : placeOf(event);
}

/** Where a layout has no Latin letters, the place of the key. */
function placeOf({ code }) {
  const [, name] = /^(?:Key|Digit|Numpad)([A-Z0-9])$/.exec(code) ?? [];
  return name?.toLowerCase() ?? null;
}
