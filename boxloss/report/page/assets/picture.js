// @ts-check
// Pictures: an image file with boxes over it as SVG, so that they stay sharp at any size.
import {
  KINDS,
  KIND_WORDS,
  LIMIT,
  PAGE,
  PROPOSAL,
  SIDES,
  cropAround,
  errorsOf,
  imageOf,
  isTrue,
  predictionOf,
  proposalText,
  proposedOf,
  sharesOf,
  suspectOf,
  truthOf,
} from "./data.js";
import { weakOf, causeText } from "./causes.js";
import { makeSvg } from "./dom.js";
import { signed } from "./numbers.js";
import { otherBoxOf } from "./other.js";
import { fixOf } from "./review.js";

const BLUE = [70, 150, 255];
const GREY = [232, 232, 232];
const ORANGE = [255, 140, 0];

/** The colour of a signed share in [-1, 1]: the same as in boxloss.drawing. */
export function diverging(value) {
  const end = value < 0 ? BLUE : ORANGE;
  const share = Math.min(Math.abs(value), 1) ** 0.7;
  return `rgb(${GREY.map((from, c) => Math.round(from + share * (end[c] - from))).join(" ")})`;
}

function edgesOf([x1, y1, x2, y2]) {
  return [`M${x1} ${y1}V${y2}`, `M${x1} ${y1}H${x2}`, `M${x2} ${y1}V${y2}`, `M${x1} ${y2}H${x2}`];
}

function outline([x1, y1, x2, y2]) {
  return `M${x1} ${y1}H${x2}V${y2}H${x1}Z`;
}

function crossOut([x1, y1, x2, y2]) {
  return `M${x1} ${y1}L${x2} ${y2}M${x2} ${y1}L${x1} ${y2}`;
}

/** Truth, prediction and the other run's prediction of row i as paths. */
export function drawBoxes(svg, i) {
  const group = makeSvg("g", { class: "focus" });
  const line = (name, box, attributes = {}) => {
    if (!box) return;
    group.append(makeSvg("path", { class: "casing", d: outline(box) }));
    group.append(makeSvg("path", { class: name, d: outline(box), ...attributes }));
  };
  line("truth", truthOf(i));
  line("other", isTrue(i) ? otherBoxOf(i) : null);
  if (weakOf[i] >= 0) line("weak", predictionOf(weakOf[i]));
  const prediction = predictionOf(i);
  if (prediction) drawPrediction(group, prediction, sharesOf(i));
  drawProposal(group, i);
  line("fixed", fixOf(i)?.box);
  svg.append(group);
}

/** The prediction, each edge in the colour of its own error. */
function drawPrediction(group, prediction, shares) {
  group.append(makeSvg("path", { class: "casing", d: outline(prediction) }));
  edgesOf(prediction).forEach((d, side) => {
    const path = makeSvg("path", { class: "found", d });
    path.setAttribute("stroke", shares ? diverging(shares[side] / LIMIT) : "rgb(224 123 200)");
    group.append(path);
  });
}

/** One line for another row of the same image, in the class `name`; the box that it is about. */
export function drawOther(svg, i, name) {
  const box = isTrue(i) ? truthOf(i) : predictionOf(i);
  const group = makeSvg("g", { class: "faint" });
  group.append(makeSvg("path", { class: "casing", d: outline(box) }));
  group.append(makeSvg("path", { class: `mono ${name}`, d: outline(box) }));
  svg.append(group);
  return box;
}

/** The proposed box in dots and dashes; a box to remove is crossed out. */
function drawProposal(group, i) {
  const box = proposedOf(i);
  const truth = truthOf(i);
  let d = box && outline(box);
  if (!box && truth && PROPOSAL?.action[i] === "remove") d = crossOut(truth);
  if (d)
    group.append(
      makeSvg("path", { class: "casing", d }),
      makeSvg("path", { class: "proposal", d }),
    );
}

export function describe(i) {
  const errors = errorsOf(i);
  const what = `${PAGE.classes[PAGE.rows.class[i]]}, ${KIND_WORDS[KINDS[PAGE.rows.kind[i]]]}`;
  const parts = [what];
  if (errors)
    parts.push(
      `errors in pixels: ${SIDES.map((side, s) => `${side} ${signed(errors[s])}`).join(", ")}`,
    );
  if (causeText(i)) parts.push(causeText(i));
  if (suspectOf(i)) parts.push(`suspected ${suspectOf(i)}, proposed ${proposalText(i)}`);
  if (fixOf(i)) parts.push(`fixed by hand: ${PAGE.classes[fixOf(i).class]}`);
  return parts.join("; ");
}

