// Dataset cartography: mean error over the epochs of training against its spread.
const MAP = { x: "extra:history_std_error", y: "extra:history_mean_error", found: "extra:history_found", forgotten: "extra:history_forgotten" };
const MAP_CELLS = [52, 30];
const MAP_SIZE = [620, 320];
const MAP_MARGIN = { left: 46, right: 8, top: 8, bottom: 34 };

/** Rows that have both numbers, and the ranges of these. */
const mapped = (() => {
  if (!COLUMNS.has(MAP.x) || !COLUMNS.has(MAP.y)) return null;
  const [x, y] = [COLUMNS.get(MAP.x).values, COLUMNS.get(MAP.y).values];
  const rows = [];
  for (let i = 0; i < N; i++) if (Number.isFinite(x[i]) && Number.isFinite(y[i])) rows.push(i);
  return rows.length ? { rows, x, y, ranges: [extent(rows.map((i) => x[i])), extent(rows.map((i) => y[i]))] } : null;
})();

/** Three regions, each two ranges: the upper third of spread, and of the rest the upper third of error. */
const REGIONS = (() => {
  if (!mapped) return [];
  const third = (values) => {
    const sorted = mapped.rows.map((i) => values[i]).sort((a, b) => a - b);
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

const within = (value, [low, high]) => value >= low && value <= high;

function mapPlace(value, axis) {
  const [low, high] = mapped.ranges[axis];
  const share = Math.max(0, Math.min(1, (value - low) / (high - low)));
  const { left, right, top, bottom } = MAP_MARGIN;
  return axis === 0 ? left + share * (MAP_SIZE[0] - left - right) : MAP_SIZE[1] - bottom - share * (MAP_SIZE[1] - top - bottom);
}

function mapValue(place, axis) {
  const { left, right, top, bottom } = MAP_MARGIN;
  const share = axis === 0 ? (place - left) / (MAP_SIZE[0] - left - right) : (MAP_SIZE[1] - bottom - place) / (MAP_SIZE[1] - top - bottom);
  // An end at the border is open, so that no rounding drops the outermost box.
  if (share <= 0.002) return -Infinity;
  if (share >= 0.998) return Infinity;
  const [low, high] = mapped.ranges[axis];
  return low + share * (high - low);
}

/** cell -> rows in it. */
function mapCells(rows) {
  const cells = new Map();
  for (const i of rows) {
    const [x, y] = [mapped.x[i], mapped.y[i]].map((value, axis) => {
      const [low, high] = mapped.ranges[axis];
      return Math.min(MAP_CELLS[axis] - 1, Math.floor(((value - low) / (high - low)) * MAP_CELLS[axis]));
    });
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
  const outside = (key) => key === MAP.x || key === MAP.y;
  const held = [...FILTER.ranges].filter(([key]) => outside(key));
  held.forEach(([key]) => FILTER.ranges.delete(key));
  const kept = mapped.rows.filter((i) => passes(i));
  held.forEach(([key, range]) => FILTER.ranges.set(key, range));
  const label = `Mean error against its spread over the epochs, ${mapped.rows.length} boxes; the table has the numbers`;
  const svg = makeSvg("svg", { viewBox: `0 0 ${MAP_SIZE.join(" ")}`, role: "img", "aria-label": label });
  const { left, right, top, bottom } = MAP_MARGIN;
  svg.append(makeSvg("rect", { class: "frame", x: left, y: top, width: MAP_SIZE[0] - left - right, height: MAP_SIZE[1] - top - bottom }));
  const side = [(MAP_SIZE[0] - left - right) / MAP_CELLS[0], (MAP_SIZE[1] - top - bottom) / MAP_CELLS[1]];
  const all = mapCells(mapped.rows);
  const largest = Math.max(...[...all.values()].map((rows) => rows.length));
  const square = (cell, rows, name) => {
    const [x, y] = [cell % MAP_CELLS[0], Math.floor(cell / MAP_CELLS[0])];
    const size = Math.min(...side) * (0.35 + 0.65 * Math.sqrt(rows.length / largest));
    const rect = makeSvg("rect", { class: name, x: left + (x + 0.5) * side[0] - size / 2, y: MAP_SIZE[1] - bottom - (y + 0.5) * side[1] - size / 2, width: size, height: size });
    svg.append(rect);
    return rect;
  };
  for (const [cell, rows] of all) square(cell, rows, "all");
  for (const [cell, rows] of mapCells(kept)) {
    const found = meanOf(MAP.found, rows);
    const rect = square(cell, rows, "kept");
    rect.setAttribute("fill", diverging(1 - 2 * found));
    const title = makeSvg("title");
    title.textContent = `${rows.length} boxes: mean error ${format(meanOf(MAP.y, rows))}, spread ${format(meanOf(MAP.x, rows))}, found in ${format(100 * found, 0)} % of the epochs, forgotten ${format(meanOf(MAP.forgotten, rows), 1)} times`;
    rect.append(title);
  }
  drawMapAxes(svg);
  const ranges = [MAP.x, MAP.y].map((key) => FILTER.ranges.get(key));
  if (ranges.some(Boolean)) {
    const [xs, ys] = ranges.map((range, axis) => (range || [-Infinity, Infinity]).map((value) => mapPlace(value, axis)));
    svg.append(mapBrush([xs[0], ys[0]], [xs[1], ys[1]]));
  }
  listenMap(svg);
  $("map-plot").replaceChildren(svg);
  drawMapTable(kept);
}

function drawMapAxes(svg) {
  const text = (x, y, anchor, words) => {
    const element = makeSvg("text", { class: "tick", x, y, "text-anchor": anchor });
    element.textContent = words;
    svg.append(element);
    return element;
  };
  const { left, right, top, bottom } = MAP_MARGIN;
  const [xs, ys] = mapped.ranges;
  const floor = MAP_SIZE[1] - bottom;
  text(left, floor + 15, "start", format(xs[0]));
  text(MAP_SIZE[0] - right, floor + 15, "end", format(xs[1]));
  text((left + MAP_SIZE[0] - right) / 2, floor + 27, "middle", "spread over the epochs →");
  text(left - 5, floor, "end", format(ys[0], 2));
  text(left - 5, top + 11, "end", format(ys[1], 2));
  const middle = (top + floor) / 2;
  text(14, middle, "middle", "mean error →").setAttribute("transform", `rotate(-90 14 ${middle})`);
}

function mapBrush(a, b) {
  return makeSvg("rect", { class: "brush", x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]) });
}

function chooseMap(ranges) {
  [MAP.x, MAP.y].forEach((key, axis) => {
    const range = ranges && ranges[axis];
    if (range && range.some(Number.isFinite)) FILTER.ranges.set(key, range);
    else FILTER.ranges.delete(key);
  });
  select();
}

function listenMap(svg) {
  let from = null;
  let rect = null;
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  svg.addEventListener("pointerdown", (event) => {
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!from) return;
    for (const old of svg.querySelectorAll(".brush")) old.remove();
    rect = mapBrush(from, at(event));
    svg.append(rect);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = at(event);
    const corners = [0, 1].map((axis) => [from[axis], to[axis]].map((place) => mapValue(place, axis)).sort((a, b) => a - b));
    const far = Math.max(Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1]));
    from = null;
    // A click without a drag takes the brush away.
    chooseMap(far < 3 ? null : corners);
  });
}

