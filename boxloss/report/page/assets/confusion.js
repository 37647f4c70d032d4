// @ts-check
// What is taken for what: a matrix of few classes, the commonest mistakes of many.
import { openBoxes } from "./address.js";
import { PAGE } from "./data.js";
import { $, make } from "./dom.js";
import { GROUPS, NOTHING, cellCode, cells } from "./groups.js";
import { grouped } from "./numbers.js";
import { rowsThere } from "./statistics.js";

const MOST_CLASSES = 12; // more columns are too narrow to read
const MOST_PAIRS = 15;

function countCells() {
  if (PAGE.whole) return new Map(PAGE.whole.cells);
  const counts = new Map();
  for (const i of rowsThere()) counts.set(cells[i], (counts.get(cells[i]) || 0) + 1);
  return counts;
}

function cellButton(code, count) {
  const button = make("button", { type: "button", class: "cell", text: grouped(count) });
  button.title = GROUPS.get("cells").wordOf(code);
  button.setAttribute("aria-label", `${button.title}: ${count}`);
  button.addEventListener("click", () => openBoxes({ chosen: { cells: [code] } }));
  return button;
}

function drawMatrix(counts) {
  const codes = Array.from({ length: NOTHING + 1 }, (_, c) => c);
  const name = (c, other) => (c === NOTHING ? other : PAGE.classes[c]);
  const head = codes.map((c) =>
    make("th", { scope: "col", text: name(c, "not found"), title: name(c, "not found") }),
  );
  const lines = codes.map((truth) => {
    const sum = codes.reduce((all, taken) => all + (counts.get(cellCode(truth, taken)) || 0), 0);
    const row = codes.map((taken) => {
      const count = counts.get(cellCode(truth, taken)) || 0;
      const cell = make("td", { class: truth === taken ? "right" : "" });
      if (truth === NOTHING && taken === NOTHING) return cell;
      cell.style.setProperty("--part", `${sum ? (60 * count) / sum : 0}%`);
      cell.append(count ? cellButton(cellCode(truth, taken), count) : "0");
      return cell;
    });
    const words = name(truth, "no true box");
    return make("tr", {}, make("th", { scope: "row", text: words, title: words }), ...row);
  });
  $("confusion").replaceChildren(
    make(
      "thead",
      {},
      make("tr", {}, make("th", { scope: "col", text: "true ↓ found →" }), ...head),
    ),
    make("tbody", {}, ...lines),
  );
}

/** Mistakes between two classes, the commonest first. */
function drawPairs(counts) {
  const side = NOTHING + 1;
  const mixed = [...counts].filter(([code]) => {
    const [truth, taken] = [Math.floor(code / side), code % side];
    return truth !== taken && truth !== NOTHING && taken !== NOTHING;
  });
  mixed.sort((a, b) => b[1] - a[1]);
  const lines = mixed.slice(0, MOST_PAIRS).map(([code, count]) => {
    const words = GROUPS.get("cells").wordOf(code);
    const row = make("th", { scope: "row", text: words });
    return make("tr", {}, row, make("td", {}, cellButton(code, count)));
  });
  const nothing = make("tr", {}, make("td", { text: "No class is taken for another one." }));
  $("confusion").replaceChildren(make("tbody", {}, ...(lines.length ? lines : [nothing])));
}

export function drawConfusion() {
  const counts = countCells();
  if (PAGE.classes.length <= MOST_CLASSES) drawMatrix(counts);
  else drawPairs(counts);
}
