// @ts-check
// The other run that this one is compared with, if there is one: its rows beside ours.
import { between } from "./causes.js";
import { N, PAGE, boxOf, isTrue, predictionOf } from "./data.js";
import { cutoff, here, rowsAt } from "./thresholds.js";

export const VERDICTS = ["worse", "better", "same", "new", "unmatched"];
const SAME_IOU = 0.5; // false boxes of both runs that overlap so much are one mistake

/**
 * rows: all rows of the other run, as PAGE.rows; threshold: null where it cannot be moved.
 * rowOf: for each of our rows the other run's row of the same box, -1 without one.
 * there: the other run's rows at the threshold; gone: its false boxes that this run has not.
 * @type {{ title: string, rows: any, threshold: number | null, diagnosis: any,
 *   rowOf: Int32Array, there: number[], gone: number[], verdicts: string[] | null,
 *   change: Float64Array }}
 */
export const OTHER = {
  title: "",
  rows: null,
  threshold: null,
  diagnosis: null,
  rowOf: new Int32Array(N).fill(-1),
  there: [],
  gone: [],
  verdicts: null,
  change: new Float64Array(N).fill(NaN),
};

export const verdictOf = (i) => (OTHER.verdicts ? OTHER.verdicts[i] : "unmatched");

export function otherBoxOf(i) {
  const row = OTHER.rowOf[i];
  return row < 0 ? null : boxOf(OTHER.rows.prediction, row);
}

/** Pair our rows with the other run's at the threshold of both. */
export function alignOther() {
  if (!OTHER.rows) return;
  const rows = OTHER.rows;
  const threshold = OTHER.threshold === null ? null : cutoff.value;
  OTHER.there = rowsAt(rows, threshold).filter((j) => rows.image[j] >= 0);
  OTHER.rowOf.fill(-1);
  const boxes = new Map();
  const falses = new Map();
  for (const j of OTHER.there) {
    if (rows.own[j]) boxes.set(`${rows.image[j]} ${rows.annotation[j]}`, j);
    else listAt(falses, rows.image[j]).push(j);
  }
  for (let i = 0; i < N; i++) {
    if (here[i] && isTrue(i))
      OTHER.rowOf[i] = boxes.get(`${PAGE.rows.image[i]} ${PAGE.rows.annotation[i]}`) ?? -1;
  }
  pairFalses(falses);
  OTHER.gone = [...falses.values()].flat();
  judgeChanges();
}

function listAt(map, key) {
  if (!map.has(key)) map.set(key, []);
  return map.get(key);
}

/** Pair false boxes of both runs by overlap, in one class; paired ones leave `falses`. */
function pairFalses(falses) {
  for (let i = 0; i < N; i++) {
    if (!here[i] || isTrue(i)) continue;
    const others = falses.get(PAGE.rows.image[i]) ?? [];
    let [best, place] = [SAME_IOU, -1];
    others.forEach((j, at) => {
      if (OTHER.rows.predicted[j] !== PAGE.rows.predicted[i]) return;
      const { iou } = between(predictionOf(i), boxOf(OTHER.rows.prediction, j));
      if (iou >= best) [best, place] = [iou, at];
    });
    if (place >= 0) [OTHER.rowOf[i]] = others.splice(place, 1);
  }
}

const OK = 0; // in KINDS

/** 0 where only this run found a box rightly, 1 where only the other one did, else -1. */
export function crossedOf(i) {
  const row = OTHER.rowOf[i];
  if (row < 0 || !isTrue(i)) return -1;
  const [now, before] = [PAGE.rows.kind[i] === OK, OTHER.rows.kind[row] === OK];
  return now === before ? -1 : Number(before);
}

function judgeChanges() {
  const verdicts = new Array(N).fill("unmatched");
  OTHER.change.fill(NaN);
  for (let i = 0; i < N; i++) {
    if (!here[i]) continue;
    const row = OTHER.rowOf[i];
    if (!isTrue(i)) verdicts[i] = row < 0 ? "new" : "same";
    else if (row >= 0) {
      OTHER.change[i] = changeOf(i, row);
      const change = OTHER.change[i];
      verdicts[i] = change > 1e-6 ? "worse" : change < -1e-6 ? "better" : "same";
    }
  }
  OTHER.verdicts = verdicts;
}

/** A box that only one run found got infinitely worse or better. */
function changeOf(i, row) {
  const [before, now] = [OTHER.rows.error[row], PAGE.rows.error[i]];
  if (before !== null && now !== null) return now - before;
  if (before !== null) return Infinity;
  return now !== null ? -Infinity : 0;
}
