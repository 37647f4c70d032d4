// @ts-check
// The Compare tab: two runs at one threshold, what became better and what worse.
import { openBoxes } from "./address.js";
import { addColumn } from "./columns.js";
import { KINDS, KIND_LABELS, N, PAGE, SIDES, SIZES, isTrue } from "./data.js";
import { $, announce, make } from "./dom.js";
import { fillColumnChoices } from "./histogram.js";
import { format, signed } from "./numbers.js";
import { OTHER, VERDICTS, alignOther, crossedOf } from "./other.js";
import { SORT, select } from "./select.js";
import { buildHead } from "./table.js";
import { cutoff, here, thresholdListeners } from "./thresholds.js";

const OK = KINDS.indexOf("ok");

/** run: { title, rows, threshold, diagnosis } as PAGE.compare. */
function setOther(run) {
  Object.assign(OTHER, run);
  alignOther();
  addColumn("change", "change of box error", OTHER.change, { digits: 4 });
  $("legend-other").hidden = $("verdict-field").hidden = false;
  document.body.classList.add("comparing");
  fillColumnChoices();
  buildHead();
  SORT.key = "change";
  SORT.down = true;
  select();
  drawCompare();
}

// A file of another run ---------------------------------------------------------------------------

/** Rows of a CSV file (RFC 4180) as objects. */
function parseCsv(text) {
  const records = [[]];
  const pattern = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|\r|\n|$)/gy;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [whole, field, end] = match;
    const value = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field;
    // An apostrophe that boxloss put before what a spreadsheet would run, or read as a number.
    records.at(-1).push(/^'+([=+\-@\t\r]|\d+$)/.test(value) ? value.slice(1) : value);
    if (end !== ",") records.push([]);
    if (!whole.length || pattern.lastIndex >= text.length) break;
  }
  const [names, ...rest] = records.filter((record) => record.length > 1);
  return (rest || []).map((record) =>
    Object.fromEntries((names || []).map((name, i) => [name, record[i] ?? ""])),
  );
}

/** The rows of another run's boxes.csv in the form of PAGE.rows, those in images of this page. */
function rowsOfFile(records) {
  const imageAt = new Map(PAGE.images.map((image, place) => [image.file_name, place]));
  const classAt = new Map(PAGE.classes.map((name, place) => [name, place]));
  const kept = records.filter((record) => imageAt.has(record.file_name));
  const number = (text) => (text && Number.isFinite(Number(text)) ? Number(text) : null);
  const sides = (record) => SIDES.map((side) => number(record[`prediction_${side}`]));
  const column = (valueOf) => kept.map(valueOf);
  return {
    image: column((record) => imageAt.get(record.file_name)),
    own: column((record) => Number(record.row === "truth")),
    annotation: column((record) => record.annotation_id),
    kind: column((record) => Math.max(KINDS.indexOf(record.kind), 0)),
    size: column((record) => Math.max(SIZES.indexOf(record.size), 0)),
    class: column((record) => classAt.get(record.class) ?? -1),
    predicted: column((record) => classAt.get(record.prediction_class) ?? -1),
    score: column((record) => number(record.score)),
    iou: column((record) => number(record.iou)),
    error: column((record) => number(record.box_error)),
    prediction: kept.map(sides).flatMap((box) => (box.includes(null) ? Array(4).fill(null) : box)),
    low: column(() => null),
    high: column(() => null),
  };
}

async function compareFile(file) {
  const rows = rowsOfFile(parseCsv(await file.text()));
  if (rows.kind.length) setOther({ title: file.name, rows, threshold: null, diagnosis: null });
  else {
    const words = "That file has no box of this page: choose boxes.csv of another run.";
    announce(words);
    $("compare-words").textContent = words;
  }
}

// What is shown -----------------------------------------------------------------------------------

/** How many boxes only this run, only the other one, both or neither found rightly. */
function crossings() {
  const found = { fixed: 0, broken: 0, both: 0, neither: 0 };
  for (let i = 0; i < N; i++) {
    if (!here[i] || !isTrue(i) || OTHER.rowOf[i] < 0) continue;
    const crossed = crossedOf(i);
    const same = PAGE.rows.kind[i] === OK ? "both" : "neither";
    found[crossed < 0 ? same : ["fixed", "broken"][crossed]]++;
  }
  return found;
}

function countRows(rows, places, keep) {
  return places.reduce((sum, i) => sum + Number(keep(rows, i)), 0);
}

