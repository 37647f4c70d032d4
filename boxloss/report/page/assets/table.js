// @ts-check
// The table: only the rows in sight exist as elements.
//
// A row is some sixty elements with a picture of vector paths. A browser takes about a second for
// the layout of a thousand of them, and a page may have a hundred thousand. So the scrolled area
// is one empty element as high as all rows would be, and the rows at the scrolled place, with three
// more on each side, are put into it at their own offsets. Sorting and filtering then change a list
// of numbers, and at most thirty rows are made anew. What this asks for in return: all rows have
// the same height (--row), aria-rowcount and aria-rowindex tell a screen reader what is not in the
// document, and the keyboard's place is a number, because its row may not exist.
import { causeText } from "./causes.js";
import { fillChips } from "./chips.js";
import { COLUMNS } from "./columns.js";
import {
  KINDS,
  KIND_LABELS,
  KIND_WORDS,
  LIMIT,
  PAGE,
  SIDES,
  SIZES,
  SUSPECT_WORDS,
  errorsOf,
  imageOf,
  isTrue,
  nameOf,
  proposalText,
  sharesOf,
  suspectOf,
} from "./data.js";
import { $, make } from "./dom.js";
import { format, signed } from "./numbers.js";
import { OTHER, verdictOf } from "./other.js";
import { cropOf, describe, diverging } from "./picture.js";
import { MARK_LABELS, markButtons, markOf, setMark } from "./review.js";
import { SORT, orderListeners, selection, sortBy } from "./select.js";

const HEAD = [
  ["picture", "image", "file"],
  ["what", "class", "class"],
  ["kind", "kind", "kind"],
  ...SIDES.map((side) => ["side", side, side]),
  ["number", "IoU", "iou"],
  ["error", "box error", "error"],
  ["number score", "conf.", "score"],
  ["number change", "change", "change"],
  ["review", "review", null],
];
export const shown = new Map(); // place in `order` -> element
export const tableState = { focused: 0 }; // the row that the keyboard is at: a place in the order
const openers = [];

/** Call `open(place)` when a row is opened: the viewer comes after the table. */
export function whenOpened(open) {
  openers.push(open);
}

export function openRow(place) {
  for (const open of openers) open(place);
}

export function rowHeight() {
  return parseFloat(getComputedStyle($("table")).getPropertyValue("--row"));
}

export function buildHead() {
  const head = $("head");
  head.replaceChildren();
  for (const [name, label, key] of HEAD) {
    const cell = make("div", { role: "columnheader", class: name });
    if (key && COLUMNS.has(key)) {
      const button = make("button", {
        type: "button",
        text: label,
        "data-sort": key,
        title: `Sort by ${COLUMNS.get(key).label}`,
      });
      button.addEventListener("click", () => sortBy(key));
      cell.append(button);
      cell.dataset.key = key;
    } else cell.textContent = label;
    head.append(cell);
  }
}

