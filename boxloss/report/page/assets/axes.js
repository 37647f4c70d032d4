// @ts-check
// Axes that both charts share: places of values, ticks, and brushing a rectangle.
import { makeSvg } from "./dom.js";

/**
 * A linear axis over `range`, drawn from place `from` to place `to` of the chart.
 * `valueAt` is open at both ends (±∞): a rounded end would drop the outermost box.
 */
export function linearAxis(range, from, to) {
  const [low, high] = range;
  const share = (value) => Math.max(0, Math.min(1, (value - low) / (high - low)));
  return {
    range,
    placeOf: (value) => from + share(value) * (to - from),
    valueAt(place) {
      const part = (place - from) / (to - from);
      if (part <= 0.004) return -Infinity;
      if (part >= 0.996) return Infinity;
      return low + part * (high - low);
    },
  };
}

/**
 * Which of `count` equal parts of `range` a value lies in.
 * @type {(value: number, range: number[], count: number) => number}
 */
export function binOf(value, [low, high], count) {
  return Math.min(count - 1, Math.floor(((value - low) / (high - low)) * count));
}

export function addTick(svg, x, y, anchor, words) {
  const text = makeSvg("text", { class: "tick", x, y, "text-anchor": anchor });
  text.textContent = words;
  svg.append(text);
  return text;
}

/** The rectangle between two corners [x, y]. */
export function brushRect(a, b) {
  const [x, y] = [0, 1].map((axis) => Math.min(a[axis], b[axis]));
  const [width, height] = [0, 1].map((axis) => Math.abs(a[axis] - b[axis]));
  return makeSvg("rect", { class: "brush", x, y, width, height });
}

/** The pointer's place in the chart's own units. */
export function pointIn(svg, event) {
  const place = new DOMPoint(event.clientX, event.clientY);
  const point = place.matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

/**
 * Let a rectangle be dragged on `svg`. `corners(from, to)` says which rectangle is shown;
 * `done(from, to)` gets the two ends, or null where there was a click without a drag.
 */
export function listenBrush(svg, corners, done) {
  let from = null;
  svg.addEventListener("pointerdown", (event) => {
    from = pointIn(svg, event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return;
    for (const old of svg.querySelectorAll(".brush")) old.remove();
    svg.append(brushRect(...corners(from, pointIn(svg, event))));
  });
  svg.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [start, end] = corners(from, pointIn(svg, event));
    from = null;
    const far = Math.max(Math.abs(start[0] - end[0]), Math.abs(start[1] - end[1]));
    if (far < 3) done(null);
    else done(start, end);
  });
}
