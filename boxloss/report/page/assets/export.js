// @ts-check
// The selection as files: CSV, COCO JSON, a list of file names; and the review marks.
import { COLUMNS } from "./columns.js";
import {
  KINDS,
  N,
  PAGE,
  PROPOSAL,
  SIDES,
  SIZES,
  errorsOf,
  imageOf,
  isTrue,
  keyOf,
  predictionOf,
  proposedOf,
  suspectOf,
  truthOf,
} from "./data.js";
import { $, focusedElement, make } from "./dom.js";
import { OTHER } from "./other.js";
import { fixOf, markOf } from "./review.js";
import { selection } from "./select.js";
import { here } from "./thresholds.js";

function save(name, type, text) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Row i with the names of boxes.csv. */
function recordOf(i) {
  const rows = PAGE.rows;
  const image = imageOf(i);
  const record = {
    row: isTrue(i) ? "truth" : "prediction",
    image_id: image.id,
    file_name: image.file_name,
    annotation_id: rows.annotation[i],
    detection: rows.detection[i],
    class: PAGE.classes[rows.class[i]],
    prediction_class: rows.predicted[i] < 0 ? null : PAGE.classes[rows.predicted[i]],
    kind: KINDS[rows.kind[i]],
    size: SIZES[rows.size[i]],
    score: rows.score[i],
  };
  for (const [name, box] of [
    ["truth", truthOf(i)],
    ["prediction", predictionOf(i)],
    ["error", errorsOf(i)],
  ]) {
    SIDES.forEach((side, s) => (record[`${name}_${side}`] = box ? box[s] : null));
  }
  Object.assign(record, { iou: rows.iou[i], box_error: rows.error[i] });
  for (const [name, values] of Object.entries(PAGE.terms)) record[`term_${name}`] = values[i];
  for (const [name, values] of Object.entries(PAGE.extra)) record[name] = values[i];
  if (PROPOSAL) {
    const box = proposedOf(i);
    Object.assign(record, {
      suspected: suspectOf(i),
      proposal: PROPOSAL.action[i],
      correction: PROPOSAL.applied[i] ? PROPOSAL.action[i] : null,
      corrected_class: PAGE.classes[PROPOSAL.class[i]] ?? null,
    });
    SIDES.forEach((side, s) => (record[`corrected_${side}`] = box ? box[s] : null));
  }
  if (OTHER.rows)
    record.change = Number.isFinite(COLUMNS.get("change").values[i])
      ? COLUMNS.get("change").values[i]
      : null;
  record.review = markOf(i) === "open" ? null : markOf(i);
  return record;
}

/** As boxloss writes boxes.csv: a spreadsheet would run a text like "=1+1" as a formula. */
function csvText(records) {
  const field = (value, name) => {
    let text = value === null || value === undefined ? "" : String(value);
    const formula = /^'*[=+\-@\t\r]/.test(text) || (/_id$/.test(name) && /^'*\d+$/.test(text));
    if (typeof value === "string" && formula) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = records.length ? Object.keys(records[0]) : [];
  const lines = records.map((record) => names.map((name) => field(record[name], name)).join(","));
  const text = `${[names.join(","), ...lines].join("\r\n")}\r\n`;
  // Without the mark a spreadsheet shows other letters than ASCII wrong.
  return /[^\0-\x7f]/.test(text) ? `\ufeff${text}` : text;
}

