// @ts-check
// Why a box is wrong, as far as the boxes themselves say it.
import {
  KINDS,
  N,
  PAGE,
  SIDES,
  errorsOf,
  imageOf,
  isTrue,
  predictionOf,
  sharesOf,
  truthOf,
} from "./data.js";

export const CAUSES = [
  "at the border",
  "inside the image",
  "too unsure",
  "found nowhere",
  "one side",
  "several sides",
];
const WEAKEST = 0.05; // below it a detector says something nearly everywhere
const ONE_SIDE = 0.6; // one side is to blame if it has this share of the four errors

const OK = KINDS.indexOf("ok");
const MISS = KINDS.indexOf("miss");
const BKG = KINDS.indexOf("bkg");
const LOC = KINDS.indexOf("loc");

/** image -> its rows, so that nothing about one image walks through all rows. */
export const rowsOfImage = (() => {
  const found = PAGE.images.map(() => []);
  for (let i = 0; i < N; i++) found[PAGE.rows.image[i]].push(i);
  return found;
})();

/** Does a box reach the image's border? Two pixels, or half a per cent of the longer side, do. */
export function touchesBorder(box, image) {
  if (!box) return false;
  const far = Math.max(2, 0.005 * Math.max(image.width, image.height));
  const [right, bottom] = [image.width - far, image.height - far];
  return box[0] <= far || box[1] <= far || box[2] >= right || box[3] >= bottom;
}

/**
 * For each row of a missed box the row of its best detection, -1 without one.
 *
 * A missed box is missed from some threshold on. Below it the box has a row with a detection: the
 * right one if there is any, else one that is nearly right.
 */
export const weakOf = (() => {
  const weak = new Int32Array(N).fill(-1);
  const best = new Map();
  const key = (i) => `${PAGE.rows.image[i]} ${PAGE.rows.annotation[i]}`;
  for (let i = 0; i < N; i++) {
    if (!isTrue(i) || PAGE.rows.kind[i] === MISS) continue;
    const before = best.get(key(i));
    if (before === undefined || PAGE.rows.kind[i] < PAGE.rows.kind[before]) best.set(key(i), i);
  }
  for (let i = 0; i < N; i++) {
    if (isTrue(i) && PAGE.rows.kind[i] === MISS) weak[i] = best.get(key(i)) ?? -1;
  }
  return weak;
})();

/** Is a missed box found rightly, with a confidence that somebody might still accept? */
function isUnsure(i) {
  const weak = weakOf[i];
  return weak >= 0 && PAGE.rows.kind[weak] === OK && PAGE.rows.score[weak] >= WEAKEST;
}

/** The side that is wrong by most, if it is to blame alone; else -1. */
export function worstSide(i) {
  const shares = sharesOf(i);
  if (!shares) return -1;
  const sizes = shares.map(Math.abs);
  const largest = Math.max(...sizes);
  const sum = sizes.reduce((a, b) => a + b, 0);
  return sum > 0 && largest >= ONE_SIDE * sum ? sizes.indexOf(largest) : -1;
}

function findCause(i) {
  const kind = PAGE.rows.kind[i];
  if (kind === BKG) return touchesBorder(predictionOf(i), imageOf(i)) ? 0 : 1;
  if (kind === MISS) return isUnsure(i) ? 2 : 3;
  if (kind === LOC) return worstSide(i) >= 0 ? 4 : 5;
  return -1;
}

/** The place in CAUSES of each row, -1 without a cause. */
export const causes = Int8Array.from({ length: N }, (_, i) => findCause(i));

/** The true box next to a detection that found none: { row, iou, far } in pixels, or null. */
export function nearestTruth(i) {
  const box = predictionOf(i);
  let best = null;
  const seen = new Set();
  for (const j of rowsOfImage[PAGE.rows.image[i]]) {
    if (!isTrue(j) || seen.has(PAGE.rows.annotation[j])) continue;
    seen.add(PAGE.rows.annotation[j]);
    const near = between(box, truthOf(j));
    if (!best || near.iou > best.iou || (near.iou === best.iou && near.far < best.far))
      best = { row: j, ...near };
  }
  return best;
}

/** IoU of two boxes, and how many pixels lie between them. */
export function between(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  const union = area(a) + area(b) - shared;
  const far = Math.hypot(Math.max(-width, 0), Math.max(-height, 0));
  return { iou: union > 0 ? shared / union : 0, far };
}

/** What a row says of its cause, in words. */
export function causeText(i) {
  const rows = PAGE.rows;
  if (rows.kind[i] === MISS && weakOf[i] >= 0) {
    const weak = weakOf[i];
    const what = isUnsure(i) ? "right box" : "near box";
    return `${what} at ${rows.score[weak].toFixed(2)}, IoU ${rows.iou[weak].toFixed(2)}`;
  }
  if (rows.kind[i] === MISS) return "found nowhere";
  if (rows.kind[i] !== BKG) return "";
  const near = nearestTruth(i);
  const border = causes[i] === 0 ? "at the border; " : "";
  if (!near) return `${border}no label in the image`;
  const name = PAGE.classes[rows.class[near.row]];
  const where = near.iou > 0 ? `IoU ${near.iou.toFixed(2)}` : `${near.far.toFixed(0)} px off`;
  return `${border}next: ${name}, ${where}`;
}

/** Which side a loc row blames, as a word, "" where it is not one alone. */
export function sideText(i) {
  const side = worstSide(i);
  return side < 0 || !errorsOf(i) ? "" : SIDES[side];
}
