// @ts-check
// The confidence threshold, and which rows there are at it.
//
// The page holds the rows of every threshold. Each is there in one range, low < t <= high, so a
// drag only chooses among them and gives what a page built at that threshold would show.
import { N, PAGE } from "./data.js";

/** Whether the threshold can be moved: the page then knows all detections, and has all rows. */
export const MOVABLE = PAGE.threshold !== null && PAGE.diagnosis !== null && !PAGE.whole;
export const cutoff = { value: PAGE.threshold, moved: false };
export const here = new Uint8Array(N);
export const thresholdListeners = []; // called when the rows that are there have changed

const limits = (values, missing) => Float64Array.from(values, (value) => value ?? missing);
const LOW = limits(PAGE.rows.low, -Infinity);
const HIGH = limits(PAGE.rows.high, Infinity);

/** The same for rows of another run: which of them are there at `threshold`. */
export function rowsAt(rows, threshold) {
  const places = rows.kind.map((_, i) => i);
  if (threshold === null) return places;
  return places.filter(
    (i) => (rows.low[i] ?? -Infinity) < threshold && threshold <= (rows.high[i] ?? Infinity),
  );
}

function choose() {
  const t = cutoff.value;
  for (let i = 0; i < N; i++) here[i] = Number(t === null || (LOW[i] < t && t <= HIGH[i]));
}

export function setThreshold(value) {
  Object.assign(cutoff, { value, moved: value !== PAGE.threshold });
  choose();
  for (const listener of thresholdListeners) listener();
}

choose();
