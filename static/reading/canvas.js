// Draws one image so that every pixel of the file becomes a whole block of pixels on the screen.

/** Emits "resize" after its size in device pixels has changed. */
export class PixelCanvas extends EventTarget {
  #canvas;
  #context;
  #knowsDevicePixels = true;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false, colorSpace: "srgb" });
    const observer = new ResizeObserver(([entry]) => this.#resize(entry));
    try {
      // CSS pixels times the device pixel ratio can be off by one: the browser snaps the box itself.
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch {
      this.#knowsDevicePixels = false;
      observer.observe(canvas);
    }
    canvas.addEventListener("contextrestored", () => this.dispatchEvent(new Event("resize")));
  }

  /** In device pixels. */
  get size() {
    const { width, height } = this.#canvas;
    return { width, height };
  }

  get knowsDevicePixels() {
    return this.#knowsDevicePixels;
  }

  /** Where a point of the window lies on it, in device pixels. */
  at({ clientX, clientY }) {
    const { left, top } = this.#canvas.getBoundingClientRect();
    return { x: (clientX - left) * devicePixelRatio, y: (clientY - top) * devicePixelRatio };
  }

  /** `scale`, `left` and `top` in whole device pixels; without a bitmap only the surround. */
  draw(bitmap, { scale, left, top }) {
    const { width, height } = this.#canvas;
    this.#context.fillStyle = getComputedStyle(this.#canvas).backgroundColor;
    this.#context.fillRect(0, 0, width, height);
    if (!bitmap) return;
    // Set at every drawing, because a new size resets the context.
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(bitmap, left, top, scale * bitmap.width, scale * bitmap.height);
  }

  #resize({ devicePixelContentBoxSize, contentBoxSize }) {
    const [box] = devicePixelContentBoxSize ?? contentBoxSize;
    const ratio = devicePixelContentBoxSize ? 1 : devicePixelRatio;
    this.#canvas.width = Math.round(box.inlineSize * ratio);
    this.#canvas.height = Math.round(box.blockSize * ratio);
    this.dispatchEvent(new Event("resize"));
  }
}
