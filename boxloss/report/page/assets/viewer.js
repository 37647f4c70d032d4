// @ts-check
// The whole image with all its boxes; wheel, keys, drag and pinch move through it.
import { causeText, rowsOfImage } from "./causes.js";
import { fillChips } from "./chips.js";
import { COLUMNS } from "./columns.js";
import {
  KINDS,
  KIND_LABELS,
  KIND_WORDS,
  PAGE,
  SIDES,
  SIZES,
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
import { $, make, makeSvg } from "./dom.js";
import { drawGrips, fixing, startFix } from "./fix.js";
import { format, signed } from "./numbers.js";
import { OTHER, verdictOf } from "./other.js";
import {
  describe,
  drawBoxes,
  drawOther,
  drawProposalWords,
  drawValues,
  inSight,
  overlaps,
  wholeOf,
} from "./picture.js";
import { fixOf, markButtons, setMark } from "./review.js";
import { selection } from "./select.js";
import { focusRow, kindChip, refreshRow, stackedBar, whenOpened } from "./table.js";
import { here } from "./thresholds.js";

const OK = KINDS.indexOf("ok");
const COLOURS = 8; // of classes, as in style.css

/**
 * place: in the order; image: of PAGE.images; x, y, width, height: what is seen, in image pixels.
 * how: "image" or "box" where a button chose it (the next row is shown alike), else "free".
 */
export const view = { place: 0, image: -1, how: "image", x: 0, y: 0, width: 1, height: 1 };
const drawn = { svg: null, words: null };

function openViewer(place) {
  if (!selection.order.length) return;
  focusRow(place);
  view.how = "image";
  if (!$("viewer").open) $("viewer").showModal();
  showInViewer(place);
}

export function showInViewer(place) {
  view.place = Math.max(0, Math.min(place, selection.order.length - 1));
  const i = selection.order[view.place];
  const image = imageOf(i);
  $("viewer-title").textContent = image.file_name;
  $("viewer-place").textContent =
    `${view.place + 1} of ${selection.order.length} · ${image.width} × ${image.height}`;
  if (view.how === "box") zoomToBox();
  else if (view.how === "free" && isEnlarged()) followBox();
  else if (view.image !== PAGE.rows.image[i] || view.how === "image") fitView();
  drawViewer();
  drawFacts(i);
}

function fitView() {
  const i = selection.order[view.place];
  const { x, y, width, height } = wholeOf(imageOf(i));
  Object.assign(view, { image: PAGE.rows.image[i], how: "image", x, y, width, height });
}

function zoomToBox() {
  const i = selection.order[view.place];
  const [x, y, width, height] = cropAround(i);
  Object.assign(view, { image: PAGE.rows.image[i], how: "box", x, y, width, height });
}

/** Whether a part of the image is seen, and not the whole. */
function isEnlarged() {
  const { width, height } = PAGE.images[view.image];
  return view.width < width && view.height < height;
}

/** Keep the enlargement that was chosen, as far as the next box fits into it. */
function followBox() {
  const i = selection.order[view.place];
  const [x, y, width, height] = cropAround(i);
  const factor = Math.max(1, width / view.width, height / view.height);
  const size = { width: view.width * factor, height: view.height * factor };
  const corner = { x: x + (width - size.width) / 2, y: y + (height - size.height) / 2 };
  Object.assign(view, { image: PAGE.rows.image[i], ...corner, ...size });
}

/** The other rows of the image that the boxes above the picture let pass. */
function othersOf(i) {
  if (!$("viewer-all").checked) return [];
  const errorsOnly = $("viewer-errors").checked;
  return rowsOfImage[PAGE.rows.image[i]].filter(
    (j) => j !== i && here[j] && !(errorsOnly && PAGE.rows.kind[j] === OK),
  );
}

function colourOf(i) {
  return $("viewer-colour").value === "class"
    ? `c${PAGE.rows.class[i] % COLOURS}`
    : KINDS[PAGE.rows.kind[i]];
}

/** Draw the row anew. Moving and zooming only change the view box and the words: `moveView`. */
function drawViewer() {
  const i = selection.order[view.place];
  const image = imageOf(i);
  const svg = makeSvg("svg", { role: "img", "aria-label": `${image.file_name}: ${describe(i)}` });
  const whole = { ...wholeOf(image), preserveAspectRatio: "none" };
  if (image.picture)
    svg.append(makeSvg("image", { href: `images/${PAGE.rows.image[i]}.jpg`, ...whole }));
  else svg.append(makeSvg("rect", { class: "ground", ...wholeOf(image) }));
  // The picture of a large image is a smaller copy; around the row there are all its pixels.
  if (PAGE.rows.picture[i] === 2) {
    const [x, y, width, height] = cropAround(i);
    const place = { x, y, width, height, preserveAspectRatio: "none" };
    svg.append(makeSvg("image", { class: "full", href: `crops/${i}-full.jpg`, ...place }));
  }
  const others = othersOf(i).map((j) => ({ j, box: drawOther(svg, j, colourOf(j)) }));
  drawBoxes(svg, i);
  drawGrips(svg, i);
  Object.assign(drawn, { svg, words: makeSvg("g"), others });
  svg.append(drawn.words);
  $("viewer-picture").replaceChildren(svg);
  moveView();
}

function moveView() {
  const { svg, words, others } = drawn;
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const frame = $("viewer-picture").getBoundingClientRect();
  const unit = unitIn(frame);
  const [x, y] = [view.x + view.width / 2, view.y + view.height / 2];
  const half = [(frame.width * unit) / 2, (frame.height * unit) / 2];
  const seen = [x - half[0], y - half[1], x + half[0], y + half[1]];
  words.replaceChildren();
  const i = selection.order[view.place];
  const taken = []; // areas that have words
  if ($("viewer-values").checked) {
    drawValues(words, i, unit, seen, taken);
    drawProposalWords(words, i, unit, seen, taken);
  }
  drawNames(words, [...others], unit, seen, taken);
}

const unitIn = (frame) =>
  Math.max(view.width / Math.max(frame.width, 1), view.height / Math.max(frame.height, 1));

/** A name on each other box, as long as it lies on no other words. */
function drawNames(place, others, unit, seen, taken) {
  if (!$("viewer-names").checked) return;
  // Errors first: where there is no room for all names, theirs are the ones to read.
  others.sort((a, b) => Number(PAGE.rows.kind[a.j] === OK) - Number(PAGE.rows.kind[b.j] === OK));
  for (const { j, box } of others) {
    const words = nameIn(j);
    const start = [box[0], box[1] - 4 * unit];
    const [x, y] = inSight(start, words, "start", unit, seen, box);
    if (box[0] > seen[2] || box[1] > seen[3] || box[2] < seen[0] || box[3] < seen[1]) continue;
    const area = { x, y: y - 12 * unit, width: 7 * unit * words.length, height: 15 * unit };
    if (taken.some((other) => overlaps(area, other))) continue;
    taken.push(area);
    const size = { "font-size": 12 * unit, "stroke-width": 3 * unit };
    const text = makeSvg("text", { class: `name-on ${colourOf(j)}`, x, y, ...size });
    text.textContent = words;
    place.append(text);
  }
}

function nameIn(j) {
  const name = PAGE.classes[PAGE.rows.class[j]];
  const score = isTrue(j) ? "" : ` ${PAGE.rows.score[j].toFixed(2)}`;
  return PAGE.rows.kind[j] === OK ? name : `${name}${score}: ${KIND_LABELS[PAGE.rows.kind[j]]}`;
}

// Facts -------------------------------------------------------------------------------------------

function drawFacts(i) {
  const list = make("dl");
  const fact = (name, ...values) =>
    list.append(make("dt", { text: name }), make("dd", {}, ...values));
  addWhat(fact, i);
  addNumbers(fact, i);
  if (OTHER.rowOf[i] >= 0) addOther(fact, i, OTHER.rowOf[i]);
  $("viewer-marks").replaceChildren(markButtons(i, marked));
  $("viewer-facts").replaceChildren(stackedBar(i), list);
}

/** Show the mark of the row that is seen everywhere. */
function marked() {
  refreshRow(view.place);
  fillChips();
  drawViewer();
  drawFacts(selection.order[view.place]);
}

function addWhat(fact, i) {
  const rows = PAGE.rows;
  // <bdi>: a name written from right to left must not turn the number beside it.
  const word = (text) => make("bdi", { text });
  const words = KIND_WORDS[KINDS[rows.kind[i]]].split(": ").at(-1);
  fact("kind", kindChip(rows.kind[i]), ` ${words}`);
  fact("class", PAGE.classes[rows.class[i]]);
  if (rows.predicted[i] >= 0) {
    const score = ` (${format(COLUMNS.get("score").values[i], 3)})`;
    fact("predicted", word(PAGE.classes[rows.predicted[i]]), score);
  }
  if (causeText(i)) fact("cause", causeText(i));
  if (suspectOf(i)) {
    fact("suspected", suspectOf(i));
    fact("proposed", proposalText(i));
  }
  fact("size", SIZES[rows.size[i]]);
}

function addNumbers(fact, i) {
  const errors = errorsOf(i);
  const shares = sharesOf(i);
  const side = (s) => `${signed(errors[s], 2)} px (${signed(100 * shares[s])} %)`;
  SIDES.forEach((name, s) => fact(name, errors ? side(s) : "–"));
  fact("IoU", format(COLUMNS.get("iou").values[i], 4));
  fact(`box error (${PAGE.loss})`, format(COLUMNS.get("error").values[i], 6));
  for (const [name, values] of Object.entries(PAGE.terms)) fact(name, format(values[i], 6));
  for (const [name, values] of Object.entries(PAGE.extra))
    fact(name.replaceAll("_", " "), format(values[i], 4));
  const text = (box) => (box ? box.map((value) => format(value, 1)).join(", ") : "none");
  fact("truth", text(truthOf(i)));
  fact("prediction", text(predictionOf(i)));
  if (proposedOf(i)) fact("proposed box", text(proposedOf(i)));
  const fix = fixOf(i);
  if (fix) fact("fixed by hand", `${PAGE.classes[fix.class]}: ${text(fix.box)}`);
}

function addOther(fact, i, row) {
  const rows = OTHER.rows;
  fact(
    `in ${OTHER.title}`,
    `${KIND_LABELS[rows.kind[row]]}, box error ${format(rows.error[row] ?? NaN, 6)}` +
      `, IoU ${format(rows.iou[row] ?? NaN, 4)}`,
  );
  if (isTrue(i)) fact("change", `${signed(COLUMNS.get("change").values[i], 6)} (${verdictOf(i)})`);
}

// Moving ------------------------------------------------------------------------------------------

/** Enlarge by 1 / `factor` around a place on the screen; without one around the middle. */
export function zoomAt(factor, clientX = null, clientY = null) {
  const frame = $("viewer-picture").getBoundingClientRect();
  const unit = unitIn(frame);
  const across = clientX === null ? 0 : clientX - frame.left - frame.width / 2;
  const down = clientY === null ? 0 : clientY - frame.top - frame.height / 2;
  const x = view.x + view.width / 2 + across * unit;
  const y = view.y + view.height / 2 + down * unit;
  view.x = x - (x - view.x) * factor;
  view.y = y - (y - view.y) * factor;
  view.width *= factor;
  view.height *= factor;
  view.how = "free";
  moveView();
}

export function fitAgain() {
  fitView();
  moveView();
}

/** Drag with one pointer, pinch with two. */
function listenPointers(picture) {
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return {
      far: Math.hypot(a[0] - b[0], a[1] - b[1]),
      x: (a[0] + b[0]) / 2,
      y: (a[1] + b[1]) / 2,
    };
  };
  picture.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    const from = pointers.get(event.pointerId);
    if (!from) return;
    const before = pointers.size === 2 ? spread() : null;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const unit = unitIn(picture.getBoundingClientRect());
    view.x -= ((event.clientX - from[0]) * unit) / pointers.size;
    view.y -= ((event.clientY - from[1]) * unit) / pointers.size;
    view.how = "free";
    if (before) zoomAt(before.far / Math.max(spread().far, 1), before.x, before.y);
    else moveView();
  });
  for (const name of ["pointerup", "pointercancel"])
    picture.addEventListener(name, (event) => pointers.delete(event.pointerId));
}

