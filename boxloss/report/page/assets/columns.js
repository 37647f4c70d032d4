// @ts-check
// Columns that sort, filter and have a histogram.
import { weakOf } from "./causes.js";
import {
  KINDS,
  N,
  PAGE,
  PROPOSAL,
  SIDES,
  SUSPECTS,
  errorsOf,
  imageOf,
  predictionOf,
  sharesOf,
  suspectOf,
  truthOf,
} from "./data.js";
import { numbers } from "./numbers.js";

export const COLUMNS = new Map();

/** magnitude: the sign is a direction, so "worst first" means the largest absolute value. */
export function addColumn(
  key,
  label,
  values,
  { digits = 3, magnitude = false, text = null, up = false } = {},
) {
  COLUMNS.set(key, { key, label, values, digits, magnitude, text, up });
}

function rankOf(names) {
  const order = names
    .map((_, i) => i)
    .sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : a - b));
  const rank = new Float64Array(names.length);
  order.forEach((name, place) => (rank[name] = place));
  return rank;
}

/** Of missed boxes the confidence of their best detection. */
function weakScores() {
  return Float64Array.from(weakOf, (weak) => (weak < 0 ? NaN : PAGE.rows.score[weak]));
}

function defineColumns() {
  const rows = PAGE.rows;
  for (const [name, values] of Object.entries(PAGE.extra))
    addColumn(`extra:${name}`, name.replaceAll("_", " "), numbers(values));
  addColumn("error", "box error", numbers(rows.error), { digits: 4 });
  addColumn("iou", "IoU", numbers(rows.iou), { up: true });
  addColumn("score", "confidence", numbers(rows.score));
  addColumn("weak", "confidence below the threshold", weakScores());
  const worst = new Float64Array(N).fill(NaN);
  const share = new Float64Array(N).fill(NaN);
  const area = new Float64Array(N);
  const sides = SIDES.map(() => new Float64Array(N).fill(NaN));
  for (let i = 0; i < N; i++) {
    const errors = errorsOf(i);
    const box = truthOf(i) || predictionOf(i);
    area[i] = (box[2] - box[0]) * (box[3] - box[1]);
    if (!errors) continue;
    errors.forEach((error, side) => (sides[side][i] = error));
    worst[i] = Math.max(...errors.map(Math.abs));
    share[i] = 100 * Math.max(...sharesOf(i).map(Math.abs));
  }
  SIDES.forEach((side, s) =>
    addColumn(side, `${side} error (px)`, sides[s], { digits: 1, magnitude: true }),
  );
  addColumn("worst", "largest side error (px)", worst, { digits: 1 });
  addColumn("share", "largest side error (%)", share, { digits: 1 });
  for (const [name, values] of Object.entries(PAGE.terms))
    addColumn(`term:${name}`, `term ${name}`, numbers(values), { digits: 4 });
  addColumn("area", "area (px²)", area, { digits: 0 });
  const byName = rankOf(PAGE.classes);
  addColumn(
    "class",
    "class",
    Float64Array.from(rows.class, (c) => byName[c]),
    { text: (i) => PAGE.classes[rows.class[i]], up: true },
  );
  addColumn("kind", "kind", Float64Array.from(rows.kind), { text: (i) => KINDS[rows.kind[i]] });
  if (PROPOSAL) {
    const place = new Map(SUSPECTS.map((name, s) => [name, s]));
    addColumn(
      "suspected",
      "suspected",
      Float64Array.from(PROPOSAL.suspected, (name) => place.get(name) ?? NaN),
      { text: (i) => suspectOf(i) ?? "", up: true },
    );
  }
  const byFile = rankOf(PAGE.images.map((image) => image.file_name));
  addColumn(
    "file",
    "image",
    Float64Array.from(rows.image, (i) => byFile[i]),
    { text: (i) => imageOf(i).file_name, up: true },
  );
}

defineColumns();
