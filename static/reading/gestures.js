// Looking closer: wheel, pinch, drag and arrow keys.

// As much as one notch of a common mouse wheel; a touchpad sends many small steps.
const WHEEL_STEP = 100;
const ARROW_STEP = 64;
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** `isOpen()` tells whether the image may be looked at just now. */
export function followGestures(stage, view, isOpen) {
  let turned = 0;
  let dragged = null;

  view.addEventListener("zoom", () => (turned = 0));

  const wheel = (event) => {
    // Also of a pinch, which would otherwise zoom the page and blur the image.
    event.preventDefault();
    if (!isOpen()) return;
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 40;
    turned += event.deltaY * unit * (event.ctrlKey ? 10 : 1);
    if (Math.abs(turned) < WHEEL_STEP) return;
    view.zoomTo(view.zoom - Math.sign(turned), event);
    turned = 0;
  };
  stage.addEventListener("wheel", wheel, { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !isOpen() || event.target.tagName !== "CANVAS") return;
    stage.setPointerCapture(event.pointerId);
    dragged = devicePoint(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const point = devicePoint(event);
    view.panBy(point.x - dragged.x, point.y - dragged.y);
    dragged = point;
  });
  for (const type of ["pointerup", "pointercancel"]) {
    stage.addEventListener(type, () => (dragged = null));
  }

  document.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.altKey || event.metaKey || !isOpen()) return;
    event.preventDefault();
    view.panBy(...arrow.map((way) => way * Math.round(ARROW_STEP * devicePixelRatio)));
  });
}

function devicePoint({ clientX, clientY }) {
  return { x: Math.round(clientX * devicePixelRatio), y: Math.round(clientY * devicePixelRatio) };
}
