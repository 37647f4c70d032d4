// @ts-check
// The first tab: what is wrong with the detector, in two sentences and in numbers.
import { addressOf, openBoxes, openLabels, tab, tabListeners } from "./address.js";
import { touchesBorder } from "./causes.js";
import { drawConfusion } from "./confusion.js";
import { drawCurves, drawPrecisionRecall } from "./curves.js";
import {
  KINDS,
  KIND_LABELS,
  PAGE,
  PROPOSAL,
  looksWrong,
  SIDES,
  imageOf,
  isTrue,
  truthOf,
} from "./data.js";
import { $, make, refill } from "./dom.js";
import { fixed, format, grouped } from "./numbers.js";
import { drawSides } from "./sides.js";
import { countKinds, isBiased, rowsThere, sideErrorsOf, summaryOfAll } from "./statistics.js";
import { cutoff, thresholdListeners } from "./thresholds.js";
import { drawWhere } from "./where.js";

const POINTS = PAGE.diagnosis?.points ?? null;
const METRICS = PAGE.diagnosis?.metrics ?? null;
const ERRORS = KINDS.slice(1);
const SIDE_WORDS = ["left side", "top", "right side", "bottom"];
const SIDE_WAYS = [
  ["too far left", "too far right"],
  ["too high", "too low"],
];

// The causes that are worth naming beside a kind: [place in CAUSES, words].
const NAMED = {
  bkg: [[0, "at the border"]],
  miss: [[2, "found too weakly"]],
  loc: [[4, "by one side"]],
};

const ONE = { images: "image", boxes: "box", detections: "detection" };
const WORTH_NAMING = 0.2; // of the boxes of a kind

const codeOf = (kind) => KINDS.indexOf(kind);
const points = (kind) => (POINTS ? POINTS[kind] : null);

/** Kinds of error, the most expensive first; by count where the page knows no points. */
export function rankedKinds(counts) {
  const cost = (kind) => points(kind) ?? counts[codeOf(kind)].count;
  return [...ERRORS].sort((a, b) => cost(b) - cost(a));
}

/** A number in a sentence that leads to its boxes: a real link, so that it wraps like words. */
function link(text, filter) {
  const anchor = make("a", { class: "link", href: addressOf(filter), text });
  anchor.addEventListener("click", (event) => {
    event.preventDefault();
    openBoxes(filter);
  });
  return anchor;
}

const SORTS = { miss: "weak", loc: "error" }; // others by confidence: the surest mistakes first

const strong = (text) => make("b", { text });
const boxesOf = (kind, cause = null) => ({
  chosen: { kinds: [codeOf(kind)], ...(cause === null ? {} : { causes: [cause] }) },
  sort: SORTS[kind] ?? "score",
  down: true,
});

// The two sentences -------------------------------------------------------------------------------

/** The largest loss with its cause, as pieces of a sentence. */
function costWords(kind, counts) {
  const { count, causes } = counts[codeOf(kind)];
  const price = points(kind) === null ? "" : `: −${fixed(points(kind))} points`;
  const what = {
    bkg: `false boxes on background${price}`,
    miss: `missed boxes${price}`,
    loc: `boxes in the wrong place${price}`,
    cls: `boxes of the wrong class${price}`,
    both: `boxes of the wrong class and place${price}`,
    dupe: `double boxes${price}`,
  }[kind];
  const words = ["The largest loss is ", link(what, boxesOf(kind))];
  if (kind === "bkg" && causes[0] >= 0.4 * count && count) {
    const atBorder = (i) => isTrue(i) && touchesBorder(truthOf(i), imageOf(i));
    const labelled = PAGE.whole?.border ?? rowsThere(atBorder).length;
    const some = labelled ? "where only some objects are labelled" : "where nothing is labelled";
    words.push(
      " — ",
      link(`${causes[0]} of the ${count} touch the image border`, boxesOf(kind, 0)),
    );
    words.push(`, ${some} (${grouped(labelled)} are): `, alarm("look at the labels first"), ". ");
  } else if (kind === "loc" && causes[4] >= 0.4 * count && count) {
    words.push(" — in ", link(`${causes[4]} of the ${count} one side`, boxesOf(kind, 4)));
    words.push(" alone is wrong. ");
  } else words.push(` (${grouped(count)} boxes). `);
  return words;
}

const alarm = (text) => make("b", { class: "alarm", text });

