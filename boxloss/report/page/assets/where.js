// @ts-check
// Which classes and sizes are bad: a table, the worst first, every number a filter.
import { openBoxes } from "./address.js";
import { KINDS, PAGE, SIZES } from "./data.js";
import { $, make, refill } from "./dom.js";
import { format, grouped } from "./numbers.js";
import { rowsThere, summaryOf, summaryOfGroups } from "./statistics.js";

const FALSE_KINDS = ["loc", "cls", "both", "dupe", "bkg"].map((kind) => KINDS.indexOf(kind));
const MISSED = [KINDS.indexOf("miss")];
const HEAD = [
  ["name", ""],
  ["boxes", "boxes"],
  ["AP50", "AP50"],
  ["AP", "AP"],
  ["found", "found"],
  ["missed", "missed"],
  ["false", "false"],
  ["iou", "mean IoU"],
];
const order = { key: null, down: false };

/** One line for each class, size or both: { name, chosen: its filter, and the numbers }. */
function linesBy(by) {
  const { classes, sizes } = PAGE.diagnosis ?? {};
  const groups = new Map();
  const { whole } = PAGE; // its groups have class and size in front
  const codes = (i) => (whole ? i : [PAGE.rows.class[i], PAGE.rows.size[i]]);
  for (const i of whole?.groups ?? rowsThere()) {
    const [c, s] = codes(i);
    const key = by === "class" ? `${c}` : by === "size" ? `${s}` : `${c} ${s}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  return [...groups].map(([, rows]) => {
    const [c, s] = codes(rows[0]);
    const ap = by === "class" ? [classes, c] : by === "size" ? [sizes, s] : [null, 0];
    const names = { class: PAGE.classes[c], size: SIZES[s] };
    return {
      name: names[by] ?? `${PAGE.classes[c]}, ${SIZES[s]}`,
      chosen: { ...(by !== "size" && { classes: [c] }), ...(by !== "class" && { sizes: [s] }) },
      AP50: ap[0]?.AP50[ap[1]] ?? NaN,
      AP: ap[0]?.AP[ap[1]] ?? NaN,
      ...(whole ? summaryOfGroups(rows) : summaryOf(rows)),
    };
  });
}

function linesOfTable() {
  const by = $("where-by").value;
  // A table of few classes has room for the sizes below them.
  if (by !== "all") return sorted(linesBy(by));
  return [...sorted(linesBy("class")), ...sorted(linesBy("size"))];
}

/** Worst first: by AP, else by how many are found. */
function sorted(lines) {
  const worst = (line) => (Number.isNaN(line.AP50) ? line.found : line.AP50);
  const value = (line) => (order.key === null ? worst(line) : line[order.key]);
  const way = order.down ? -1 : 1;
  return lines.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (typeof x === "string") return x < y ? -way : way;
    return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || way * (x - y);
  });
}

function numberButton(text, filter) {
  const button = make("button", { type: "button", class: "cell", text });
  button.addEventListener("click", () => openBoxes(filter));
  return button;
}

function lineOf(line) {
  const { chosen } = line;
  const kinds = (codes) => ({ chosen: { ...chosen, kinds: codes } });
  const cell = (...content) => make("td", {}, ...content);
  const low = (value) => (value < 0.3 ? { class: "alarm" } : {});
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, numberButton(line.name, { chosen })),
    cell(grouped(line.boxes)),
    make("td", { ...low(line.AP50), text: format(line.AP50) }),
    make("td", { ...low(line.AP), text: format(line.AP) }),
    cell(Number.isNaN(line.found) ? "–" : `${format(100 * line.found, 0)} %`),
    cell(line.missed ? numberButton(grouped(line.missed), kinds(MISSED)) : "0"),
    cell(line.false ? numberButton(grouped(line.false), kinds(FALSE_KINDS)) : "0"),
    cell(format(line.iou, 2)),
  );
}

export function drawWhere() {
  const head = HEAD.map(([key, text]) => {
    const cell = make("th", { scope: "col" });
    const button = make("button", { type: "button", class: "cell", text: text || "class or size" });
    button.addEventListener("click", () => {
      order.down = order.key === key ? !order.down : !["name", "AP50", "AP", "found"].includes(key);
      order.key = key;
      drawWhere();
    });
    if (order.key === key) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    cell.append(button);
    return cell;
  });
  const body = linesOfTable().map(lineOf);
  refill(
    $("where-table"),
    $("where-by"),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...body),
  );
}

export function startWhere() {
  $("where-by").value = PAGE.classes.length > 8 ? "class" : "all";
  $("where-by").addEventListener("change", drawWhere);
}
