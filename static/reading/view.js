// What is on the stage: one image, or two side by side that are always shown alike.

import { PixelCanvas } from "./canvas.js";
import { nextFrame, once } from "./waiting.js";

export const LARGEST_ZOOM = 4;

/** Emits "resize" after the room for the images has changed, "zoom" after the zoom has. */
export class View extends EventTarget {
  #canvases;
  #bitmaps = null;
  #isCovered = false;
  #zoom = 1;
  #largestZoom = 1;
  #pan = { x: 0, y: 0 };
  #wasExact = true;

  constructor(elements) {
    super();
    this.#canvases = [...elements].map((element) => new PixelCanvas(element));
    for (const canvas of this.#canvases) {
      canvas.addEventListener("resize", () => {
        this.#draw();
        this.dispatchEvent(new Event("resize"));
      });
    }
    // Pinching a touchpad magnifies the finished page, which blurs it.
    visualViewport.addEventListener("resize", () => (this.#wasExact &&= visualViewport.scale === 1));
  }

  get isEmpty() {
    return this.#bitmaps === null;
  }

  /** Whether every canvas has got its size. */
  get isLaidOut() {
    return this.#canvases.every(({ size }) => size.width > 0 && size.height > 0);
  }

  get zoom() {
    return this.#zoom;
  }

  /** Device pixels per image pixel at zoom 1; 0 when the images do not fit or there are none. */
  get scale() {
    if (this.isEmpty) return 0;
    const { width, height } = this.#size;
    const [image] = this.#bitmaps;
    return Math.floor(Math.min(width / image.width, height / image.height));
  }

  /** How it is shown: the size at zoom 1 in device pixels, and whether it was exactly the file. */
  get display() {
    const [image] = this.#bitmaps;
    const knowsDevicePixels = this.#canvases.every((canvas) => canvas.knowsDevicePixels);
    return {
      display_width: this.scale * image.width,
      display_height: this.scale * image.height,
      scale: this.scale,
      zoom: this.#largestZoom,
      pixel_exact: knowsDevicePixels && this.scale > 0 && this.#wasExact,
      device_pixel_ratio: devicePixelRatio,
      viewport_width: innerWidth,
      viewport_height: innerHeight,
    };
  }

  /** Shows an image, or the two of a pair; nothing remains of how the one before was looked at. */
  show(bitmaps) {
    this.#bitmaps = bitmaps;
    this.#largestZoom = 1;
    this.#wasExact = visualViewport.scale === 1;
    this.#zoom = 1;
    this.#pan = { x: 0, y: 0 };
    this.#draw();
    this.dispatchEvent(new Event("zoom"));
  }

  clear() {
    this.show(null);
  }

  /** The time of the frame after the one that drew the image: only then is it on the screen. */
  async painted() {
    for (;;) {
      await nextFrame();
      const at = await nextFrame();
      if (this.scale > 0) return at;
      await once(this, "resize");
    }
  }

  /** Hides the image without forgetting it. */
  cover(isCovered) {
    if (isCovered === this.#isCovered) return;
    this.#isCovered = isCovered;
    this.#draw();
  }

  /** Zooms so that what is at the point of the event, else in the middle, stays where it is. */
  zoomTo(zoom, event = null) {
    const next = Math.min(Math.max(zoom, 1), LARGEST_ZOOM);
    if (this.scale === 0 || next === this.#zoom) return;
    const { x, y } = this.#fromMiddle(event);
    const growth = next / this.#zoom;
    this.#zoom = next;
    this.#largestZoom = Math.max(this.#largestZoom, next);
    this.#panTo(x - (x - this.#pan.x) * growth, y - (y - this.#pan.y) * growth);
    this.dispatchEvent(new Event("zoom"));
  }

  /** Moves the image by device pixels. */
  panBy(x, y) {
    if (this.scale > 0) this.#panTo(this.#pan.x + x, this.#pan.y + y);
  }

  /** What all canvases have at least; two side by side may differ by one device pixel. */
  get #size() {
    const sizes = this.#canvases.map(({ size }) => size);
    return {
      width: Math.min(...sizes.map(({ width }) => width)),
      height: Math.min(...sizes.map(({ height }) => height)),
    };
  }

  #fromMiddle(event) {
    if (!event) return { x: 0, y: 0 };
    const { width, height } = this.#size;
    const points = this.#canvases.map((canvas) => canvas.at(event));
    const { x, y } = points.find(({ x }) => x >= 0 && x <= width) ?? points[0];
    return { x: x - width / 2, y: y - height / 2 };
  }

  #panTo(x, y) {
    this.#pan = { x: Math.round(x), y: Math.round(y) };
    this.#draw();
  }

  #draw() {
    const scale = this.scale * this.#zoom;
    this.#canvases.forEach((canvas, i) => {
      const isSeen = scale > 0 && !this.#isCovered;
      canvas.draw(isSeen ? this.#bitmaps[i] : null, { scale, ...this.#corner(scale) });
    });
  }

  /** Keeps the pan to where there is image, and tells where its corner comes to lie. */
  #corner(scale) {
    if (scale === 0) return { left: 0, top: 0 };
    const { width, height } = this.#size;
    const [image] = this.#bitmaps;
    const across = within(width - scale * image.width, this.#pan.x);
    const down = within(height - scale * image.height, this.#pan.y);
    this.#pan = { x: across.pan, y: down.pan };
    return { left: across.corner, top: down.corner };
  }
}

/** `spare` is the room beside the image, negative when the image is larger than its canvas. */
function within(spare, pan) {
  const middle = Math.floor(spare / 2);
  const corner = spare >= 0 ? middle : Math.min(Math.max(middle + pan, spare), 0);
  return { corner, pan: corner - middle };
}