function drawMapTable(kept) {
  const head = make("tr", {}, ...["", "boxes", "mean error", "spread", "found %", "forgotten"].map((text) => make("th", { scope: "col", text })));
  const body = make("tbody");
  for (const [name, x, y] of [...REGIONS, ["all", [-Infinity, Infinity], [-Infinity, Infinity]]]) {
    const rows = kept.filter((i) => within(mapped.x[i], x) && within(mapped.y[i], y));
    const button = make("button", { type: "button", text: name, "data-region": name });
    button.addEventListener("click", () => chooseMap([x, y]));
    const cells = [String(rows.length), format(meanOf(MAP.y, rows)), format(meanOf(MAP.x, rows)), format(100 * meanOf(MAP.found, rows), 1), format(meanOf(MAP.forgotten, rows), 2)];
    body.append(make("tr", {}, make("th", { scope: "row" }, button), ...cells.map((text) => make("td", { text }))));
  }
  refill($("map-table"), $("map-table"), make("thead", {}, head), body);
}

function startCartography() {
  if (!mapped) return;
  $("cartography").hidden = false;
  $("map-never").style.background = diverging(1);
  $("map-always").style.background = diverging(-1);
  $("cartography").addEventListener("toggle", drawMap);
  listeners.push(drawMap);
}
