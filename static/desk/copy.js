/** A button that copies the text of another element; without scripts it is not there. */
class Copier {
  #button;
  #source;
  #status;

  /** @param {HTMLButtonElement} button */
  constructor(button) {
    this.#button = button;
    this.#source = document.getElementById(button.dataset.copies);
    this.#status = document.getElementById(button.dataset.status);
    button.addEventListener("click", () => this.copy());
    button.hidden = false;
  }

  async copy() {
    const text = this.#source.value ?? this.#source.textContent;
    try {
      await navigator.clipboard.writeText(text.trim());
      this.#status.textContent = `${this.#button.dataset.what} is copied.`;
    } catch {
      this.select();
      this.#status.textContent = "Press Ctrl and C (or Command and C) to copy what is marked.";
    }
  }

  /** Where the clipboard is closed to scripts: on plain http, or by the browser's settings. */
  select() {
    if (this.#source.select) {
      this.#source.select();
    } else {
      getSelection().selectAllChildren(this.#source);
    }
  }
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  new Copier(button);
}