function missedWords(counts) {
  const { count, causes } = counts[codeOf("miss")];
  if (!count) return ["No box is missed. "];
  const price = points("miss") === null ? "" : `, so they cost only ${fixed(points("miss"))}`;
  if (causes[2] >= 0.5 * count) {
    const words = `${causes[2]} have a right box below the threshold`;
    return [`Of ${grouped(count)} missed boxes, `, link(words, boxesOf("miss", 2)), `${price}. `];
  }
  const words = `${causes[3]} are found nowhere`;
  return [`Of ${grouped(count)} missed boxes, `, link(words, boxesOf("miss", 3)), ". "];
}

/** The most biased side, or that there is none. */
function sideWords() {
  const errors = sideErrorsOf();
  if (!errors) return [];
  const biased = errors.map((error, side) => ({ ...error, side })).filter(isBiased);
  if (!biased.length) return ["Sides are nearly unbiased."];
  const worst = biased.reduce((a, b) => (Math.abs(b.median) > Math.abs(a.median) ? b : a));
  const way = SIDE_WAYS[worst.side % 2][Number(worst.median > 0)];
  const far = fixed(Math.abs(worst.median));
  const filter = { chosen: { kinds: [0] }, sort: SIDES[worst.side], down: true };
  return ["The ", link(`${SIDE_WORDS[worst.side]} is ${far} % ${way}`, filter), "."];
}

function drawSentences(counts) {
  const [first] = rankedKinds(counts);
  const pieces = [];
  const ap = METRICS?.AP50 ?? (POINTS ? POINTS.AP / 100 : null);
  if (ap !== null) pieces.push("AP50 is ", strong(format(ap)), ". ");
  const nothing = ERRORS.every((kind) => !counts[codeOf(kind)].count);
  if (nothing) pieces.push("Every box is found and no box is false. ");
  else pieces.push(...costWords(first, counts));
  if (first !== "miss" && !nothing) pieces.push(...missedWords(counts));
  pieces.push(...sideWords());
  refill($("sentences"), $("sentences"), ...pieces);
}

// What costs AP50 ---------------------------------------------------------------------------------

function drawCosts(counts) {
  $("costs-note").textContent = POINTS
    ? "points that fixing only this would give (TIDE); a click shows the boxes"
    : "how many boxes; a click shows them";
  const cost = (kind) => points(kind) ?? counts[codeOf(kind)].count;
  const most = Math.max(...ERRORS.map(cost), 1e-9);
  const lines = rankedKinds(counts).map((kind) => {
    const { count, causes } = counts[codeOf(kind)];
    const bar = make("i", { class: kind });
    bar.style.width = `${Math.max((100 * cost(kind)) / most, 0.6)}%`;
    const name = make("button", { type: "button", class: "cost", "data-kind": kind });
    const value = make("b", {
      text: points(kind) === null ? grouped(count) : fixed(cost(kind)),
    });
    name.append(make("span", { text: KIND_LABELS[codeOf(kind)] }), make("u", {}, bar), value);
    name.title = "Show these boxes";
    name.addEventListener("click", () => openBoxes(boxesOf(kind)));
    return make("div", { class: "cost-line" }, name, causeOf(kind, count, causes));
  });
  refill($("costs"), $("costs"), ...lines);
}

function causeOf(kind, count, causes) {
  const cell = make("span", { class: "muted" });
  if (!count) {
    cell.textContent = "none";
    return cell;
  }
  cell.append(link(`${grouped(count)} boxes`, boxesOf(kind)));
  for (const [cause, words] of NAMED[kind] ?? []) {
    if (causes[cause] >= WORTH_NAMING * count)
      cell.append(", ", link(`${causes[cause]} ${words}`, boxesOf(kind, cause)));
  }
  return cell;
}

// Numbers, labels, next steps ---------------------------------------------------------------------

function drawNumbers() {
  const { precision, found } = summaryOfAll();
  const stat = (value, name) =>
    make("div", { class: "stat" }, strong(value), make("span", { class: "muted", text: name }));
  const stats = ["AP", "AP50", "AP75"]
    .filter(() => METRICS)
    .map((name) => stat(format(METRICS[name]), name));
  const two = (value) => (Number.isNaN(value) ? "–" : value.toFixed(2));
  stats.push(stat(two(precision), "precision"), stat(two(found), "recall"));
  $("stats").replaceChildren(...stats);
}