function markHead() {
  /** @type {HTMLElement[]} */
  const cells = [...$("head").children];
  for (const cell of cells) {
    const active = cell.dataset.key === SORT.key;
    if (active) cell.setAttribute("aria-sort", SORT.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
}

export function kindChip(kind) {
  return make("span", {
    class: `kind ${KINDS[kind]}`,
    title: KIND_WORDS[KINDS[kind]],
    text: KIND_LABELS[kind],
  });
}

function sideCell(value, share, side) {
  const cell = make("div", { role: "cell", class: "side" });
  // In a cell this narrow what rounds to nothing is nothing.
  const whole = (number) => (Math.abs(number) < 0.05 ? 0 : number);
  cell.append(
    make("small", { class: "name", text: SIDES[side] }),
    make("b", { text: signed(whole(value), Math.abs(value) < 1000 ? 1 : 0) }),
    make("small", { text: `${signed(whole(100 * share), Math.abs(share) < 1 ? 1 : 0)} %` }),
  );
  cell.style.setProperty("--tint", diverging(share / LIMIT));
  cell.style.setProperty("--share", `${Math.min(Math.abs(share) / LIMIT, 1) * 60}%`);
  return cell;
}

/** The terms of a box error as one stacked bar; as long as the error against the largest one. */
export function stackedBar(i) {
  const bar = make("div", { class: "bar", "aria-hidden": "true" });
  const words = [];
  Object.keys(PAGE.terms).forEach((name, place) => {
    const value = PAGE.terms[name][i];
    if (value === null) return;
    words.push(`${name} ${format(value, 4)}`);
    const part = make("i", { class: `term t${place % 6}` });
    part.style.width = `${(100 * Math.max(value, 0)) / PAGE.largest}%`;
    bar.append(part);
  });
  bar.title = words.join("\n");
  return bar;
}

/** What a screen reader says of row i when the keyboard comes to it. */
function rowWords(i) {
  const numbers = [
    ["IoU", "iou"],
    ["box error", "error"],
    ["confidence", "score"],
  ];
  const named = numbers
    .map(([name, key]) => [name, COLUMNS.get(key).values[i]])
    .filter(([, value]) => !Number.isNaN(value));
  const words = [
    describe(i),
    ...named.map(([name, value]) => `${name} ${format(value)}`),
    imageOf(i).file_name,
  ];
  if (markOf(i) !== "open") words.unshift(`marked ${MARK_LABELS[markOf(i)]}`);
  return words.join("; ");
}

/** The four signed errors, or in words why there are none. */
function appendSides(row, i) {
  const errors = errorsOf(i);
  const shares = sharesOf(i);
  if (errors) SIDES.forEach((_, s) => row.append(sideCell(errors[s], shares[s], s)));
  else row.append(make("div", { role: "cell", class: "why muted", text: causeText(i) }));
}

function buildRow(place) {
  const i = selection.order[place];
  const rows = PAGE.rows;
  const row = make("div", {
    role: "row",
    class: "row",
    "aria-rowindex": String(place + 2),
    "aria-label": rowWords(i),
    tabindex: place === tableState.focused ? "0" : "-1",
    "data-row": String(i),
  });
  row.style.transform = `translateY(${place * rowHeight()}px)`;
  const cell = (name, ...children) => {
    const element = make("div", { role: "cell", class: name }, ...children);
    row.append(element);
    return element;
  };
  cell("picture", cropOf(i));
  const image = imageOf(i);
  const found = rows.predicted[i];
  const what = cell("what", make("b", { text: PAGE.classes[rows.class[i]] }));
  if (found >= 0 && found !== rows.class[i])
    what.append(make("span", { class: "as", text: `predicted ${PAGE.classes[found]}` }));
  what.append(make("span", { class: "file", text: image.file_name, title: image.file_name }));
  what.append(
    make("small", {
      text: `${nameOf(i)} · ${SIZES[rows.size[i]]}`,
    }),
  );
  if (suspectOf(i))
    what.append(make("small", { class: "propose", text: proposalText(i), title: proposalText(i) }));
  const kind = cell("kind", kindChip(rows.kind[i]));
  const before = isTrue(i) && OTHER.rowOf[i] >= 0 ? OTHER.rows.kind[OTHER.rowOf[i]] : -1;
  if (before >= 0 && before !== rows.kind[i])
    kind.append(make("small", { text: `was ${KIND_LABELS[before]}` }));
  if (suspectOf(i))
    kind.append(
      make("small", {
        class: "suspect",
        text: suspectOf(i),
        title: SUSPECT_WORDS[suspectOf(i)] ?? "",
      }),
    );
  appendSides(row, i);
  cell(
    "number",
    make("small", { class: "name", text: "IoU" }),
    make("span", { text: format(COLUMNS.get("iou").values[i]) }),
  );
  cell(
    "error",
    make("small", { class: "name", text: "error" }),
    make("b", { text: format(COLUMNS.get("error").values[i], 4) }),
    stackedBar(i),
  );
  cell(
    "number score",
    make("small", { class: "name", text: "conf." }),
    make("span", { text: format(COLUMNS.get("score").values[i], 2) }),
  );
  const change = COLUMNS.get("change");
  cell(
    "number change",
    make("small", { class: "name", text: "change" }),
    make("span", { class: verdictOf(i), text: change ? signed(change.values[i], 3) : "" }),
  );
  cell(
    "review",
    markButtons(i, () => refreshRow(place)),
  );
  row.classList.add(markOf(i).split(" ")[0]);
  row.addEventListener("click", () => focusRow(place));
  row.querySelector(".picture").addEventListener("click", () => openRow(place));
  // Two quick taps of a finger may be on two words that it wants explained.
  let pointer = "mouse";
  row.addEventListener("pointerdown", ({ pointerType }) => (pointer = pointerType));
  row.addEventListener("dblclick", () => pointer === "mouse" && openRow(place));
  return row;
}

export function refreshRow(place) {
  const old = shown.get(place);
  if (!old) return;
  const held = old === document.activeElement || old.contains(document.activeElement);
  const fresh = buildRow(place);
  old.replaceWith(fresh);
  shown.set(place, fresh);
  if (held) fresh.focus({ preventScroll: true });
}

/** Make the elements of the rows in sight, and no others. */
function showRows() {
  const panel = $("rows");
  const height = rowHeight();
  const first = Math.max(0, Math.floor(panel.scrollTop / height) - 3);
  const last = Math.min(
    selection.order.length,
    Math.ceil((panel.scrollTop + panel.clientHeight) / height) + 3,
  );
  for (const [place, element] of shown) {
    if (place < first || place >= last) {
      element.remove();
      shown.delete(place);
    }
  }
  // Each before the next one: a screen reader reads them as they stand in the document.
  for (let place = last - 1; place >= first; place--) {
    if (shown.has(place)) continue;
    const row = buildRow(place);
    $("space").insertBefore(row, shown.get(place + 1) ?? null);
    shown.set(place, row);
  }
}

function redrawRows() {
  for (const element of shown.values()) element.remove();
  shown.clear();
  $("space").style.height = `${selection.order.length * rowHeight()}px`;
  $("empty").hidden = selection.order.length > 0;
  $("table").setAttribute("aria-rowcount", String(selection.order.length + 1));
  tableState.focused = Math.min(tableState.focused, Math.max(selection.order.length - 1, 0));
  showRows();
}

export function focusRow(place, { scroll = true } = {}) {
  if (!selection.order.length) return;
  const before = shown.get(tableState.focused);
  if (before) before.tabIndex = -1;
  tableState.focused = Math.max(0, Math.min(place, selection.order.length - 1));
  const panel = $("rows");
  const height = rowHeight();
  if (scroll) {
    if (tableState.focused * height < panel.scrollTop)
      panel.scrollTop = tableState.focused * height;
    else if ((tableState.focused + 1) * height > panel.scrollTop + panel.clientHeight)
      panel.scrollTop = (tableState.focused + 1) * height - panel.clientHeight;
  }
  showRows();
  const row = shown.get(tableState.focused);
  row.tabIndex = 0;
  row.focus({ preventScroll: true });
}

export function markFocused(mark) {
  if (!selection.order.length) return;
  setMark(selection.order[tableState.focused], mark);
  refreshRow(tableState.focused);
  fillChips();
  if (mark !== null) focusRow(tableState.focused + 1);
}

export function startTable() {
  buildHead();
  let waiting = false;
  $("rows").addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      showRows();
    });
  });
  new ResizeObserver(redrawRows).observe($("rows"));
  orderListeners.push(() => {
    tableState.focused = 0;
    $("rows").scrollTop = 0;
    markHead();
    redrawRows();
  });
}