/** True boxes as COCO annotations with extra keys; false predictions as results beside them. */
function cocoText(rows) {
  const used = new Set(rows.map((i) => PAGE.rows.image[i]));
  const bbox = ([x1, y1, x2, y2]) => [x1, y1, x2 - x1, y2 - y1];
  const entry = (i, box) => {
    const { row, file_name, class: name, annotation_id, image_id, ...rest } = recordOf(i);
    const numbers = Object.entries(rest).filter(
      ([key, value]) => value !== null && !key.startsWith("truth_"),
    );
    return {
      image_id,
      category_id: PAGE.categories[PAGE.classes.indexOf(name)],
      bbox: bbox(box),
      ...Object.fromEntries(numbers.map(([key, value]) => [`boxloss_${key}`, value])),
    };
  };
  const content = {
    images: PAGE.images
      .filter((_, i) => used.has(i))
      .map(({ id, file_name, width, height }) => ({ id, file_name, width, height })),
    categories: PAGE.classes.map((name, i) => ({ id: PAGE.categories[i], name })),
    annotations: rows.filter(isTrue).map((i) => {
      const box = truthOf(i);
      return {
        id: PAGE.rows.annotation[i],
        ...entry(i, box),
        area: (box[2] - box[0]) * (box[3] - box[1]),
        iscrowd: 0,
      };
    }),
    predictions: rows
      .filter((i) => !isTrue(i))
      .map((i) => ({ ...entry(i, predictionOf(i)), score: PAGE.rows.score[i] })),
  };
  return JSON.stringify(content, null, 1);
}

function filesText(rows) {
  const names = [...new Set(rows.map((i) => PAGE.rows.image[i]))].map(
    (i) => PAGE.images[i].file_name,
  );
  // A name that would break the line is written as JSON text.
  return names
    .map((name) => (/[\u0000-\u001f]/.test(name) ? JSON.stringify(name) : name) + "\n")
    .join("");
}

function reviewText() {
  // A box has one mark and a row for each range of thresholds: the row that is there speaks for it.
  const rowOf = new Map();
  for (let i = 0; i < N; i++)
    if (markOf(i) !== "open" && (here[i] || !rowOf.has(keyOf(i)))) rowOf.set(keyOf(i), i);
  const found = [...rowOf.values()].map((i) => {
    const record = recordOf(i);
    const { image_id, file_name, annotation_id, detection, kind, review } = record;
    const mark = { image_id, file_name, annotation_id, detection, kind, mark: review };
    // What `boxloss audit --apply` needs: the label as it is, and as it should be.
    const sides = (name) =>
      Object.fromEntries(SIDES.map((side) => [`${name}_${side}`, record[`${name}_${side}`]]));
    const fix = fixOf(i);
    if (fix) {
      // A row without a label of its own becomes a new one.
      const label = isTrue(i) ? { class: record.class, ...sides("truth") } : {};
      const box = Object.fromEntries(SIDES.map((side, s) => [`fixed_${side}`, fix.box[s]]));
      return { ...mark, ...label, corrected_class: PAGE.classes[fix.class], ...box };
    }
    if (!PROPOSAL) return mark;
    const { proposal, corrected_class } = record;
    const change = { proposal, corrected_class, ...sides("corrected") };
    return { ...mark, class: record.class, ...sides("truth"), ...change };
  });
  return JSON.stringify({ title: PAGE.title, page: PAGE.fingerprint, marks: found }, null, 1);
}

const EXPORTS = {
  csv: () => save("boxloss-selection.csv", "text/csv", csvText(selection.order.map(recordOf))),
  coco: () => save("boxloss-selection.json", "application/json", cocoText(selection.order)),
  files: () => save("boxloss-files.txt", "text/plain", filesText(selection.order)),
  review: () => save("boxloss-review.json", "application/json", reviewText()),
};

export function startExport() {
  const menu = $("export-menu");
  const open = (shown) => {
    menu.hidden = !shown;
    $("export").setAttribute("aria-expanded", String(shown));
  };
  $("export").addEventListener("click", () => {
    open(menu.hidden);
    if (!menu.hidden) menu.querySelector("button").focus();
  });
  for (const button of menu.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      EXPORTS[button.dataset.export]();
      open(false);
      $("export").focus();
    });
  }
  menu.addEventListener("keydown", (event) => {
    const buttons = [...menu.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) buttons.at((buttons.indexOf(focusedElement()) + step) % buttons.length).focus();
    if (event.key === "Escape") {
      open(false);
      $("export").focus();
    }
    if (step || event.key === "Escape") event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (!menu.hidden && !(event.target instanceof Element && event.target.closest(".menu")))
      open(false);
  });
}
