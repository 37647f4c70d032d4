// @ts-check
// Filters as chips and check boxes, each with how many rows it would show.
import { KINDS, KIND_LABELS, KIND_WORDS, PAGE, SUSPECT_WORDS } from "./data.js";
import { $, $$, focusedElement, make } from "./dom.js";
import { GROUPS } from "./groups.js";
import { MARK_LABELS } from "./review.js";
import { FILTER, countsOf, select } from "./select.js";

const SHOWN = ["kinds", "causes", "sizes", "verdicts", "marks", "suspects"];

export function toggleFilter(name, code) {
  const chosen = FILTER.chosen[name];
  if (chosen.has(code)) chosen.delete(code);
  else chosen.add(code);
  select();
}

function labelOf(name, word) {
  if (name === "kinds") return KIND_LABELS[KINDS.indexOf(word)];
  return name === "marks" ? (MARK_LABELS[word] ?? word) : word;
}

function chipOf(name, word, code, count) {
  const on = FILTER.chosen[name].has(code);
  const kind = name === "kinds" ? word : "";
  const button = make("button", {
    type: "button",
    class: `chip ${kind} ${on ? "on" : ""}`,
    "aria-pressed": String(on),
    title: KIND_WORDS[word] || (name === "suspects" && SUSPECT_WORDS[word]) || word,
    "data-chip": `${name}:${word}`,
    text: labelOf(name, word),
  });
  button.append(make("small", { text: String(count) }));
  button.addEventListener("click", () => toggleFilter(name, code));
  return button;
}

export function fillChips() {
  for (const name of SHOWN) {
    const counts = countsOf(name);
    const held = focusedElement()?.dataset.chip;
    // A cause that no row has says nothing.
    /** @type {[string, number][]} */
    const words = GROUPS.get(name).words.map((word, code) => [word, code]);
    const shown = words.filter(
      ([, code]) => name !== "causes" || counts.get(code) || FILTER.chosen[name].has(code),
    );
    $(name).replaceChildren(
      ...shown.map(([word, code]) => chipOf(name, word, code, counts.get(code) || 0)),
    );
    if (held?.startsWith(`${name}:`)) $$(`[data-chip="${held}"]`)?.focus();
  }
}

export function fillClasses() {
  const counts = countsOf("classes");
  const place = $("classes");
  if (!place.children.length) {
    PAGE.classes.forEach((name, c) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => toggleFilter("classes", c));
      const words = make("span", { text: name, title: name });
      place.append(make("label", { class: "check" }, box, words, make("small")));
    });
  }
  place.querySelectorAll("label").forEach((label, c) => {
    label.querySelector("input").checked = FILTER.chosen.classes.has(c);
    label.querySelector("small").textContent = String(counts.get(c) || 0);
  });
}

/** Filters that have no chip of their own: each is named, and a click takes it away. */
export function fillOthers() {
  const chips = [];
  for (const name of ["about", "cells", "crossed", "labels"]) {
    for (const code of FILTER.chosen[name]) {
      const text = `${GROUPS.get(name).wordOf(code)} ✕`;
      const button = make("button", { type: "button", class: "chip on", text });
      button.addEventListener("click", () => toggleFilter(name, code));
      chips.push(button);
    }
  }
  $("others").replaceChildren(...chips);
}
