// What the browser tells about the screen and the window; lengths in CSS pixels.

// The steps of the browser's own zoom.
const ZOOMS = [0.25, 0.33, 0.5, 0.67, 0.75, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5];

export function screenFacts() {
  return {
    device_pixel_ratio: devicePixelRatio,
    browser_zoom: browserZoom(),
    screen_width: screen.width,
    screen_height: screen.height,
    viewport_width: innerWidth,
    viewport_height: innerHeight,
  };
}

/** The zoom step nearest to what the sizes of the window outside and inside tell. */
function browserZoom() {
  const seen = outerWidth / innerWidth || 1;
  const distance = (zoom) => Math.abs(Math.log(zoom / seen));
  return ZOOMS.reduce((best, zoom) => (distance(zoom) < distance(best) ? zoom : best));
}
