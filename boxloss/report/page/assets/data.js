// @ts-check
// What the page is about: the rows, column by column, as Python wrote them into it.
import { signed } from "./numbers.js";

export const PAGE = JSON.parse(document.getElementById("data").textContent);
export const N = PAGE.rows.kind.length;
export const SIDES = ["x1", "y1", "x2", "y2"];
export const KINDS = ["ok", "loc", "cls", "both", "dupe", "bkg", "miss"];
export const KIND_WORDS = {
  ok: "found, right class",
  loc: "right class, not quite the place",
  cls: "right place, wrong class",
  both: "neither quite the place nor the class",
  dupe: "a box that is found already",
  bkg: "nothing is there",
  miss: "a true box that nothing found",
};
export const SIZES = ["small", "medium", "large"];
export const LIMIT = PAGE.limit; // share of a side at which colours saturate

/** Box number i of a flat column, or null where it is not there. */
export function boxOf(column, i) {
  return column[4 * i] === null ? null : column.slice(4 * i, 4 * i + 4);
}

export const truthOf = (i) => boxOf(PAGE.rows.truth, i);
export const predictionOf = (i) => boxOf(PAGE.rows.prediction, i);
export const errorsOf = (i) => boxOf(PAGE.rows.sides, i);
export const imageOf = (i) => PAGE.images[PAGE.rows.image[i]];
export const isTrue = (i) => PAGE.rows.own[i] === 1;
export const PROPOSAL = PAGE.proposal; // what an audit suspects and proposes, or null
export const proposedOf = (i) => (PROPOSAL ? boxOf(PROPOSAL.box, i) : null);
export const SUSPECTS = PROPOSAL
  ? [...new Set(PROPOSAL.suspected)].filter((name) => name !== null).sort()
  : [];
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
