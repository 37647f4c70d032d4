// @ts-check
// Filters as chips and check boxes, each with how many rows it would show.
import { KINDS, KIND_WORDS, N, PAGE, SIZES, SUSPECTS, suspectOf } from "./data.js";
import { $, $$, focusedElement, make } from "./dom.js";
import { VERDICTS, verdictOf } from "./other.js";
import { MARKS, markOf } from "./review.js";
import { FILTER, passes, select } from "./select.js";

export function toggleFilter(name, value) {
  const chosen = FILTER[name];
  if (chosen.has(value)) chosen.delete(value);
  else chosen.add(value);
  select();
}

function countBy(name, valueOf) {
  const counts = new Map();
  for (let i = 0; i < N; i++)
    if (passes(i, name)) counts.set(valueOf(i), (counts.get(valueOf(i)) || 0) + 1);
  return counts;
}

export function fillChips() {
  /** @type {[string, string[], (i: number) => any, boolean][]} */
  const groups = [
    ["kinds", KINDS, (i) => PAGE.rows.kind[i], true],
    ["sizes", SIZES, (i) => PAGE.rows.size[i], true],
    ["verdicts", VERDICTS, verdictOf, false],
    ["marks", ["open", ...MARKS], markOf, false],
    ["suspects", SUSPECTS, suspectOf, false],
  ];
  for (const [name, words, valueOf, numbered] of groups) {
    const counts = countBy(name, valueOf);
    const held = focusedElement()?.dataset.chip;
    $(name).replaceChildren(
      ...words.map((word, place) => {
        const value = numbered ? place : word;
        const on = FILTER[name].has(value);
        const button = make("button", {
          type: "button",
          class: `chip ${name === "kinds" ? word : ""} ${on ? "on" : ""}`,
          "aria-pressed": String(on),
          title: KIND_WORDS[word] || word,
          "data-chip": `${name}:${word}`,
          text: word,
        });
        button.append(make("small", { text: String(counts.get(value) || 0) }));
        button.addEventListener("click", () => toggleFilter(name, value));
        return button;
      }),
    );
    if (held?.startsWith(`${name}:`)) $$(`[data-chip="${held}"]`)?.focus();
  }
}

export function fillClasses() {
  const counts = countBy("classes", (i) => PAGE.rows.class[i]);
  const boxes = $("classes").querySelectorAll("input");
  if (!boxes.length) {
    PAGE.classes.forEach((name, c) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => toggleFilter("classes", c));
      $("classes").append(
        make(
          "label",
          { class: "check" },
          box,
          make("span", { text: name, title: name }),
          make("small"),
        ),
      );
    });
  }
  $("classes")
    .querySelectorAll("label")
    .forEach((label, c) => {
      label.querySelector("input").checked = FILTER.classes.has(c);
      label.querySelector("small").textContent = String(counts.get(c) || 0);
    });
}
