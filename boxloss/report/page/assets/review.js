// @ts-check
// Marks that a person gives to rows; they outlive a reload in the browser's own storage.
import { N, PAGE, PROPOSAL, isTrue, keyOf, predictionOf, proposedOf, truthOf } from "./data.js";
import { announce, make } from "./dom.js";

export const MARKS = ["accept", "wrong label", "skip", "fix"];
export const MARK_KEYS = { a: "accept", w: "wrong label", s: "skip" };
/** What the marks are called: where an audit proposes something, a mark is about the proposal. */
export const MARK_LABELS = PROPOSAL
  ? { accept: "keep label", "wrong label": "take proposal", fix: "fixed by hand", skip: "skip" }
  : { accept: "accept", "wrong label": "wrong label", fix: "fixed by hand", skip: "skip" };
const STORE = `boxloss-review:${PAGE.fingerprint}`;
const FIXES = `boxloss-fixes:${PAGE.fingerprint}`;
const marks = new Map(stored(STORE).filter(([, mark]) => MARKS.includes(mark)));
const fixes = new Map(stored(FIXES).filter(([, fix]) => isFix(fix)));
const keys = Array.from({ length: N }, (_, i) => keyOf(i));

function stored(name) {
  try {
    return Object.entries(JSON.parse(localStorage.getItem(name) || "{}"));
  } catch {
    return []; // storage may be forbidden, or hold something else
  }
}

function isFix(fix) {
  const box = fix?.box;
  const good = Array.isArray(box) && box.length === 4 && box.every(Number.isFinite);
  return good && box[0] < box[2] && box[1] < box[3] && fix.class in PAGE.classes;
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(marks)));
    localStorage.setItem(FIXES, JSON.stringify(Object.fromEntries(fixes)));
  } catch {
    announce("This browser keeps no marks over a reload: export them.");
  }
}

export function markOf(i) {
  const mark = marks.get(keys[i]) || "open";
  return mark === "fix" && !fixes.has(keys[i]) ? "open" : mark;
}

export function setMark(i, mark) {
  if (mark === null) marks.delete(keys[i]);
  else marks.set(keys[i], mark);
  if (mark !== "fix") fixes.delete(keys[i]);
  keep();
}

/** The box and class that a hand has given to row i: {box, class}; null without. */
export function fixOf(i) {
  return markOf(i) === "fix" ? fixes.get(keys[i]) : null;
}

export function setFix(i, box, number) {
  fixes.set(keys[i], { box, class: number });
  setMark(i, "fix");
}

/** {box, class} that a fix of row i begins with: its label, else what is proposed or was found. */
export function unfixed(i) {
  const box = isTrue(i) ? truthOf(i) : (proposedOf(i) ?? predictionOf(i));
  const proposed = isTrue(i) || !PROPOSAL ? -1 : PROPOSAL.class[i];
  return { box, class: proposed >= 0 ? proposed : PAGE.rows.class[i] };
}

/** The three buttons of a row. `done` runs after a mark has changed. */
export function markButtons(i, done) {
  const group = make("div", { class: "marks", role: "group", "aria-label": "Review" });
  for (const [key, mark] of Object.entries(MARK_KEYS)) {
    const pressed = markOf(i) === mark;
    const button = make("button", {
      type: "button",
      class: `mark ${mark.split(" ")[0]}`,
      "aria-pressed": String(pressed),
      "aria-label": MARK_LABELS[mark],
      title: `${MARK_LABELS[mark]} (${key.toUpperCase()})`,
      tabindex: "-1",
      text: { a: "✓", w: "✗", s: "–" }[key],
    });
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      setMark(i, pressed ? null : mark);
      done();
    });
    group.append(button);
  }
  return group;
}
