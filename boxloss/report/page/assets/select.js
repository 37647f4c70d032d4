// @ts-check
// Which rows, in which order. What changes it ends in `select()` or `sortBy()`.
import { causeText } from "./causes.js";
import { COLUMNS } from "./columns.js";
import { KIND_LABELS, N, PAGE, SIZES, imageOf, nameOf, proposalText, suspectOf } from "./data.js";
import { $ } from "./dom.js";
import { GROUPS } from "./groups.js";
import { here } from "./thresholds.js";

/** chosen: group -> codes that pass, all if there are none; ranges: column -> [low, high]. */
export const FILTER = {
  text: "",
  /** @type {Record<string, Set<number>>} */
  chosen: Object.fromEntries([...GROUPS.keys()].map((name) => [name, new Set()])),
  ranges: new Map(),
};
export const SORT = { key: COLUMNS.has(PAGE.sort) ? PAGE.sort : "error", down: true };
export const listeners = []; // called when the set of selected rows has changed
export const orderListeners = []; // called when the rows or their order have changed
export const selection = { order: [], there: 0 }; // the selected rows, sorted; how many there are

/** What each row prints, to be searched: made at the first search. */
let needles = null;

function needleOf(i) {
  const rows = PAGE.rows;
  const image = imageOf(i);
  const words = [image.file_name, image.id, `${nameOf(i)} · ${SIZES[rows.size[i]]}`];
  words.push(PAGE.classes[rows.class[i]], KIND_LABELS[rows.kind[i]], suspectOf(i) ?? "");
  words.push(proposalText(i), causeText(i));
  if (rows.predicted[i] >= 0) words.push(`predicted ${PAGE.classes[rows.predicted[i]]}`);
  return words.join("\n").toLowerCase();
}

function findsText() {
  needles ??= Array.from({ length: N }, (_, i) => needleOf(i));
  const text = FILTER.text;
  return (i) => needles[i].includes(text);
}

/** The filters in use: [id, whether row i passes]. */
function testsInUse() {
  /** @type {[string, (i: number) => boolean][]} */
  const tests = [];
  for (const [name, { codeOf }] of GROUPS) {
    const chosen = FILTER.chosen[name];
    if (chosen.size) tests.push([name, (i) => chosen.has(codeOf(i))]);
  }
  for (const [key, [low, high]] of FILTER.ranges) {
    const { values } = COLUMNS.get(key);
    tests.push([`range:${key}`, (i) => values[i] >= low && values[i] <= high]);
  }
  if (FILTER.text) tests.push(["text", findsText()]);
  return tests;
}

// One pass over the rows notes which filters each fails, a bit per filter. The selection, the
// counts on the chips and the histogram all read these bits: a chip counts the rows that fail no
// other filter than its own, and nothing walks through the rows once for each chip.
const failed = new Int32Array(N);
let bitOf = new Map();

function judge() {
  const tests = testsInUse();
  bitOf = new Map(tests.map(([id], place) => [id, 1 << place]));
  for (let i = 0; i < N; i++) {
    let bits = here[i] ? 0 : -1;
    if (bits === 0) {
      for (let place = 0; place < tests.length; place++) {
        if (!tests[place][1](i)) bits |= 1 << place;
      }
    }
    failed[i] = bits;
  }
}

/** Whether row i is there and passes every filter but those with these ids. */
export function passesBut(...ids) {
  let mask = -1;
  for (const id of ids) mask &= ~(bitOf.get(id) ?? 0);
  return (i) => (failed[i] & mask) === 0;
}

/** code -> how many rows would be shown if the group chose nothing. */
export function countsOf(name) {
  const { codeOf } = GROUPS.get(name);
  const passes = passesBut(name);
  const counts = new Map();
  for (let i = 0; i < N; i++) {
    if (!passes(i)) continue;
    const code = codeOf(i);
    counts.set(code, (counts.get(code) || 0) + 1);
  }
  return counts;
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
  judge();
  const rows = [];
  selection.there = 0;
  for (let i = 0; i < N; i++) {
    selection.there += here[i];
    if (failed[i] === 0) rows.push(i);
  }
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
  const open = (value) => value === null || !Number.isFinite(value);
  if (open(low) && open(high)) FILTER.ranges.delete(key);
  else FILTER.ranges.set(key, [low ?? -Infinity, high ?? Infinity]);
  select();
}

/** Take all filters away without drawing. */
export function clearFilters() {
  FILTER.text = "";
  FILTER.ranges.clear();
  for (const chosen of Object.values(FILTER.chosen)) chosen.clear();
  $("search").value = "";
}
