// What the page is about: the rows, column by column, as Python wrote them into it.
const PAGE = JSON.parse(document.getElementById("data").textContent);
const N = PAGE.rows.kind.length;
const SIDES = ["x1", "y1", "x2", "y2"];
const KINDS = ["ok", "loc", "cls", "both", "dupe", "bkg", "miss"];
const KIND_WORDS = {
  ok: "found, right class",
  loc: "right class, not quite the place",
  cls: "right place, wrong class",
  both: "neither quite the place nor the class",
  dupe: "a box that is found already",
  bkg: "nothing is there",
  miss: "a true box that nothing found",
};
const SIZES = ["small", "medium", "large"];
const LIMIT = PAGE.limit; // share of a side at which colours saturate

const $ = (id) => document.getElementById(id);

/** Create an element; text is always text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Fill `place` anew; the focus stays on its button of the same words, or on `after`. */
function refill(place, after, ...children) {
  const held = place.contains(document.activeElement) ? document.activeElement.textContent : null;
  place.replaceChildren(...children);
  if (held === null) return;
  const same = [...place.querySelectorAll("button")].find((button) => button.textContent === held);
  (same ?? after).focus();
}

function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function numbers(values) {
  return Float64Array.from(values, (value) => (value === null ? NaN : value));
}

/** Box number i of a flat column, or null where it is not there. */
function boxOf(column, i) {
  return column[4 * i] === null ? null : column.slice(4 * i, 4 * i + 4);
}

const truthOf = (i) => boxOf(PAGE.rows.truth, i);
const predictionOf = (i) => boxOf(PAGE.rows.prediction, i);
const errorsOf = (i) => boxOf(PAGE.rows.sides, i);
const imageOf = (i) => PAGE.images[PAGE.rows.image[i]];
const isTrue = (i) => PAGE.rows.own[i] === 1;
const PROPOSAL = PAGE.proposal; // what an audit suspects and proposes, or null
const proposedOf = (i) => (PROPOSAL ? boxOf(PROPOSAL.box, i) : null);
const SUSPECTS = PROPOSAL ? [...new Set(PROPOSAL.suspected)].filter((name) => name !== null).sort() : [];
const suspectOf = (i) => (PROPOSAL ? PROPOSAL.suspected[i] : null);

/** The correction of row i in words, "" without one. */
function proposalText(i) {
  if (!PROPOSAL || PROPOSAL.action[i] === null) return "";
  const action = PROPOSAL.action[i];
  const name = PAGE.classes[PROPOSAL.class[i]];
  if (action === "relabel" || action === "add") return `${action}: ${name}`;
  const [from, to] = [truthOf(i), proposedOf(i)];
  if (!from || !to) return action;
  const by = SIDES.map((_, s) => to[s] - from[s]);
  // Opposite sides that go the same way are one move of the box, those that go apart one of its size.
  const opposite = (sign) => Math.abs(by[0] - sign * by[2]) < 0.05 && Math.abs(by[1] - sign * by[3]) < 0.05;
  let moves = SIDES.map((side, s) => [side, by[s]]);
  if (opposite(1)) moves = [["x", by[0]], ["y", by[1]]];
  else if (opposite(-1)) moves = [["width", 2 * by[2]], ["height", 2 * by[3]]];
  moves = moves.filter(([, far]) => Math.abs(far) >= 0.05);
  return `${action}: ${moves.map(([side, far]) => `${side} ${signed(far)}`).join(", ") || "nowhere"}`;
}

/** Signed errors as shares of the true width and height. */
function sharesOf(i) {
  const truth = truthOf(i);
  const errors = errorsOf(i);
  if (!truth || !errors) return null;
  const width = Math.max(truth[2] - truth[0], 1e-9);
  const height = Math.max(truth[3] - truth[1], 1e-9);
  return [errors[0] / width, errors[1] / height, errors[2] / width, errors[3] / height];
}

/** The name a row keeps over reloads and between runs. */
function keyOf(i) {
  const image = imageOf(i);
  const own = isTrue(i) ? PAGE.rows.annotation[i] : `detection ${PAGE.rows.detection[i]}`;
  return JSON.stringify([image.id, own]);
}

function format(value, digits = 3) {
  if (value === null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 0.5 * 10 ** -digits)) return value.toExponential(1);
  return value.toFixed(digits).replace("-", "−");
}

function signed(value, digits = 1) {
  const text = format(value, digits);
  return value > 0 ? `+${text}` : text;
}

// Columns that sort, filter and have a histogram ------------------------------------------------

const COLUMNS = new Map();

/** magnitude: the sign is a direction, so "worst first" means the largest absolute value. */
function addColumn(key, label, values, { digits = 3, magnitude = false, text = null, up = false } = {}) {
  COLUMNS.set(key, { key, label, values, digits, magnitude, text, up });
}

function rankOf(names) {
  const order = names.map((_, i) => i).sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : a - b));
  const rank = new Float64Array(names.length);
  order.forEach((name, place) => (rank[name] = place));
  return rank;
}

function defineColumns() {
  const rows = PAGE.rows;
  for (const [name, values] of Object.entries(PAGE.extra)) addColumn(`extra:${name}`, name.replaceAll("_", " "), numbers(values));
  addColumn("error", "box error", numbers(rows.error), { digits: 4 });
  addColumn("iou", "IoU", numbers(rows.iou), { up: true });
  addColumn("score", "confidence", numbers(rows.score));
  const worst = new Float64Array(N).fill(NaN);
  const share = new Float64Array(N).fill(NaN);
  const area = new Float64Array(N);
  const sides = SIDES.map(() => new Float64Array(N).fill(NaN));
  for (let i = 0; i < N; i++) {
    const errors = errorsOf(i);
    const box = truthOf(i) || predictionOf(i);
    area[i] = (box[2] - box[0]) * (box[3] - box[1]);
    if (!errors) continue;
    errors.forEach((error, side) => (sides[side][i] = error));
    worst[i] = Math.max(...errors.map(Math.abs));
    share[i] = 100 * Math.max(...sharesOf(i).map(Math.abs));
  }
  SIDES.forEach((side, s) => addColumn(side, `${side} error (px)`, sides[s], { digits: 1, magnitude: true }));
  addColumn("worst", "largest side error (px)", worst, { digits: 1 });
  addColumn("share", "largest side error (%)", share, { digits: 1 });
  for (const [name, values] of Object.entries(PAGE.terms)) addColumn(`term:${name}`, `term ${name}`, numbers(values), { digits: 4 });
  addColumn("area", "area (px²)", area, { digits: 0 });
  const byName = rankOf(PAGE.classes);
  addColumn("class", "class", Float64Array.from(rows.class, (c) => byName[c]), { text: (i) => PAGE.classes[rows.class[i]], up: true });
  addColumn("kind", "kind", Float64Array.from(rows.kind), { text: (i) => KINDS[rows.kind[i]] });
  if (PROPOSAL) {
    const place = new Map(SUSPECTS.map((name, s) => [name, s]));
    addColumn("suspected", "suspected", Float64Array.from(PROPOSAL.suspected, (name) => place.get(name) ?? NaN), { text: (i) => suspectOf(i) ?? "", up: true });
  }
  const byFile = rankOf(PAGE.images.map((image) => image.file_name));
  addColumn("file", "image", Float64Array.from(rows.image, (i) => byFile[i]), { text: (i) => imageOf(i).file_name, up: true });
}

defineColumns();
