/** The upload forms: folders and drag and drop, pieces and progress. Without it they are plain. */

import { choiceOf, dropped, sizeOf, wrongIn } from "./chosen.js";
import { Refused, Sender } from "./sender.js";
import { zipOf } from "./zip.js";

const MIB = 1024 * 1024;
/** One field: a zip is chosen, or a folder, or either is dropped on it. */
class Picker {
  /** @type {import("./chosen.js").Choice | null} */
  choice = null;
  /** What is wrong with what was chosen last. */
  wrong = "";
  #zip;
  #folder;
  #said;

  #kind;

  /**
   * @param {HTMLElement} element
   * @param {string} kind what is delivered
   */
  constructor(element, kind) {
    this.#kind = kind;
    this.side = element.dataset.side;
    this.label = element.querySelector("label").textContent.trim();
    this.#zip = element.querySelector("input:not([webkitdirectory])");
    this.#folder = element.querySelector("input[webkitdirectory]");
    this.#said = element.querySelector("output");
    this.#said.value = "";
    this.#zip.required = false;
    for (const hidden of element.querySelectorAll("[hidden]")) {
      hidden.hidden = false;
    }
    element.dataset.state = "ready";
    this.#zip.addEventListener("change", () => this.#chosen(this.#zip, this.#folder));
    this.#folder.addEventListener("change", () => this.#chosen(this.#folder, this.#zip));
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.dataset.state = "over";
    });
    element.addEventListener("dragleave", () => {
      element.dataset.state = "ready";
    });
    element.addEventListener("drop", async (event) => {
      event.preventDefault();
      element.dataset.state = "ready";
      const items = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry());
      const plain = [...event.dataTransfer.files].map((file) => ({ file, path: file.name }));
      const found = await Promise.all(items.filter(Boolean).map((item) => dropped(item)));
      this.#zip.value = "";
      this.#folder.value = "";
      this.#take(found.length > 0 ? found.flat() : plain);
    });
    this.#chosen(this.#zip, this.#folder);
  }

  #chosen(input, other) {
    const files = [...input.files].map((file) => ({
      file,
      path: file.webkitRelativePath || file.name,
    }));
    if (files.length > 0) {
      other.value = "";
      this.#take(files);
    }
  }

  #take(files) {
    const choice = choiceOf(files);
    this.wrong = wrongIn(choice, this.#kind);
    this.choice = this.wrong ? null : choice;
    this.#said.classList.toggle("error", this.wrong !== "");
    this.#said.value = this.wrong || inWords(choice);
  }
}

const megabytes = (bytes) => (bytes / MIB).toFixed(1);

function inWords(choice) {
  const count = choice.entries.length;
  const many = count === 1 ? "1 file" : `${count} files`;
  const size = `${megabytes(sizeOf(choice))} MiB`;
  return choice.zip ? `${choice.name}, ${size}` : `${choice.name}: ${many}, ${size}`;
}

/** One form with its pickers. */
class Upload {
  #form;
  #pickers;
  #button;
  #bar;
  #said;
  #problems;

  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.#form = form;
    this.#pickers = [...form.querySelectorAll("[data-picker]")].map(
      (one) => new Picker(one, form.dataset.kind),
    );
    this.#button = form.querySelector("button[type=submit]");
    this.#bar = form.querySelector("progress");
    this.#said = form.querySelector("[role=status]");
    this.#problems = form.querySelector("[data-problems]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async #send() {
    this.#problems.hidden = true;
    this.#button.disabled = true;
    this.#bar.hidden = false;
    try {
      const { name, file } = await this.#whole();
      const report = {
        sent: (done, total) => this.#sent(done, total),
        waiting: () => this.#say("The line is down. It goes on by itself as soon as it is back."),
      };
      location.assign(await new Sender(file, this.#announcement(name, file), report).send());
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      this.#refuse(error.problems);
    }
  }

  /** The one file that is sent, whatever was chosen. */
  async #whole() {
    const missing = this.#pickers.filter((picker) => picker.choice === null);
    if (missing.length > 0) {
      throw new Refused(
        missing.map(({ wrong, label }) => wrong || `Choose a zip or a folder: ${label}.`),
      );
    }
    const choices = this.#pickers.map((picker) => picker.choice);
    this.#refuseTooLarge(choices.reduce((sum, choice) => sum + sizeOf(choice), 0));
    const name = choices.map((choice) => choice.name).join(" and ");
    if (choices.length === 1 && choices[0].zip !== null) {
      return { name, file: choices[0].zip };
    }
    const zips = choices.filter((choice) => choice.zip !== null);
    if (zips.length > 0 && zips.length < choices.length) {
      throw new Refused(["Choose two folders or two zips, not one of each."]);
    }
    const entries = this.#pickers.flatMap(({ side, choice }) =>
      choice.zip !== null
        ? [{ path: `${side}.zip`, file: choice.zip }]
        : choice.entries.map(({ path, file }) => ({
            path: side ? `${side}/${path}` : path,
            file,
          })),
    );
    const file = await zipOf(entries, (done, total) => {
      this.#say(`Reading the files: ${done} of ${total}`);
    });
    return { name, file };
  }

  /** Before anything is read or sent. */
  #refuseTooLarge(bytes) {
    const most = Number(this.#form.dataset.mostMib);
    if (bytes > most * MIB) {
      throw new Refused([
        `This has ${megabytes(bytes)} MiB, and at most ${most} MiB are taken. Deliver it in two ` +
          "parts, each with whole cases, or ask who runs this server for a larger limit.",
      ]);
    }
  }

  #announcement(name, file) {
    const said = new URLSearchParams();
    for (const [field, value] of new FormData(this.#form)) {
      if (typeof value === "string") {
        said.set(field, value);
      }
    }
    said.set("file_name", name);
    said.set("total_bytes", String(file.size));
    return said;
  }

  #sent(done, total) {
    this.#bar.max = total;
    this.#bar.value = done;
    this.#say(`${megabytes(done)} of ${megabytes(total)} MiB have arrived.`);
  }

  #say(words) {
    this.#said.textContent = words;
  }

  #refuse(problems) {
    const items = problems.map((problem) => {
      const item = document.createElement("li");
      item.textContent = problem;
      return item;
    });
    this.#problems.querySelector("ul").replaceChildren(...items);
    this.#problems.hidden = false;
    this.#problems.focus();
    this.#button.disabled = false;
    this.#bar.hidden = true;
    this.#say("");
  }
}

for (const form of document.querySelectorAll("form[data-upload]")) {
  new Upload(form);
}
