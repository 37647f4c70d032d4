// @ts-check
// Precision and recall over confidence, with the threshold that can be dragged, and over recall.
import { addTick, linearAxis, pointIn } from "./axes.js";
import { PAGE } from "./data.js";
import { $, make, makeSvg } from "./dom.js";
import { format } from "./numbers.js";
import { MOVABLE, cutoff, setThreshold } from "./thresholds.js";

const SIZE = [460, 128];
const PLOT = { left: 26, right: 452, top: 6, bottom: 108 };
const xAxis = linearAxis([0, 1], PLOT.left, PLOT.right);
const yAxis = linearAxis([0, 1], PLOT.bottom, PLOT.top);

/** A line through values at equal steps from 0 to 1; null values are left out. */
function pathOf(values) {
  let d = "";
  values.forEach((value, step) => {
    if (value === null) return;
    const x = xAxis.placeOf(step / (values.length - 1));
    d += `${d ? "L" : "M"}${x.toFixed(1)} ${yAxis.placeOf(value).toFixed(1)}`;
  });
  return d;
}

function frame(label, xWords) {
  const svg = makeSvg("svg", { viewBox: `0 0 ${SIZE.join(" ")}`, role: "img" });
  svg.setAttribute("aria-label", label);
  const [width, height] = [PLOT.right - PLOT.left, PLOT.bottom - PLOT.top];
  svg.append(makeSvg("rect", { class: "frame", x: PLOT.left, y: PLOT.top, width, height }));
  for (const value of [0, 0.5, 1]) {
    addTick(svg, xAxis.placeOf(value), PLOT.bottom + 12, "middle", String(value));
    addTick(svg, PLOT.left - 4, yAxis.placeOf(value) + 4, "end", String(value));
  }
  addTick(svg, (PLOT.left + PLOT.right) * 0.72, PLOT.bottom + 12, "middle", xWords);
  return svg;
}

function lineOf(svg, name, values, words, place) {
  svg.append(makeSvg("path", { class: `curve ${name}`, d: pathOf(values) }));
  const value = values[place] ?? 0;
  const text = addTick(svg, xAxis.placeOf(place / 100), yAxis.placeOf(value) + 16, "middle", words);
  text.setAttribute("class", `tick ${name}`);
}

/** Snap to three decimals: what the field beside the curves can say. */
function drag(svg, event) {
  const value = xAxis.valueAt(pointIn(svg, event)[0]);
  moveTo(Math.round(1000 * Math.max(0, Math.min(1, value))) / 1000);
}

const lowest = () => (PAGE.floor === null ? 0 : Math.ceil(1000 * PAGE.floor + 1e-9) / 1000);

function moveTo(value) {
  setThreshold(Math.max(value, lowest()));
}

export function drawCurves() {
  $("curves").hidden = !PAGE.diagnosis;
  if (!PAGE.diagnosis) return;
  const { precision, recall } = PAGE.diagnosis;
  const label = "Precision and recall over the confidence threshold";
  const svg = frame(label, "confidence →");
  lineOf(svg, "precision", precision, "precision", 88);
  lineOf(svg, "recall", recall, "recall", 10);
  const x = xAxis.placeOf(cutoff.value ?? 0);
  svg.append(makeSvg("path", { class: "threshold", d: `M${x} ${PLOT.top}V${PLOT.bottom}` }));
  const anchor = x > SIZE[0] / 2 ? "end" : "start";
  const words = format(cutoff.value ?? 0);
  addTick(svg, x + (anchor === "end" ? -4 : 4), PLOT.bottom - 5, anchor, words);
  if (MOVABLE) {
    svg.addEventListener("pointerdown", (event) => drag(svg, event));
    $("curves-plot").onpointermove = (event) => {
      if (event.buttons) drag($("curves-plot").firstElementChild, event);
    };
  }
  $("curves-plot").replaceChildren(svg);
  $("threshold").value = String(cutoff.value ?? 0);
  $("threshold-value").textContent = words;
  $("threshold-best").hidden = !cutoff.moved;
}

export function startCurves() {
  $("threshold-line").hidden = !MOVABLE;
  $("threshold").min = String(lowest());
  $("threshold").addEventListener("input", () => moveTo(Number($("threshold").value)));
  $("threshold-best").addEventListener("click", () => {
    setThreshold(PAGE.threshold);
    $("threshold").focus();
  });
  $("pr-class").addEventListener("change", drawPrecisionRecall);
  const curves = PAGE.diagnosis?.curves;
  if (!curves) return;
  const order = PAGE.classes.map((_, c) => c).filter((c) => curves[c]);
  const ap = PAGE.diagnosis.classes.AP50;
  order.sort((a, b) => ap[a] - ap[b]);
  $("pr-class").replaceChildren(
    ...order.map((c) => make("option", { value: String(c), text: PAGE.classes[c] })),
  );
}

/** The precision-recall curve of one class at IoU 0.5, the worst class first. */
export function drawPrecisionRecall() {
  const chosen = $("pr-class").value;
  $("pr-card").hidden = chosen === "";
  if (chosen === "") return;
  const c = Number(chosen);
  const ap = PAGE.diagnosis.classes.AP50[c];
  const label = `Precision over recall of ${PAGE.classes[c]}, AP50 ${format(ap)}`;
  const svg = frame(label, "recall →");
  svg.append(makeSvg("path", { class: "curve precision", d: pathOf(PAGE.diagnosis.curves[c]) }));
  $("pr-plot").replaceChildren(svg);
  $("pr-words").textContent = `AP50 ${format(ap)}: the area under the curve`;
}
