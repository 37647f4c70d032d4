// @ts-check
// The four tabs: which one is open, and how many boxes are behind each.
import { TABS, openLabels, readAddress, showTab, tab } from "./address.js";
import { drawCompare } from "./compare.js";
import { PAGE, PROPOSAL, looksWrong } from "./data.js";
import { $ } from "./dom.js";
import { grouped } from "./numbers.js";
import { OTHER } from "./other.js";
import { FILTER, select } from "./select.js";
import { rowsThere } from "./statistics.js";
import { thresholdListeners } from "./thresholds.js";

function countTabs() {
  $("count-boxes").textContent = grouped(rowsThere().length);
  if (!PROPOSAL) return;
  $("count-labels").textContent = grouped(rowsThere(looksWrong).length);
}

/** Open a tab by hand. Leaving the labels takes their filter away again. */
function choose(name) {
  if (name === "labels" && tab.name !== "labels") openLabels();
  else {
    if (tab.name === "labels" && FILTER.chosen.labels.size) {
      FILTER.chosen.labels.clear();
      select();
    }
    showTab(name);
  }
  if (name === "compare") drawCompare();
}

function onArrow(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const shown = TABS.filter((name) => !$(`tab-${name}`).hidden);
  const next = shown.at((shown.indexOf(tab.name) + step) % shown.length);
  choose(next);
  $(`tab-${next}`).focus();
  event.preventDefault();
}

/** Which tab a page opens on: the address's, else the comparison, the labels of an audit, … */
function firstTab() {
  const wanted = readAddress();
  if (wanted) return wanted;
  if (OTHER.rows) return "compare";
  return PAGE.subtitle === null ? "diagnosis" : "boxes";
}

export function startTabs() {
  $("tab-labels").hidden = !PROPOSAL;
  for (const name of TABS) $(`tab-${name}`).addEventListener("click", () => choose(name));
  $("tabs").addEventListener("keydown", onArrow);
  thresholdListeners.push(countTabs, () => tab.name === "compare" && drawCompare());
  countTabs();
  const first = firstTab();
  select();
  showTab(first);
  if (first === "compare") drawCompare();
}
