// @ts-check
// Which rows, in which order. What changes it ends in `select()` or `sortBy()`.
import { COLUMNS } from "./columns.js";
import { N, PAGE, suspectOf } from "./data.js";
import { $ } from "./dom.js";
import { verdictOf } from "./other.js";
import { markOf } from "./review.js";

export const FILTER = {
  text: "",
  kinds: new Set(),
  sizes: new Set(),
  classes: new Set(),
  marks: new Set(),
  suspects: new Set(),
  verdicts: new Set(),
  ranges: new Map(),
};
export const SORT = {
  key: PAGE.sort in Object.fromEntries(COLUMNS) ? PAGE.sort : "error",
  down: true,
};
export const listeners = []; // called when the set of selected rows has changed
export const orderListeners = []; // called when the rows or their order have changed
export const selection = { order: [] }; // the selected rows, sorted

const needles = PAGE.images.map((image) => `${image.file_name} ${image.id}`.toLowerCase());
const classNeedles = PAGE.classes.map((name) => name.toLowerCase());

/** Does row i pass every filter, `except` one? An empty set of choices lets everything pass. */
export function passes(i, except = null) {
  const rows = PAGE.rows;
  const chosen = (name, value) => name === except || !FILTER[name].size || FILTER[name].has(value);
  if (
    !chosen("kinds", rows.kind[i]) ||
    !chosen("sizes", rows.size[i]) ||
    !chosen("classes", rows.class[i])
  )
    return false;
  if (!chosen("suspects", suspectOf(i))) return false;
  if (!chosen("marks", markOf(i)) || !chosen("verdicts", verdictOf(i))) return false;
  for (const [key, [low, high]] of FILTER.ranges) {
    if (`range:${key}` === except) continue;
    const value = COLUMNS.get(key).values[i];
    if (!(value >= low && value <= high)) return false;
  }
  if (!FILTER.text) return true;
  return (
    needles[rows.image[i]].includes(FILTER.text) ||
    classNeedles[rows.class[i]].includes(FILTER.text) ||
    String(rows.annotation[i] ?? "") === FILTER.text
  );
}

function sortedBy(rows, { key, down }) {
  const column = COLUMNS.get(key);
  const values = column.magnitude ? column.values.map(Math.abs) : column.values;
  const way = down ? -1 : 1;
  // Rows without the number come last either way round; ties keep the order of the data.
  return rows.sort((a, b) => {
    const x = values[a];
    const y = values[b];
    if (x === y) return a - b;
    const missing = Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return missing || (Number.isNaN(x) ? a - b : x < y ? -way : way);
  });
}

export function select() {
  const rows = [];
  for (let i = 0; i < N; i++) if (passes(i)) rows.push(i);
  selection.order = sortedBy(rows, SORT);
  for (const listener of [...orderListeners, ...listeners]) listener();
}

export function sortBy(key, down = null) {
  const column = COLUMNS.get(key);
  // Worst first, then the other way round at the second click.
  SORT.down = down ?? (SORT.key === key ? !SORT.down : !column.up);
  SORT.key = key;
  selection.order = sortedBy(selection.order, SORT);
  for (const listener of orderListeners) listener();
}

export function setRange(key, low, high) {
  if (low === null && high === null) FILTER.ranges.delete(key);
  else FILTER.ranges.set(key, [low ?? -Infinity, high ?? Infinity]);
  select();
}

export function resetFilters() {
  FILTER.text = "";
  FILTER.ranges.clear();
  for (const name of ["kinds", "sizes", "classes", "marks", "suspects", "verdicts"])
    FILTER[name].clear();
  $("search").value = "";
  select();
}
