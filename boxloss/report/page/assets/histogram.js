// @ts-check
// The histogram of one column, and brushing a range on it.
import { addTick, binOf, brushRect, linearAxis, listenBrush } from "./axes.js";
import { COLUMNS } from "./columns.js";
import { N, PAGE } from "./data.js";
import { $, make, makeSvg, refill } from "./dom.js";
import { extent, format } from "./numbers.js";
import { FILTER, SORT, listeners, passesBut, setRange } from "./select.js";
import { here } from "./thresholds.js";

const BINS = 40;
const WIDTH = 260;
const HEIGHT = 84;
let histogramKey = "error";

function countBins(values, range, keep) {
  const bins = new Array(BINS).fill(0);
  for (let i = 0; i < N; i++) {
    if (!Number.isFinite(values[i]) || !keep(i)) continue;
    bins[binOf(values[i], range, BINS)]++;
  }
  return bins;
}

function drawHistogram() {
  const place = $("histogram");
  const column = COLUMNS.get(histogramKey);
  const range = extent(column.values.filter((_, i) => here[i]));
  place.replaceChildren();
  if (!range) {
    place.append(make("p", { class: "muted", text: "No row has this number." }));
    return;
  }
  const axis = linearAxis(range, 0, WIDTH);
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT + 16}`,
    role: "img",
    "aria-label": `Histogram of ${column.label}; drag to choose a range, or use the fields below`,
  });
  const all = countBins(column.values, range, (i) => here[i]);
  const kept = countBins(column.values, range, passesBut(`range:${histogramKey}`));
  // The square root keeps rare, bad boxes visible beside thousands of good ones.
  const top = Math.sqrt(Math.max(...all, 1));
  const step = WIDTH / BINS;
  Object.entries({ all, kept }).forEach(([name, bins]) => {
    bins.forEach((count, bin) => {
      if (!count) return;
      const height = Math.max(2, (Math.sqrt(count) / top) * HEIGHT);
      const bar = makeSvg("rect", {
        class: name,
        x: bin * step + 0.5,
        y: HEIGHT - height,
        width: step - 1,
        height,
      });
      const title = makeSvg("title");
      const edge = (place) => format(range[0] + (place * (range[1] - range[0])) / BINS);
      title.textContent = `${count} of ${edge(bin)} to ${edge(bin + 1)}`;
      bar.append(title);
      svg.append(bar);
    });
  });
  drawLimit(svg, axis, range);
  const brushed = FILTER.ranges.get(histogramKey);
  if (brushed) svg.append(brushRect(...rangeCorners(...brushed.map(axis.placeOf))));
  for (const [x, anchor, value] of [
    [0, "start", range[0]],
    [WIDTH, "end", range[1]],
  ]) {
    addTick(svg, x, HEIGHT + 13, anchor, format(value, column.digits));
  }
  place.append(svg);
  listenBrush(
    svg,
    (from, to) => rangeCorners(from[0], to[0]),
    (from, to) => {
      if (from) setRange(histogramKey, axis.valueAt(from[0]), axis.valueAt(to[0]));
      else setRange(histogramKey, null, null);
    },
  );
  $("range-low").value =
    brushed && Number.isFinite(brushed[0]) ? Number(brushed[0].toPrecision(5)) : "";
  $("range-high").value =
    brushed && Number.isFinite(brushed[1]) ? Number(brushed[1].toPrecision(5)) : "";
  drawRanges();
}

/** The line from which labels look wrong, or corrections are made. */
function drawLimit(svg, axis, range) {
  const limits = {
    "extra:suspicion": ["from", "look wrong"],
    "extra:probability": ["apply_from", "are made"],
  };
  const [name, words] = limits[histogramKey] ?? [];
  const value = name && PAGE.audit?.[name];
  if (value === undefined || value === null || value < range[0] || value > range[1]) return;
  const x = axis.placeOf(value);
  svg.append(makeSvg("line", { class: "limit", x1: x, x2: x, y1: 0, y2: HEIGHT }));
  const anchor = x > WIDTH / 2 ? "end" : "start";
  addTick(svg, x + (anchor === "end" ? -4 : 4), 10, anchor, `${format(value, 1)}: ${words}`);
}

/** A brushed range as the two corners of its rectangle. */
const rangeCorners = (from, to) => {
  const ends = [from, to].map((x) => Math.max(0, Math.min(WIDTH, x))).sort((a, b) => a - b);
  return [
    [ends[0], 0],
    [ends[1], HEIGHT],
  ];
};

/** Every range that filters, as a chip that takes it away. */
function drawRanges() {
  const chips = [...FILTER.ranges].map(([key, [low, high]]) => {
    const { label, digits } = COLUMNS.get(key);
    const button = make("button", {
      type: "button",
      class: "chip on",
      text: `${label}: ${format(low, digits)} to ${format(high, digits)} ✕`,
    });
    button.addEventListener("click", () => setRange(key, null, null));
    return button;
  });
  refill($("ranges"), $("range-low"), ...chips);
}

export function fillColumnChoices() {
  for (const [id, value] of [
    ["range-column", histogramKey],
    ["sort-column", SORT.key],
  ]) {
    const choices = [...COLUMNS.values()].filter((column) => id === "sort-column" || !column.text);
    $(id).replaceChildren(
      ...choices.map((column) => make("option", { value: column.key, text: column.label })),
    );
    $(id).value = value;
  }
}

export function startHistogram() {
  fillColumnChoices();
  $("range-column").addEventListener("change", () => {
    histogramKey = $("range-column").value;
    drawHistogram();
  });
  const typed = (id) => ($(id).value === "" ? null : Number($(id).value));
  for (const id of ["range-low", "range-high"])
    $(id).addEventListener("change", () =>
      setRange(histogramKey, typed("range-low"), typed("range-high")),
    );
  $("range-clear").addEventListener("click", () => setRange(histogramKey, null, null));
  $("range-details").addEventListener("toggle", drawHistogram);
  listeners.push(drawHistogram);
}
