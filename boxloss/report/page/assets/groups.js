// @ts-check
// What rows can be filtered by: each group gives a row one code, and a filter is a set of codes.
import { CAUSES, causes } from "./causes.js";
import { KINDS, N, PAGE, SIZES, SUSPECTS, looksWrong, suspectOf } from "./data.js";
import { VERDICTS, crossedOf, verdictOf } from "./other.js";
import { MARKS, markOf } from "./review.js";

const MARK_WORDS = ["open", ...MARKS];
const suspectCode = new Map(SUSPECTS.map((name, code) => [name, code]));
const suspects = Int16Array.from({ length: N }, (_, i) => suspectCode.get(suspectOf(i)) ?? -1);
const CELL_WORDS = [...PAGE.classes, "nothing"];

/** The two sides of the confusion matrix: what a row's box is, and what it was taken for. */
export const NOTHING = PAGE.classes.length;
export const cells = Int32Array.from({ length: N }, (_, i) => {
  const rows = PAGE.rows;
  const kind = KINDS[rows.kind[i]];
  const side = NOTHING + 1;
  if (rows.own[i]) {
    const taken = kind === "ok" || kind === "cls" ? rows.predicted[i] : NOTHING;
    return rows.class[i] * side + taken;
  }
  return NOTHING * side + rows.predicted[i];
});
export const cellCode = (truth, taken) => truth * (NOTHING + 1) + taken;

function cellWord(code) {
  const [truth, taken] = [Math.floor(code / (NOTHING + 1)), code % (NOTHING + 1)];
  return `${CELL_WORDS[truth]} → ${CELL_WORDS[taken]}`;
}

/**
 * name -> { words: of each code, codeOf(i), wordOf(code) }. The last four have no chips.
 * @type {Map<string, { words: string[], codeOf: (i: number) => number,
 *   wordOf: (code: number) => string }>}
 */
export const GROUPS = new Map();

function addGroup(name, words, codeOf, wordOf = (code) => words[code]) {
  GROUPS.set(name, { words, codeOf, wordOf });
}

addGroup("kinds", KINDS, (i) => PAGE.rows.kind[i]);
addGroup("causes", CAUSES, (i) => causes[i]);
addGroup("sizes", SIZES, (i) => PAGE.rows.size[i]);
addGroup("classes", PAGE.classes, (i) => PAGE.rows.class[i]);
addGroup("verdicts", VERDICTS, (i) => VERDICTS.indexOf(verdictOf(i)));
addGroup("marks", MARK_WORDS, (i) => MARK_WORDS.indexOf(markOf(i)));
addGroup("suspects", SUSPECTS, (i) => suspects[i]);
addGroup("about", ["true boxes", "false boxes"], (i) => 1 - PAGE.rows.own[i]);
addGroup("labels", ["not suspected", "suspected"], (i) => Number(looksWrong(i)));
addGroup("crossed", ["fixed", "broken"], crossedOf);
addGroup("cells", [], (i) => cells[i], cellWord);