/** Begin to fix boxes by hand, or end it. */
export function toggleFix(on = !fixing.on) {
  fixing.on = on;
  drawViewer();
  const grip = $("viewer-picture").querySelector(".grip");
  if (on) grip.focus();
  else $("viewer-fix").focus();
}

export function startViewer() {
  whenOpened(openViewer);
  startFix((done) => {
    if (!done) return;
    refreshRow(view.place);
    fillChips();
    drawFacts(selection.order[view.place]);
  });
  $("viewer-fix").addEventListener("click", () => toggleFix());
  $("fix-back").addEventListener(
    "click",
    () => (setMark(selection.order[view.place], null), marked()),
  );
  // Escape first ends the fixing, then closes the image.
  $("viewer").addEventListener("cancel", (event) => {
    if (!fixing.on) return;
    event.preventDefault();
    toggleFix(false);
  });
  const picture = $("viewer-picture");
  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomAt(event.deltaY > 0 ? 1.15 : 1 / 1.15, event.clientX, event.clientY);
    },
    { passive: false },
  );
  listenPointers(picture);
  for (const id of ["all", "errors", "colour", "values", "names"])
    $(`viewer-${id}`).addEventListener("change", drawViewer);
  $("viewer-fit").addEventListener("click", fitAgain);
  $("viewer-box").addEventListener("click", () => (zoomToBox(), moveView()));
  $("viewer-in").addEventListener("click", () => zoomAt(1 / 1.3));
  $("viewer-out").addEventListener("click", () => zoomAt(1.3));
  $("viewer-previous").addEventListener("click", () => showInViewer(view.place - 1));
  $("viewer-next").addEventListener("click", () => showInViewer(view.place + 1));
  $("viewer-close").addEventListener("click", () => $("viewer").close());
  $("viewer").addEventListener("close", () => {
    fixing.on = false;
    // The event comes late: whoever types in a field by then stays there.
    if (!document.activeElement?.closest("input, select")) focusRow(view.place);
  });
}
