// @ts-check
// Dataset cartography: mean error over the epochs of training against its spread.
import { addTick, binOf, brushRect, linearAxis, listenBrush } from "./axes.js";
import { COLUMNS } from "./columns.js";
import { N } from "./data.js";
import { $, make, makeSvg, refill } from "./dom.js";
import { extent, format, mean, quantile } from "./numbers.js";
import { diverging } from "./picture.js";
import { FILTER, listeners, passesBut, select } from "./select.js";
import { here } from "./thresholds.js";

const MAP = {
  x: "extra:history_std_error",
  y: "extra:history_mean_error",
  found: "extra:history_found",
  forgotten: "extra:history_forgotten",
};
const MAP_CELLS = [52, 30];
const MAP_SIZE = [620, 320];
const MAP_MARGIN = { left: 46, right: 8, top: 8, bottom: 34 };

/** Rows of any threshold that have both numbers, and the ranges of these. */
const mapped = (() => {
  if (!COLUMNS.has(MAP.x) || !COLUMNS.has(MAP.y)) return null;
  const [x, y] = [COLUMNS.get(MAP.x).values, COLUMNS.get(MAP.y).values];
  const rows = [];
  for (let i = 0; i < N; i++) if (Number.isFinite(x[i]) && Number.isFinite(y[i])) rows.push(i);
  return rows.length
    ? { rows, x, y, ranges: [extent(rows.map((i) => x[i])), extent(rows.map((i) => y[i]))] }
    : null;
})();

/**
 * Three regions, each two ranges: the upper third of spread, and of the rest the upper third of
 * error.
 * @type {[string, number[], number[]][]}
 */
const REGIONS = (() => {
  if (!mapped) return [];
  const third = (values) => {
    const sorted = mapped.rows
      .filter((i) => here[i])
      .map((i) => values[i])
      .sort((a, b) => a - b);
    const limit = quantile(sorted, 2 / 3);
    return [sorted.findLast((value) => value < limit) ?? -Infinity, limit];
  };
  const [[steady, varied], [low, high]] = [third(mapped.x), third(mapped.y)];
  return [
    ["easy to learn", [-Infinity, steady], [-Infinity, low]],
    ["ambiguous", [varied, Infinity], [-Infinity, Infinity]],
    ["hard to learn", [-Infinity, steady], [high, Infinity]],
  ];
})();

/** @type {(value: number, range: number[]) => boolean} */
const within = (value, [low, high]) => value >= low && value <= high;

/** The two axes of the map, x and y. */
const mapAxes = (() => {
  if (!mapped) return [];
  const { left, right, top, bottom } = MAP_MARGIN;
  return [
    linearAxis(mapped.ranges[0], left, MAP_SIZE[0] - right),
    linearAxis(mapped.ranges[1], MAP_SIZE[1] - bottom, top),
  ];
})();

/** cell -> rows in it. */
function mapCells(rows) {
  const cells = new Map();
  for (const i of rows) {
    const x = binOf(mapped.x[i], mapped.ranges[0], MAP_CELLS[0]);
    const y = binOf(mapped.y[i], mapped.ranges[1], MAP_CELLS[1]);
    const key = y * MAP_CELLS[0] + x;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(i);
  }
  return cells;
}

function meanOf(key, rows) {
  return mean(rows.map((i) => COLUMNS.get(key).values[i]).filter(Number.isFinite));
}

