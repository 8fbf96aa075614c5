// Draws one image so that every pixel of the file becomes a whole block of pixels on the screen.

/** Emits "resize" after its size in device pixels has changed and it has been drawn again. */
export class PixelCanvas extends EventTarget {
  #canvas;
  #context;
  #bitmap = null;
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
    canvas.addEventListener("contextrestored", () => this.#draw());
  }

  get isEmpty() {
    return this.#bitmap === null;
  }

  /** Device pixels per image pixel; 0 when the image does not fit or there is none. */
  get scale() {
    if (this.isEmpty) return 0;
    const { width, height } = this.#canvas;
    return Math.floor(Math.min(width / this.#bitmap.width, height / this.#bitmap.height));
  }

  /** The drawn size in device pixels, and whether what is on the screen is exactly the file. */
  get display() {
    return {
      display_width: this.scale * this.#bitmap.width,
      display_height: this.scale * this.#bitmap.height,
      scale: this.scale,
      // Pinching a touchpad magnifies the finished page, which blurs it.
      pixel_exact: this.#knowsDevicePixels && this.scale > 0 && visualViewport.scale === 1,
    };
  }

  show(bitmap) {
    this.#bitmap = bitmap;
    this.#draw();
  }

  clear() {
    this.#bitmap?.close();
    this.show(null);
  }

  #resize({ devicePixelContentBoxSize, contentBoxSize }) {
    const [box] = devicePixelContentBoxSize ?? contentBoxSize;
    const ratio = devicePixelContentBoxSize ? 1 : devicePixelRatio;
    this.#canvas.width = Math.round(box.inlineSize * ratio);
    this.#canvas.height = Math.round(box.blockSize * ratio);
    this.#draw();
    this.dispatchEvent(new Event("resize"));
  }

  #draw() {
    const { width, height } = this.#canvas;
    this.#context.fillStyle = getComputedStyle(this.#canvas).backgroundColor;
    this.#context.fillRect(0, 0, width, height);
    if (this.scale === 0) return;
    const { display_width, display_height } = this.display;
    const left = Math.floor((width - display_width) / 2);
    const top = Math.floor((height - display_height) / 2);
    // Set at every drawing, because a new size resets the context.
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(this.#bitmap, left, top, display_width, display_height);
  }
}
