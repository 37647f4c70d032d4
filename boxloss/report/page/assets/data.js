// @ts-check
// What the page is about: the rows, column by column, as Python wrote them into it.
import { signed } from "./numbers.js";

export const PAGE = JSON.parse(document.getElementById("data").textContent);
export const N = PAGE.rows.kind.length;
export const SIDES = ["x1", "y1", "x2", "y2"];
export const KINDS = ["ok", "loc", "cls", "both", "dupe", "bkg", "miss"];
/** What the page calls them. */
export const KIND_LABELS = [
  "found",
  "wrong place",
  "wrong class",
  "both wrong",
  "double",
  "on background",
  "missed",
];
export const KIND_WORDS = {
  ok: "found: right class, right place",
  loc: "wrong place: right class, but it overlaps the true box too little",
  cls: "wrong class: right place, but taken for something else",
  both: "both wrong: neither the class nor quite the place",
  dupe: "double: its true box is found already by a more confident box",
  bkg: "on background: no true box is there",
  miss: "missed: a true box that nothing found",
};
export const SIZES = ["small", "medium", "large"];
export const LIMIT = PAGE.limit; // share of a side at which colours saturate

/** Box number i of a flat column, or null where it is not there. */
export function boxOf(column, i) {
  return column[4 * i] === null ? null : column.slice(4 * i, 4 * i + 4);
}

export const truthOf = (i) => boxOf(PAGE.rows.truth, i);
export const predictionOf = (i) => boxOf(PAGE.rows.prediction, i);
/** prediction − truth of each side, or null where one of the boxes is missing. */
export function errorsOf(i) {
  const [truth, prediction] = [truthOf(i), predictionOf(i)];
  return truth && prediction && SIDES.map((_, s) => prediction[s] - truth[s]);
}
export const imageOf = (i) => PAGE.images[PAGE.rows.image[i]];
export const isTrue = (i) => PAGE.rows.own[i] === 1;
export const PROPOSAL = PAGE.proposal; // what an audit suspects and proposes, or null
export const proposedOf = (i) => (PROPOSAL ? boxOf(PROPOSAL.box, i) : null);
export const SUSPECTS = PROPOSAL
  ? [...new Set(PROPOSAL.suspected)].filter((name) => name !== null).sort()
  : [];
/** Whether the label of row i, or the place without one, looks wrong enough to be looked at. */
export const looksWrong = (i) => PROPOSAL !== null && PROPOSAL.wrong[i];
export const SUSPECT_WORDS = {
  shift: "shift: the box slipped, opposite sides are off alike",
  resize: "resize: the box is too large or too small about its centre",
  edge: "edge: one side alone is at the wrong place",
  swap: "swap: another class has more support at this place",
  spurious: "spurious: nothing supports the box",
  duplicate: "duplicate: the box lies on another label of the same object",
  missing: "missing: a detection that no label explains",
};
export const suspectOf = (i) => (PROPOSAL ? PROPOSAL.suspected[i] : null);

/** The correction of row i in words, "" without one. */
export function proposalText(i) {
  if (!PROPOSAL || PROPOSAL.action[i] === null) return "";
  const action = PROPOSAL.action[i];
  const name = PAGE.classes[PROPOSAL.class[i]];
  if (action === "relabel" || action === "add") return `${action}: ${name}`;
  const [from, to] = [truthOf(i), proposedOf(i)];
  if (!from || !to) return action;
  const by = SIDES.map((_, s) => to[s] - from[s]);
  // Opposite sides that go the same way are one move of the box; sides that go apart change
  // its size.
  const opposite = (sign) =>
    Math.abs(by[0] - sign * by[2]) < 0.05 && Math.abs(by[1] - sign * by[3]) < 0.05;
  /** @type {[string, number][]} */
  let moves = SIDES.map((side, s) => [side, by[s]]);
  if (opposite(1))
    moves = [
      ["x", by[0]],
      ["y", by[1]],
    ];
  else if (opposite(-1))
    moves = [
      ["width", 2 * by[2]],
      ["height", 2 * by[3]],
    ];
  moves = moves.filter(([, far]) => Math.abs(far) >= 0.05);
  const words = moves.map(([side, far]) => `${side} ${signed(far)}`);
  return `${action}: ${words.join(", ") || "nowhere"}`;
}

/** Signed errors as shares of the true width and height. */
export function sharesOf(i) {
  const truth = truthOf(i);
  const errors = errorsOf(i);
  if (!truth || !errors) return null;
  const width = Math.max(truth[2] - truth[0], 1e-9);
  const height = Math.max(truth[3] - truth[1], 1e-9);
  return [errors[0] / width, errors[1] / height, errors[2] / width, errors[3] / height];
}

/**
 * What the picture of row i shows: [x, y, width, height] around its boxes. For rows with a file
 * under crops/ it is what that file shows, so Python wrote it; others are cut from the image.
 */
export function cropAround(i) {
  if (4 * i < PAGE.rows.crop.length) return PAGE.rows.crop.slice(4 * i, 4 * i + 4);
  const image = imageOf(i);
  const boxes = [truthOf(i), predictionOf(i)].filter((box) => box !== null);
  if (!boxes.length) return [0, 0, image.width, image.height];
  const low = [0, 1].map((s) => Math.min(...boxes.map((box) => box[s])));
  const high = [2, 3].map((s) => Math.max(...boxes.map((box) => box[s])));
  const margin = Math.max(0.4 * Math.max(high[0] - low[0], high[1] - low[1]), 12);
  const [x, y] = low.map((value) => Math.max(0, Math.floor(value - margin)));
  const right = Math.min(image.width, Math.ceil(high[0] + margin));
  const bottom = Math.min(image.height, Math.ceil(high[1] + margin));
  return [x, y, Math.max(right - x, 1), Math.max(bottom - y, 1)];
}

/** "box 12" or "detection 7": the row's number in the files it came from. */
export function nameOf(i) {
  const rows = PAGE.rows;
  return isTrue(i) ? `box ${rows.annotation[i]}` : `detection ${rows.detection[i]}`;
}

/** The name a row keeps over reloads and between runs. */
export function keyOf(i) {
  const image = imageOf(i);
  const own = isTrue(i) ? PAGE.rows.annotation[i] : `detection ${PAGE.rows.detection[i]}`;
  return JSON.stringify([image.id, own]);
}