/** kind of suspected label error -> how many, the most first. */
function suspectedLabels() {
  const counts = new Map();
  if (!PROPOSAL) return [];
  if (PAGE.whole) return Object.entries(PAGE.whole.suspected).sort((a, b) => b[1] - a[1]);
  for (const i of rowsThere(looksWrong)) {
    const name = PROPOSAL.suspected[i];
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const countLabels = () => suspectedLabels().reduce((sum, [, count]) => sum + count, 0);

function drawLabels() {
  const kinds = suspectedLabels();
  $("labels-card").hidden = !PROPOSAL;
  if (!PROPOSAL) return;
  const words = kinds.map(([name, count]) => `${name} ${count}`).join(" · ");
  const all = countLabels();
  const review = make("a", { class: "link", href: "#tab=labels", text: "review them" });
  review.addEventListener("click", (event) => {
    event.preventDefault();
    openLabels();
  });
  const sentence = all ? `${all} look wrong: ${words} ` : "No label looks wrong. ";
  refill($("label-words"), $("label-words"), sentence, ...(all ? [review] : []));
}

/** Three things to do now, the most rewarding first. */
function nextSteps(counts) {
  const steps = [];
  const add = (text, run) => steps.push([text, run]);
  const show = (kind, cause) => () => openBoxes(boxesOf(kind, cause));
  const count = (kind, cause) => counts[codeOf(kind)].causes[cause];
  for (const kind of rankedKinds(counts)) {
    const all = counts[codeOf(kind)].count;
    if (!all) continue;
    if (kind === "bkg" && count(kind, 0) >= 0.4 * all)
      add(`Check labels at the border (${count(kind, 0)} boxes)`, show(kind, 0));
    else if (kind === "miss" && count(kind, 2) >= 0.5 * all)
      add(`See the ${count(kind, 2)} boxes found too weakly`, show(kind, 2));
    else add(`See the ${grouped(all)} boxes: ${KIND_LABELS[codeOf(kind)]}`, show(kind, null));
  }
  const labels = countLabels();
  if (labels) steps.splice(1, 0, [`Review ${labels} suspected labels`, openLabels]);
  return steps.slice(0, 3);
}

function drawSteps(counts) {
  const buttons = nextSteps(counts).map(([text, run], place) => {
    const button = make("button", { type: "button", class: "step", text: `${place + 1}. ${text}` });
    button.addEventListener("click", run);
    return button;
  });
  refill($("steps"), $("steps"), ...buttons);
}

/** How many rows are not on the page, and which numbers are about them too. */
function drawLimit() {
  $("row-limit").hidden = !PAGE.whole;
  if (!PAGE.whole) return;
  const [all, shown] = [PAGE.whole.rows, PAGE.rows.crop.length / 4];
  $("row-limit").textContent =
    `The lists have the worst ${grouped(shown)} of ${grouped(all)} rows; ` +
    `${grouped(all - shown)} are not shown. The Diagnosis counts all of them.`;
}

/** The line under the title: what the page is about. */
export function drawSubtitle() {
  drawLimit();
  if (PAGE.subtitle !== null) {
    $("subtitle").textContent = PAGE.subtitle;
    return;
  }
  const { boxes } = summaryOfAll();
  const parts = [`${grouped(PAGE.images.length)} images`, `${grouped(boxes)} boxes`];
  parts.push(PAGE.classes.length === 1 ? "1 class" : `${grouped(PAGE.classes.length)} classes`);
  if (cutoff.value !== null) {
    const best = cutoff.value === PAGE.diagnosis?.best ? " (best F1)" : "";
    parts.push(`confidence from ${Number(cutoff.value.toPrecision(3))}${best}`);
  }
  parts.push(`IoU ${PAGE.iou_threshold}`);
  for (const [what, count] of Object.entries(PAGE.dropped)) {
    if (count) parts.push(`${grouped(count)} ${count === 1 ? ONE[what] : what} left out`);
  }
  $("subtitle").textContent = parts.join(" · ");
}

/** Draw what is in sight; a hidden tab is drawn when it is shown. */
export function drawDiagnosis() {
  drawSubtitle();
  if (tab.name !== "diagnosis") return;
  const counts = countKinds();
  drawSentences(counts);
  drawCosts(counts);
  drawNumbers();
  drawCurves();
  drawWhere();
  drawSides();
  drawLabels();
  drawSteps(counts);
  drawConfusion();
  drawPrecisionRecall();
}

export function startDiagnosis() {
  thresholdListeners.push(drawDiagnosis);
  tabListeners.push(drawDiagnosis);
}
