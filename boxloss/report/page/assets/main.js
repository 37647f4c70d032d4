// @ts-check
// Fields that belong to no part of their own, and the start.
import { startAddress, tab, tabListeners } from "./address.js";
import { startCartography } from "./cartography.js";
import { fillChips, fillClasses, fillOthers } from "./chips.js";
import { COLUMNS } from "./columns.js";
import { startCompare } from "./compare.js";
import { startCurves } from "./curves.js";
import {
  KINDS,
  KIND_WORDS,
  LIMIT,
  N,
  PAGE,
  PROPOSAL,
  SUSPECTS,
  SUSPECT_WORDS,
  isTrue,
  looksWrong,
} from "./data.js";
import { drawSubtitle, startDiagnosis } from "./diagnosis.js";
import { $, announce, make } from "./dom.js";
import { startExport } from "./export.js";
import { startGallery } from "./gallery.js";
import { startHistogram } from "./histogram.js";
import { startExplain } from "./explain.js";
import { onKey } from "./keys.js";
import { grouped } from "./numbers.js";
import { diverging } from "./picture.js";
import { MARK_KEYS, MARK_LABELS } from "./review.js";
import {
  FILTER,
  SORT,
  clearFilters,
  listeners,
  orderListeners,
  select,
  selection,
  sortBy,
} from "./select.js";
import { startSides } from "./sides.js";
import { startSummary } from "./summary.js";
import { kindChip, startTable } from "./table.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { thresholdListeners } from "./thresholds.js";
import { startViewer } from "./viewer.js";
import { startWhere } from "./where.js";

function drawStatus() {
  const images = new Set(selection.order.map((i) => PAGE.rows.image[i])).size;
  $("labels-heading").hidden = tab.name !== "labels";
  announce(`${selection.order.length} of ${selection.there} boxes in ${images} images`);
  $("sort-column").value = SORT.key;
  $("sort-way").textContent = SORT.down ? "↓ large first" : "↑ small first";
}

/** "25 of 1,137 labels look wrong"; of a page without an audit of its own, what is on it. */
function labelsHeading() {
  const rows = Array.from({ length: N }, (_, i) => i).filter(looksWrong);
  const here = rows.filter(isTrue).length;
  const found = PAGE.audit ?? { wrong: here, places: rows.length - here, labels: null };
  const of = found.labels === null ? "" : ` of ${grouped(found.labels)}`;
  const where = `${grouped(found.places)} ${found.places === 1 ? "place" : "places"}`;
  const places = found.places ? `; at ${where} a label seems to be missing` : "";
  return `${grouped(found.wrong)}${of} labels look wrong${places}.`;
}

function startWords() {
  $("title").textContent = PAGE.title;
  drawSubtitle();
  $("suspect-field").hidden = $("legend-proposal").hidden = !PROPOSAL;
  const marks = Object.entries(MARK_KEYS).map(([key, mark]) => [
    key.toUpperCase(),
    MARK_LABELS[mark],
  ]);
  $("hint-marks").textContent = marks.map((pair) => pair.join(" ")).join(" · ");
  const words = marks.map(([, label]) => label).join(", ");
  $("help-marks").textContent = `mark: ${words}; U takes a mark back`;
  $("labels-heading").textContent = labelsHeading();
  $("limit").textContent = `${Math.round(100 * LIMIT)} %`;
  const stops = Array.from({ length: 21 }, (_, i) => diverging((i - 10) / 10));
  $("ramp").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const kind of KINDS) {
    const chip = kindChip(KINDS.indexOf(kind));
    const text = KIND_WORDS[kind].split(": ").at(-1);
    $("kind-words").append(make("dt", {}, chip), make("dd", { text }));
  }
  for (const name of SUSPECTS) {
    const text = (SUSPECT_WORDS[name] ?? name).split(": ").at(-1);
    $("suspect-words").append(make("dt", { text: name }), make("dd", { text }));
  }
  $("suspect-help").hidden = !SUSPECTS.length;
  Object.keys(PAGE.terms).forEach((name, place) =>
    $("legend-terms").append(make("span", {}, make("i", { class: `term t${place % 6}` }), name)),
  );
}

function startFields() {
  let pause = null;
  $("search").addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      FILTER.text = $("search").value.trim().toLowerCase();
      select();
    }, 120);
  });
  for (const id of ["reset", "empty-reset"]) {
    $(id).addEventListener("click", () => {
      clearFilters();
      select();
    });
  }
  const column = () => $("sort-column").value;
  $("sort-column").addEventListener("change", () => sortBy(column(), !COLUMNS.get(column()).up));
  $("sort-way").addEventListener("click", () => sortBy(SORT.key));
  $("help").addEventListener("click", () => $("help-box").showModal());
  $("help-close").addEventListener("click", () => $("help-box").close());
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  document.addEventListener("keydown", onKey);
}

/** A dragged threshold moves the tab in sight at once, the rows behind it when it rests. */
function followThreshold() {
  let pause = null;
  thresholdListeners.push(() => {
    clearTimeout(pause);
    pause = setTimeout(select, tab.name === "diagnosis" ? 150 : 30);
  });
}

function start() {
  startTheme();
  startWords();
  startTable();
  startHistogram();
  startCartography();
  startSummary();
  startViewer();
  startExport();
  startGallery();
  startExplain();
  tabListeners.push(() => ($("labels-heading").hidden = tab.name !== "labels"));
  orderListeners.push(drawStatus);
  listeners.push(fillChips, fillClasses, fillOthers);
  startFields();
  if (matchMedia("(max-width: 1020px)").matches) $("filters").open = false;
  SORT.down = !COLUMNS.get(SORT.key).up;
  startWhere();
  startSides();
  startCurves();
  startCompare();
  followThreshold();
  startDiagnosis();
  startAddress();
  startTabs();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
