// Draws letters that grow fainter, in the colours of stained tissue, for the check of the screen.

const LETTERS = "CDEHKNRSTVZ";
const GROUND = [236, 198, 216];
const INK = [88, 58, 130];
// How far each letter goes from the ground to the ink.
const CONTRASTS = [0.4, 0.2, 0.1, 0.06, 0.04, 0.025];
const GRAIN = 2; // levels by which the ground varies

export class FaintLetters {
  #canvas;
  #letters = drawnLetters(CONTRASTS.length);

  constructor(canvas) {
    this.#canvas = canvas;
    const observer = new ResizeObserver(([entry]) => this.#draw(entry));
    try {
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(canvas);
    }
  }

  get shown() {
    return this.#letters.join("");
  }

  /** One pixel of the canvas is one pixel of the screen. */
  #draw({ devicePixelContentBoxSize, contentBoxSize }) {
    const [box] = devicePixelContentBoxSize ?? contentBoxSize;
    const ratio = devicePixelContentBoxSize ? 1 : devicePixelRatio;
    const width = Math.round(box.inlineSize * ratio);
    const height = Math.round(box.blockSize * ratio);
    if (width * height === 0) return;
    Object.assign(this.#canvas, { width, height });
    const context = this.#canvas.getContext("2d", { alpha: false, colorSpace: "srgb" });
    context.fillStyle = `rgb(${GROUND})`;
    context.fillRect(0, 0, width, height);
    context.font = `700 ${Math.round(height * 0.55)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const step = Math.floor(width / this.#letters.length);
    this.#letters.forEach((letter, index) => {
      context.fillStyle = `rgb(${mixed(CONTRASTS[index])})`;
      context.fillText(letter, Math.round((index + 0.5) * step), Math.round(height / 2));
    });
    addGrain(context, width, height);
  }
}

/** Different letters, at random. */
function drawnLetters(count) {
  const left = [...LETTERS];
  const draw = () => left.splice(Math.floor(Math.random() * left.length), 1)[0];
  return Array.from({ length: count }, draw);
}

function mixed(share) {
  return GROUND.map((level, channel) => Math.round(level + share * (INK[channel] - level)));
}

function addGrain(context, width, height) {
  const image = context.getImageData(0, 0, width, height);
  for (let at = 0; at < image.data.length; at += 4) {
    const change = Math.round((Math.random() * 2 - 1) * GRAIN);
    for (let channel = 0; channel < 3; channel += 1) image.data[at + channel] += change;
  }
  context.putImageData(image, 0, 0);
}
