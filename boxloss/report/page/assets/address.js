// @ts-check
// Filters, tab and threshold in the page's address, so that a link leads to the same boxes.
import { COLUMNS } from "./columns.js";
import { $ } from "./dom.js";
import { GROUPS } from "./groups.js";
import { FILTER, SORT, clearFilters, orderListeners, select } from "./select.js";
import { MOVABLE, cutoff, setThreshold, thresholdListeners } from "./thresholds.js";

export const TABS = ["diagnosis", "boxes", "labels", "compare"];
export const tab = { name: "diagnosis" };
export const tabListeners = []; // called when another tab is shown

export function showTab(name) {
  tab.name = name;
  for (const each of TABS) {
    const button = $(`tab-${each}`);
    button.setAttribute("aria-selected", String(each === name));
    button.tabIndex = each === name ? 0 : -1;
  }
  // Labels are boxes too: the same rows, of which only the suspected ones pass.
  $("panel-diagnosis").hidden = name !== "diagnosis";
  $("panel-boxes").hidden = name !== "boxes" && name !== "labels";
  $("panel-boxes").setAttribute("aria-labelledby", name === "labels" ? "tab-labels" : "tab-boxes");
  $("panel-compare").hidden = name !== "compare";
  for (const listener of tabListeners) listener();
  writeSoon();
}

/** Show the boxes that pass these filters and no others: { chosen: {group: codes}, sort, text }. */
export function openBoxes(filter) {
  clearFilters();
  for (const [name, codes] of Object.entries(filter.chosen ?? {}))
    FILTER.chosen[name] = new Set(codes);
  if (filter.sort && COLUMNS.has(filter.sort)) {
    SORT.key = filter.sort;
    SORT.down = filter.down ?? !COLUMNS.get(filter.sort).up;
  }
  select();
  showTab("boxes");
  $("rows").focus();
}

/** The address of the boxes that `openBoxes(filter)` shows. */
export function addressOf(filter) {
  const words = new URLSearchParams({ tab: "boxes" });
  for (const [name, codes] of Object.entries(filter.chosen ?? {}))
    for (const code of codes) words.append(name, GROUPS.get(name).wordOf(code));
  if (filter.sort) words.set("sort", `${filter.sort} ${filter.down === false ? "up" : "down"}`);
  return `#${words}`;
}

export function openLabels() {
  clearFilters();
  FILTER.chosen.labels = new Set([1]);
  if (COLUMNS.has("extra:suspicion")) Object.assign(SORT, { key: "extra:suspicion", down: true });
  select();
  showTab("labels");
}

// A drag calls this many times per second, and browsers count each change of the address.
let waiting = null;
function writeSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(write, 250);
}

// A group of filters is written as its words, which mean the same in a page that is made anew.
function write() {
  const words = new URLSearchParams();
  if (tab.name !== "diagnosis") words.set("tab", tab.name);
  for (const [name, { wordOf }] of GROUPS) {
    for (const code of FILTER.chosen[name]) words.append(name, wordOf(code));
  }
  for (const [key, range] of FILTER.ranges) words.append("range", [key, ...range].join(" "));
  if (FILTER.text) words.set("text", FILTER.text);
  if (MOVABLE && cutoff.moved) words.set("threshold", String(cutoff.value));
  if (tab.name !== "diagnosis") words.set("sort", `${SORT.key} ${SORT.down ? "down" : "up"}`);
  const address = words.size ? `#${words}` : location.pathname.split("/").at(-1);
  try {
    history.replaceState(null, "", address);
  } catch {
    // A browser may forbid it for files; the page works without.
  }
}

function codeOfWord({ words, wordOf }, name, word) {
  if (name !== "cells") return words.indexOf(word);
  const side = GROUPS.get("classes").words.length + 1;
  for (let code = 0; code < side * side; code++) if (wordOf(code) === word) return code;
  return -1;
}

/** Take filters, tab and threshold from the address. */
export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const [name, group] of GROUPS) {
    const codes = words.getAll(name).map((word) => codeOfWord(group, name, word));
    FILTER.chosen[name] = new Set(codes.filter((code) => code >= 0));
  }
  for (const text of words.getAll("range")) {
    const [low, high] = text.split(" ").slice(-2).map(Number);
    const key = text.split(" ").slice(0, -2).join(" ");
    if (COLUMNS.has(key) && low <= high) FILTER.ranges.set(key, [low, high]);
  }
  FILTER.text = words.get("text") ?? "";
  $("search").value = FILTER.text;
  const [key, way] = (words.get("sort") ?? "").split(/ (?=down$|up$)/);
  if (COLUMNS.has(key)) Object.assign(SORT, { key, down: way === "down" });
  const value = Number(words.get("threshold") ?? NaN);
  if (MOVABLE && value >= 0 && value <= 1) setThreshold(value);
  const wanted = words.get("tab") ?? "";
  return TABS.includes(wanted) ? wanted : null;
}

export function startAddress() {
  orderListeners.push(writeSoon);
  thresholdListeners.push(writeSoon);
}