const ours = () => Array.from({ length: N }, (_, i) => i).filter((i) => here[i]);

function delta(now, before, digits = 0) {
  if (now === null || before === null || now === undefined || before === undefined) return "–";
  return signed(now - before, digits);
}

export function drawCompare() {
  $("compare-result").hidden = !OTHER.rows;
  if (!OTHER.rows) return;
  const at = cutoff.value === null || OTHER.threshold === null ? "" : ` at ${format(cutoff.value)}`;
  $("compare-words").textContent = `${PAGE.title} against ${OTHER.title}${at}`;
  const { fixed, broken, both, neither } = crossings();
  const fresh = OTHER.verdicts.filter((verdict) => verdict === "new").length;
  const code = VERDICTS.indexOf("new");
  $("compare-counts").replaceChildren(
    fact(fixed, "fixed: only this run finds them", { chosen: { crossed: [0] } }),
    fact(broken, "broken: only the other run finds them", { chosen: { crossed: [1] } }),
    fact(both, "found by both"),
    fact(neither, "found by neither"),
    fact(fresh, "false boxes that are new", { chosen: { verdicts: [code] } }),
    fact(OTHER.gone.length, "false boxes that are gone"),
  );
  drawMetrics();
  drawKinds();
  drawClasses();
}

function fact(number, words, filter = null) {
  const value = make("b", { text: String(number) });
  const content = [value, make("span", { class: "muted", text: words })];
  if (!filter) return make("div", { class: "stat" }, ...content);
  const button = make("button", { type: "button", class: "stat" }, ...content);
  button.addEventListener("click", () => openBoxes(filter));
  return button;
}

function tableOf(place, head, lines) {
  const columns = head.map((text) => make("th", { scope: "col", text }));
  const body = lines.map(([name, ...cells]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      ...cells.map((text) => make("td", { text: String(text) })),
    ),
  );
  $(place).replaceChildren(
    make("thead", {}, make("tr", {}, ...columns)),
    make("tbody", {}, ...body),
  );
}

function drawMetrics() {
  const [now, before] = [PAGE.diagnosis?.metrics, OTHER.diagnosis?.metrics];
  $("compare-metrics").hidden = !now || !before;
  if (!now || !before) return;
  const lines = ["AP", "AP50", "AP75"].map((name) => {
    return [name, format(now[name]), format(before[name]), delta(now[name], before[name], 3)];
  });
  tableOf("compare-metrics", ["", "this run", "other run", "change"], lines);
}

function drawKinds() {
  const places = ours();
  const lines = KINDS.map((kind, k) => {
    const keep = (rows, i) => rows.kind[i] === k;
    const [now, before] = [
      countRows(PAGE.rows, places, keep),
      countRows(OTHER.rows, OTHER.there, keep),
    ];
    const points = [PAGE.diagnosis?.points[kind], OTHER.diagnosis?.points[kind]];
    const button = make("button", { type: "button", text: KIND_LABELS[k] });
    button.addEventListener("click", () => openBoxes({ chosen: { kinds: [k] } }));
    return [button, now, before, delta(now, before), delta(points[0], points[1], 1)];
  });
  tableOf("compare-kinds", ["boxes", "this run", "other run", "change", "points of AP50"], lines);
}

function drawClasses() {
  const places = ours();
  const [now, before] = [PAGE.diagnosis?.classes, OTHER.diagnosis?.classes];
  const lines = PAGE.classes.map((name, c) => {
    const found = (rows, i) => rows.own[i] && rows.class[i] === c && rows.kind[i] === OK;
    const wrong = (rows, i) => !rows.own[i] && rows.class[i] === c;
    const change = (keep) =>
      delta(countRows(PAGE.rows, places, keep), countRows(OTHER.rows, OTHER.there, keep));
    const button = make("button", { type: "button", text: name });
    button.addEventListener("click", () => openBoxes({ chosen: { classes: [c] } }));
    const ap = delta(now?.AP[c], before?.AP[c], 3);
    return [button, ap, change(found), change(wrong)];
  });
  tableOf("compare-classes", ["class", "AP", "found", "false boxes"], lines);
}

export function startCompare() {
  $("compare").addEventListener("click", () => $("compare-file").click());
  $("compare-file").addEventListener("change", () => {
    const chosen = $("compare-file");
    if (chosen.files.length) compareFile(chosen.files[0]);
    chosen.value = "";
  });
  thresholdListeners.push(alignOther);
  if (PAGE.compare) setOther(PAGE.compare);
}
