// The histogram of one column, and brushing a range on it.
const BINS = 40;
const WIDTH = 260;
const HEIGHT = 84;
let histogramKey = "error";

function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return null;
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function countBins(values, [low, high], keep) {
  const bins = new Array(BINS).fill(0);
  for (let i = 0; i < N; i++) {
    if (!Number.isFinite(values[i]) || !keep(i)) continue;
    bins[Math.min(BINS - 1, Math.floor(((values[i] - low) / (high - low)) * BINS))]++;
  }
  return bins;
}

function drawHistogram() {
  const place = $("histogram");
  const column = COLUMNS.get(histogramKey);
  const range = extent(column.values);
  place.replaceChildren();
  if (!range) {
    place.append(make("p", { class: "muted", text: "No row has this number." }));
    return;
  }
  const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 16}`, role: "img", "aria-label": `Histogram of ${column.label}; drag to choose a range, or use the two fields below` });
  const all = countBins(column.values, range, () => true);
  const kept = countBins(column.values, range, (i) => passes(i, `range:${histogramKey}`));
  // The square root keeps rare, bad boxes visible beside thousands of good ones.
  const top = Math.sqrt(Math.max(...all, 1));
  const step = WIDTH / BINS;
  [["all", all], ["kept", kept]].forEach(([name, bins]) => {
    bins.forEach((count, bin) => {
      if (!count) return;
      const height = Math.max(2, (Math.sqrt(count) / top) * HEIGHT);
      const bar = makeSvg("rect", { class: name, x: bin * step + 0.5, y: HEIGHT - height, width: step - 1, height });
      const title = makeSvg("title");
      title.textContent = `${count} of ${format(range[0] + (bin * (range[1] - range[0])) / BINS)} to ${format(range[0] + ((bin + 1) * (range[1] - range[0])) / BINS)}`;
      bar.append(title);
      svg.append(bar);
    });
  });
  const brushed = FILTER.ranges.get(histogramKey);
  if (brushed) svg.append(brushRect(...brushed.map((value) => toX(value, range))));
  for (const [x, anchor, value] of [[0, "start", range[0]], [WIDTH, "end", range[1]]]) {
    const text = makeSvg("text", { class: "tick", x, y: HEIGHT + 13, "text-anchor": anchor });
    text.textContent = format(value, column.digits);
    svg.append(text);
  }
  place.append(svg);
  listenBrush(svg, range);
  $("range-low").value = brushed && Number.isFinite(brushed[0]) ? Number(brushed[0].toPrecision(5)) : "";
  $("range-high").value = brushed && Number.isFinite(brushed[1]) ? Number(brushed[1].toPrecision(5)) : "";
  drawRanges();
}

/** Place of a value on the axis; open ends lie at its borders. */
function toX(value, [low, high]) {
  return Math.max(0, Math.min(WIDTH, ((value - low) / (high - low)) * WIDTH));
}

function brushRect(from, to) {
  return makeSvg("rect", { class: "brush", x: Math.min(from, to), y: 0, width: Math.abs(to - from), height: HEIGHT });
}

function listenBrush(svg, [low, high]) {
  let from = null;
  let rect = null;
  const at = (event) => {
    const frame = svg.getBoundingClientRect();
    return Math.max(0, Math.min(WIDTH, ((event.clientX - frame.left) / frame.width) * WIDTH));
  };
  svg.addEventListener("pointerdown", (event) => {
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return;
    if (rect) rect.remove();
    for (const old of svg.querySelectorAll(".brush")) old.remove();
    rect = brushRect(from, at(event));
    svg.append(rect);
  });
  svg.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const ends = [from, at(event)].sort((a, b) => a - b);
    from = null;
    // A click without a drag takes the brush away.
    if (ends[1] - ends[0] < 2) setRange(histogramKey, null, null);
    else {
      // An end at the border is open, so that no rounding drops the largest value.
      const [left, right] = ends.map((x) => low + (x / WIDTH) * (high - low));
      setRange(histogramKey, ends[0] < 1 ? null : left, ends[1] > WIDTH - 1 ? null : right);
    }
  });
}

/** Every range that filters, as a chip that takes it away. */
function drawRanges() {
  const chips = [...FILTER.ranges].map(([key, [low, high]]) => {
    const { label, digits } = COLUMNS.get(key);
    const button = make("button", { type: "button", class: "chip on", text: `${label}: ${format(low, digits)} to ${format(high, digits)} ✕` });
    button.addEventListener("click", () => setRange(key, null, null));
    return button;
  });
  refill($("ranges"), $("range-low"), ...chips);
}

function fillColumnChoices() {
  for (const [id, value] of [["range-column", histogramKey], ["sort-column", SORT.key]]) {
    const choices = [...COLUMNS.values()].filter((column) => id === "sort-column" || !column.text);
    $(id).replaceChildren(...choices.map((column) => make("option", { value: column.key, text: column.label })));
    $(id).value = value;
  }
}

function startHistogram() {
  fillColumnChoices();
  $("range-column").addEventListener("change", (event) => {
    histogramKey = event.target.value;
    drawHistogram();
  });
  const typed = (id) => ($(id).value === "" ? null : Number($(id).value));
  for (const id of ["range-low", "range-high"]) $(id).addEventListener("change", () => setRange(histogramKey, typed("range-low"), typed("range-high")));
  $("range-clear").addEventListener("click", () => setRange(histogramKey, null, null));
  listeners.push(drawHistogram);
}
