// @ts-check
// Filters, keys, theme; and the start.
import { startCartography } from "./cartography.js";
import { fillChips, fillClasses } from "./chips.js";
import { COLUMNS } from "./columns.js";
import { startCompare } from "./compare.js";
import { KINDS, KIND_WORDS, LIMIT, N, PAGE, PROPOSAL } from "./data.js";
import { $, announce, make } from "./dom.js";
import { startExport } from "./export.js";
import { startHistogram } from "./histogram.js";
import { onKey } from "./keys.js";
import { diverging } from "./picture.js";
import {
  FILTER,
  SORT,
  listeners,
  orderListeners,
  resetFilters,
  select,
  selection,
  sortBy,
} from "./select.js";
import { startSummary } from "./summary.js";
import { kindChip, startTable } from "./table.js";
import { startTheme } from "./theme.js";
import { startViewer } from "./viewer.js";

function drawStatus() {
  const images = new Set(selection.order.map((i) => PAGE.rows.image[i])).size;
  announce(`${selection.order.length} of ${N} boxes in ${images} images`);
  $("sort-column").value = SORT.key;
  $("sort-way").textContent = SORT.down ? "↓ large first" : "↑ small first";
}

function startWords() {
  $("title").textContent = PAGE.title;
  $("subtitle").textContent = PAGE.subtitle;
  $("suspect-field").hidden = $("legend-proposal").hidden = !PROPOSAL;
  $("limit").textContent = `${Math.round(100 * LIMIT)} %`;
  const stops = Array.from({ length: 21 }, (_, i) => diverging((i - 10) / 10));
  $("ramp").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const kind of KINDS)
    $("kind-words").append(
      make("dt", {}, kindChip(KINDS.indexOf(kind))),
      make("dd", { text: KIND_WORDS[kind] }),
    );
  Object.keys(PAGE.terms).forEach((name, place) =>
    $("legend-terms").append(make("span", {}, make("i", { class: `term t${place % 6}` }), name)),
  );
}

export function start() {
  startTheme();
  startWords();
  startTable();
  startHistogram();
  startCartography();
  startSummary();
  startViewer();
  startExport();
  orderListeners.push(drawStatus);
  listeners.push(fillChips, fillClasses);
  let pause = null;
  $("search").addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      FILTER.text = $("search").value.trim().toLowerCase();
      select();
    }, 120);
  });
  $("reset").addEventListener("click", resetFilters);
  $("sort-column").addEventListener("change", () =>
    sortBy($("sort-column").value, !COLUMNS.get($("sort-column").value).up),
  );
  $("sort-way").addEventListener("click", () => sortBy(SORT.key));
  $("help").addEventListener("click", () => $("help-box").showModal());
  $("help-close").addEventListener("click", () => $("help-box").close());
  document.addEventListener("keydown", onKey);
  if (matchMedia("(max-width: 1020px)").matches) $("filters").open = false;
  SORT.down = !COLUMNS.get(SORT.key).up;
  select();
  startCompare();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
