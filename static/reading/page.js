// What the page says about itself, and all the words: scripts have none of their own.

const { texts, ...facts } = JSON.parse(document.getElementById("page").textContent);

/** part, total, undo, confidence, break_after_images, break_after_minutes, card. */
export const page = facts;

export const element = (id) => document.getElementById(id);

/** The text of that name, with what belongs in its {places}. */
export function text(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, place) => values[place]);
}
