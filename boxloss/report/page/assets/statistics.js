// @ts-check
// What is counted at the present threshold: by class, by size, by kind.
import { causes } from "./causes.js";
import { KINDS, N, PAGE, SIDES, isTrue, sharesOf } from "./data.js";
import { mean } from "./numbers.js";
import { here } from "./thresholds.js";

const OK = KINDS.indexOf("ok");
const MISS = KINDS.indexOf("miss");

/** The rows that are there, and of those the ones that `keep` lets pass. */
export function rowsThere(keep = (i) => true) {
  const rows = [];
  for (let i = 0; i < N; i++) if (here[i] && keep(i)) rows.push(i);
  return rows;
}

/** Counts and means of some rows; shares are in [0, 1], NaN of nothing. */
export function summaryOf(rows) {
  const truths = rows.filter(isTrue);
  const found = truths.filter((i) => PAGE.rows.kind[i] === OK);
  // A detection beside a true box that it did not find rightly is false as well.
  const falses = rows.filter((i) => PAGE.rows.kind[i] !== OK && PAGE.rows.score[i] !== null);
  return {
    boxes: truths.length,
    found: truths.length ? found.length / truths.length : NaN,
    missed: truths.filter((i) => PAGE.rows.kind[i] === MISS).length,
    false: falses.length,
    precision: found.length / (found.length + falses.length),
    iou: mean(found.map((i) => PAGE.rows.iou[i])),
  };
}

/** The same from groups of all rows: [class, size, boxes, found, missed, false, sum of IoUs]. */
export function summaryOfGroups(groups) {
  const sum = (place) => groups.reduce((all, group) => all + group[place], 0);
  const [boxes, found, missed, wrong, iou] = [2, 3, 4, 5, 6].map(sum);
  return {
    boxes,
    found: found / boxes, // NaN of nothing
    missed,
    false: wrong,
    precision: found / (found + wrong),
    iou: iou / found,
  };
}

/** The summary of everything at the present threshold. */
export const summaryOfAll = () =>
  PAGE.whole ? summaryOfGroups(PAGE.whole.groups) : summaryOf(rowsThere());

/** kind -> { count, causes: how many of each place in CAUSES }. */
export function countKinds() {
  if (PAGE.whole) return PAGE.whole.kinds;
  const counts = KINDS.map(() => ({ count: 0, causes: [0, 0, 0, 0, 0, 0] }));
  for (let i = 0; i < N; i++) {
    if (!here[i]) continue;
    const kind = counts[PAGE.rows.kind[i]];
    kind.count++;
    if (causes[i] >= 0) kind.causes[causes[i]]++;
  }
  return counts;
}

/**
 * The median signed error of each side of the found boxes, in per cent of the side, with a 95 %
 * interval: [{ median, low, high, count }]. The interval is that of the sign test: of n sorted
 * errors those n/2 ± 0.98 √n from the ends, whatever their distribution. null below 6 boxes,
 * which have no such interval.
 */
export function sideErrors(rows) {
  const found = rows.filter((i) => PAGE.rows.kind[i] === OK && sharesOf(i));
  if (found.length < 6) return null;
  const shares = found.map(sharesOf);
  return SIDES.map((_, side) => {
    const sorted = Float64Array.from(shares, (each) => 100 * each[side]).sort();
    const count = sorted.length;
    const step = Math.max(0, Math.floor(count / 2 - 0.98 * Math.sqrt(count)));
    const middle = (sorted[(count - 1) >> 1] + sorted[count >> 1]) / 2;
    return { median: middle, low: sorted[step], high: sorted[count - 1 - step], count };
  });
}

/** The errors of each side of all found boxes, or of one class. */
export function sideErrorsOf(chosen = null) {
  if (PAGE.whole) return PAGE.whole.sides[chosen === null ? 0 : chosen + 1];
  return sideErrors(rowsThere((i) => chosen === null || PAGE.rows.class[i] === chosen));
}

/** Whether an interval is wholly on one side of 0, and far enough to be worth a word. */
export const isBiased = ({ median, low, high }) => low * high > 0 && Math.abs(median) >= 1;
