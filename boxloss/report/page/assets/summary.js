// @ts-check
// Numbers of the selection, by class, size or kind.
import { toggleFilter } from "./chips.js";
import { COLUMNS } from "./columns.js";
import { KINDS, PAGE, SIDES, SIZES, isTrue } from "./data.js";
import { $, make, refill } from "./dom.js";
import { format, mean, quantile, signed } from "./numbers.js";
import { listeners, selection } from "./select.js";

function summarise(rows) {
  const ok = KINDS.indexOf("ok");
  const pick = (key) => rows.map((i) => COLUMNS.get(key).values[i]).filter(Number.isFinite);
  const errors = pick("error").sort((a, b) => a - b);
  const truths = rows.filter(isTrue);
  return {
    boxes: truths.length,
    false: rows.length - truths.length,
    found: truths.length
      ? (100 * truths.filter((i) => PAGE.rows.kind[i] === ok).length) / truths.length
      : NaN,
    iou: mean(pick("iou")),
    mean: mean(errors),
    median: quantile(errors, 0.5),
    p95: quantile(errors, 0.95),
    bias: SIDES.map((side) => mean(pick(side))),
  };
}

function drawSummary() {
  if (!$("summary").open) return;
  const by = $("summary-by").value;
  const names = { class: PAGE.classes, size: SIZES, kind: KINDS }[by];
  const groups = new Map();
  for (const i of selection.order) {
    const value = PAGE.rows[by][i];
    if (!groups.has(value)) groups.set(value, []);
    groups.get(value).push(i);
  }
  const head = [
    "",
    "boxes",
    "false",
    "found %",
    "mean IoU",
    "mean error",
    "median",
    "95 %",
    ...SIDES.map((side) => `bias ${side}`),
  ];
  const lines = [...groups]
    .sort((a, b) => a[0] - b[0])
    .map(([value, rows]) => [
      names[value],
      summarise(rows),
      () => toggleFilter({ class: "classes", size: "sizes", kind: "kinds" }[by], value),
    ]);
  if (lines.length > 1) lines.push(["all", summarise(selection.order), null]);
  const body = make("tbody");
  for (const [name, numbers, choose] of lines) {
    const title = make("th", { scope: "row" });
    if (choose) {
      const button = make("button", { type: "button", text: name });
      button.addEventListener("click", choose);
      title.append(button);
    } else title.textContent = name;
    const cells = [
      String(numbers.boxes),
      String(numbers.false),
      format(numbers.found, 1),
      format(numbers.iou),
      format(numbers.mean, 4),
      format(numbers.median, 4),
      format(numbers.p95, 4),
      ...numbers.bias.map((value) => signed(value)),
    ];
    body.append(make("tr", {}, title, ...cells.map((text) => make("td", { text }))));
  }
  const columns = make("tr", {}, ...head.map((text) => make("th", { scope: "col", text })));
  refill($("summary-table"), $("summary-by"), make("thead", {}, columns), body);
}

export function startSummary() {
  $("summary-by").addEventListener("change", drawSummary);
  $("summary").addEventListener("toggle", drawSummary);
  listeners.push(drawSummary);
}
