// @ts-check
// Another run beside this one: the same true boxes, joined by image and annotation.
import { COLUMNS, addColumn } from "./columns.js";
import { KINDS, N, PAGE, SIDES, imageOf, isTrue } from "./data.js";
import { $, announce } from "./dom.js";
import { fillColumnChoices } from "./histogram.js";
import { OTHER } from "./other.js";
import { SORT, select } from "./select.js";
import { buildHead } from "./table.js";

function setOther(run) {
  const verdicts = [];
  Object.assign(OTHER, { run, verdicts });
  const change = new Float64Array(N).fill(NaN);
  const now = COLUMNS.get("error").values;
  for (let i = 0; i < N; i++) {
    const before = run.error[i] === null ? NaN : run.error[i];
    const found = [!Number.isNaN(before), !Number.isNaN(now[i])];
    if (run.kind[i] === null) {
      verdicts.push("unmatched");
      continue;
    }
    // A box that only one run found got infinitely worse or better.
    if (found[0] && found[1]) change[i] = now[i] - before;
    else if (found[0]) change[i] = Infinity;
    else if (found[1]) change[i] = -Infinity;
    else change[i] = 0;
    verdicts.push(change[i] > 1e-6 ? "worse" : change[i] < -1e-6 ? "better" : "same");
  }
  addColumn("change", "change of box error", change, { digits: 4 });
  $("legend-other").hidden = $("verdict-field").hidden = false;
  document.body.classList.add("comparing");
  fillColumnChoices();
  buildHead();
  SORT.key = "change";
  SORT.down = true;
  select();
}

// A file of another run ---------------------------------------------------------------------------

/** Rows of a CSV file (RFC 4180) as objects. */
function parseCsv(text) {
  const records = [[]];
  const pattern = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|\r|\n|$)/gy;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [whole, field, end] = match;
    records.at(-1).push(field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field);
    if (end !== ",") records.push([]);
    if (!whole.length || pattern.lastIndex >= text.length) break;
  }
  const [names, ...rest] = records.filter((record) => record.length > 1);
  return (rest || []).map((record) =>
    Object.fromEntries((names || []).map((name, i) => [name, record[i] ?? ""])),
  );
}

/** The rows of another run's boxes.csv, in the order of this page's rows. */
function alignRun(title, records) {
  const byKey = new Map();
  for (const record of records) {
    if (record.row === "truth")
      byKey.set(JSON.stringify([record.file_name, record.annotation_id]), record);
  }
  const number = (value) =>
    value === undefined || value === "" || !Number.isFinite(Number(value)) ? null : Number(value);
  const run = { title, kind: [], error: [], iou: [], score: [], prediction: [] };
  let joined = 0;
  for (let i = 0; i < N; i++) {
    const record = isTrue(i)
      ? byKey.get(JSON.stringify([imageOf(i).file_name, String(PAGE.rows.annotation[i])]))
      : undefined;
    if (record) joined++;
    run.kind.push(record ? Math.max(KINDS.indexOf(record.kind), 0) : null);
    run.error.push(record ? number(record.box_error) : null);
    run.iou.push(record ? number(record.iou) : null);
    run.score.push(record ? number(record.score) : null);
    const box = record ? SIDES.map((side) => number(record[`prediction_${side}`])) : [null];
    run.prediction.push(...(box.includes(null) ? [null, null, null, null] : box));
  }
  return joined ? run : null;
}

async function compareFile(file) {
  const run = alignRun(file.name, parseCsv(await file.text()));
  if (run) setOther(run);
  else
    announce(
      "That file has no box of this page: choose the boxes.csv of another run on the same images.",
    );
}

export function startCompare() {
  $("compare").addEventListener("click", () => $("compare-file").click());
  $("compare-file").addEventListener("change", () => {
    const chosen = $("compare-file");
    if (chosen.files.length) compareFile(chosen.files[0]);
    chosen.value = "";
  });
  if (PAGE.compare) setOther(PAGE.compare);
}