function drawMap() {
  if (!mapped || !$("cartography").open) return;
  const there = mapped.rows.filter((i) => here[i]);
  const kept = there.filter(passesBut(`range:${MAP.x}`, `range:${MAP.y}`));
  const what = "Mean error against its spread over the epochs";
  const label = `${what}, ${there.length} boxes; the table has the numbers`;
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${MAP_SIZE.join(" ")}`,
    role: "img",
    "aria-label": label,
  });
  const { left, right, top, bottom } = MAP_MARGIN;
  svg.append(
    makeSvg("rect", {
      class: "frame",
      x: left,
      y: top,
      width: MAP_SIZE[0] - left - right,
      height: MAP_SIZE[1] - top - bottom,
    }),
  );
  const side = [
    (MAP_SIZE[0] - left - right) / MAP_CELLS[0],
    (MAP_SIZE[1] - top - bottom) / MAP_CELLS[1],
  ];
  const all = mapCells(there);
  const largest = Math.max(...[...all.values()].map((rows) => rows.length));
  const square = (cell, rows, name) => {
    const [x, y] = [cell % MAP_CELLS[0], Math.floor(cell / MAP_CELLS[0])];
    const size = Math.min(...side) * (0.35 + 0.65 * Math.sqrt(rows.length / largest));
    const rect = makeSvg("rect", {
      class: name,
      x: left + (x + 0.5) * side[0] - size / 2,
      y: MAP_SIZE[1] - bottom - (y + 0.5) * side[1] - size / 2,
      width: size,
      height: size,
    });
    svg.append(rect);
    return rect;
  };
  for (const [cell, rows] of all) square(cell, rows, "all");
  for (const [cell, rows] of mapCells(kept)) {
    const found = meanOf(MAP.found, rows);
    const rect = square(cell, rows, "kept");
    rect.setAttribute("fill", diverging(1 - 2 * found));
    const title = makeSvg("title");
    title.textContent = [
      `${rows.length} boxes: mean error ${format(meanOf(MAP.y, rows))}`,
      `spread ${format(meanOf(MAP.x, rows))}`,
      `found in ${format(100 * found, 0)} % of the epochs`,
      `forgotten ${format(meanOf(MAP.forgotten, rows), 1)} times`,
    ].join(", ");
    rect.append(title);
  }
  drawMapAxes(svg);
  const ranges = [MAP.x, MAP.y].map((key) => FILTER.ranges.get(key));
  if (ranges.some(Boolean)) {
    const [xs, ys] = ranges.map((range, axis) =>
      (range || [-Infinity, Infinity]).map(mapAxes[axis].placeOf),
    );
    svg.append(brushRect([xs[0], ys[0]], [xs[1], ys[1]]));
  }
  listenBrush(svg, (from, to) => [from, to], chooseBrushed);
  $("map-plot").replaceChildren(svg);
  drawMapTable(kept);
}

function drawMapAxes(svg) {
  const text = (x, y, anchor, words) => addTick(svg, x, y, anchor, words);
  const { left, right, top, bottom } = MAP_MARGIN;
  const [xs, ys] = mapped.ranges;
  const floor = MAP_SIZE[1] - bottom;
  text(left, floor + 15, "start", format(xs[0]));
  text(MAP_SIZE[0] - right, floor + 15, "end", format(xs[1]));
  text((left + MAP_SIZE[0] - right) / 2, floor + 27, "middle", "spread over the epochs →");
  text(left - 5, floor, "end", format(ys[0], 2));
  text(left - 5, top + 11, "end", format(ys[1], 2));
  const middle = (top + floor) / 2;
  const words = text(14, middle, "middle", "mean error →");
  words.setAttribute("transform", `rotate(-90 14 ${middle})`);
}

function chooseMap(ranges) {
  [MAP.x, MAP.y].forEach((key, axis) => {
    const range = ranges && ranges[axis];
    if (range && range.some(Number.isFinite)) FILTER.ranges.set(key, range);
    else FILTER.ranges.delete(key);
  });
  select();
}

function chooseBrushed(from, to) {
  if (!from) return chooseMap(null);
  const ends = (axis) => [from[axis], to[axis]].map(mapAxes[axis].valueAt).sort((a, b) => a - b);
  chooseMap([ends(0), ends(1)]);
}

function drawMapTable(kept) {
  const head = make(
    "tr",
    {},
    ...["", "boxes", "mean error", "spread", "found %", "forgotten"].map((text) =>
      make("th", { scope: "col", text }),
    ),
  );
  const body = make("tbody");
  const everything = [-Infinity, Infinity];
  /** @type {[string, number[], number[]][]} */
  const regions = [...REGIONS, ["all", everything, everything]];
  for (const [name, x, y] of regions) {
    const rows = kept.filter((i) => within(mapped.x[i], x) && within(mapped.y[i], y));
    const button = make("button", { type: "button", text: name, "data-region": name });
    button.addEventListener("click", () => chooseMap([x, y]));
    const cells = [
      String(rows.length),
      format(meanOf(MAP.y, rows)),
      format(meanOf(MAP.x, rows)),
      format(100 * meanOf(MAP.found, rows), 1),
      format(meanOf(MAP.forgotten, rows), 2),
    ];
    body.append(
      make(
        "tr",
        {},
        make("th", { scope: "row" }, button),
        ...cells.map((text) => make("td", { text })),
      ),
    );
  }
  refill($("map-table"), $("map-table"), make("thead", {}, head), body);
}

export function startCartography() {
  if (!mapped) return;
  $("cartography").hidden = false;
  $("map-never").style.background = diverging(1);
  $("map-always").style.background = diverging(-1);
  $("cartography").addEventListener("toggle", drawMap);
  listeners.push(drawMap);
}
