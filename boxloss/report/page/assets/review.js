// @ts-check
// Marks that a person gives to rows; they outlive a reload in the browser's own storage.
import { N, PAGE, keyOf } from "./data.js";
import { announce, make } from "./dom.js";

export const MARKS = ["accept", "wrong label", "skip"];
export const MARK_KEYS = { a: "accept", w: "wrong label", s: "skip" };
const STORE = `boxloss-review:${PAGE.fingerprint}`;
const marks = loadMarks();
const keys = Array.from({ length: N }, (_, i) => keyOf(i));

function loadMarks() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORE) || "{}");
    return new Map(Object.entries(stored).filter(([, mark]) => MARKS.includes(mark)));
  } catch {
    return new Map(); // storage may be forbidden, or hold something else
  }
}

export function markOf(i) {
  return marks.get(keys[i]) || "open";
}

export function setMark(i, mark) {
  if (mark === null) marks.delete(keys[i]);
  else marks.set(keys[i], mark);
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(marks)));
  } catch {
    announce("This browser keeps no marks over a reload: export them.");
  }
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
      "aria-label": mark,
      title: `${mark} (${key.toUpperCase()})`,
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