/** The crop around row i; a plain ground where there is no picture. */
export function cropOf(i) {
  const [x, y, width, height] = cropAround(i);
  const svg = makeSvg("svg", {
    class: "crop",
    viewBox: `${x} ${y} ${width} ${height}`,
    role: "img",
    "aria-label": describe(i),
  });
  const image = imageOf(i);
  const place = PAGE.rows.picture[i] ? { x, y, width, height } : wholeOf(image);
  const href = PAGE.rows.picture[i] ? `crops/${i}.jpg` : `images/${PAGE.rows.image[i]}.jpg`;
  if (PAGE.rows.picture[i] || image.picture) {
    svg.append(makeSvg("image", { href, ...place, preserveAspectRatio: "none" }));
  } else {
    svg.append(makeSvg("rect", { class: "ground", x, y, width, height }));
  }
  drawBoxes(svg, i);
  return svg;
}

export const wholeOf = ({ width, height }) => ({ x: 0, y: 0, width, height });

/**
 * Move a label that starts at (x, y) the least distance that keeps it inside `seen`; a label whose
 * box is out of sight stays where it is.
 * @type {(start: number[], words: string, anchor: string, unit: number, seen: number[],
 *   box: number[]) => number[]}
 */
export function inSight([x, y], words, anchor, unit, seen, box) {
  if (box[0] > seen[2] || box[1] > seen[3] || box[2] < seen[0] || box[3] < seen[1]) return [x, y];
  const width = 9.5 * unit * words.length; // no less than bold letters of that size take
  const before = { start: 0, middle: width / 2, end: width }[anchor];
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
  return [
    clamp(x, seen[0] + before + 4 * unit, seen[2] - width + before - 4 * unit),
    clamp(y, seen[1] + 16 * unit, seen[3] - 6 * unit),
  ];
}

/** The area of a text and a little around it. */
function areaOf(text, unit) {
  const { x, y, width, height } = text.getBBox();
  return { x: x - 2 * unit, y, width: width + 4 * unit, height };
}

export function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** Add a text, moved up or down by whole lines to where no other is; left out where none is. */
function addText(place, attributes, words, unit, seen, taken) {
  const text = makeSvg("text", attributes);
  text.textContent = words;
  place.append(text);
  for (const lines of [0, 1, -1, 2, -2, 3, -3, 4, -4]) {
    text.setAttribute("y", attributes.y + 15 * lines * unit);
    const area = areaOf(text, unit);
    const inside = area.y >= seen[1] && area.y + area.height <= seen[3];
    if ((lines && !inside) || taken.some((other) => overlaps(area, other))) continue;
    taken.push(area);
    return;
  }
  text.remove();
}

/** The proposal in words at the upper left corner of the proposed box. */
export function drawProposalWords(svg, i, unit, seen, taken) {
  const box = proposedOf(i) || (PROPOSAL?.action[i] === "remove" ? truthOf(i) : null);
  if (!box) return;
  const words = `${suspectOf(i)} → ${proposalText(i)}`;
  const start = [box[0] + 6 * unit, box[1] + 17 * unit];
  const [x, y] = inSight(start, words, "start", unit, seen, box);
  const style = { "font-size": 13 * unit, "stroke-width": 4 * unit };
  addText(svg, { class: "value proposed", x, y, ...style }, words, unit, seen, taken);
}

/**
 * Write each edge's signed error beside it, inside `seen` (x1, y1, x2, y2 in image pixels), and on
 * none of the areas `taken`. `unit` is one screen pixel in image pixels.
 */
export function drawValues(svg, i, unit, seen, taken) {
  const truth = truthOf(i);
  const prediction = predictionOf(i);
  const errors = errorsOf(i);
  if (!errors) return;
  const shares = sharesOf(i);
  const low = truth.map((value, side) => Math.min(value, prediction[side]));
  const high = truth.map((value, side) => Math.max(value, prediction[side]));
  const middle = [(prediction[0] + prediction[2]) / 2, (prediction[1] + prediction[3]) / 2];
  const gap = 7 * unit;
  const places = [
    [low[0] - gap, middle[1], "end", 0.35],
    [middle[0], low[1] - gap, "middle", 0],
    [high[2] + gap, middle[1], "start", 0.35],
    [middle[0], high[3] + gap, "middle", 0.8],
  ];
  const box = [low[0], low[1], high[2], high[3]];
  places.forEach(([left, base, anchor, shift], side) => {
    const words = signed(errors[side]);
    const [x, y] = inSight([left, base + shift * 14 * unit], words, anchor, unit, seen, box);
    const style = { "text-anchor": anchor, "font-size": 14 * unit, "stroke-width": 4 * unit };
    const fill = diverging(shares[side] / LIMIT);
    addText(svg, { class: "value", x, y, ...style, fill }, words, unit, seen, taken);
  });
}
