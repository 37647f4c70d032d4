// The table: only the rows in sight exist as elements.
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
const shown = new Map(); // place in `order` -> element
let focused = 0; // place in `order`

function rowHeight() {
  return parseFloat(getComputedStyle($("table")).getPropertyValue("--row"));
}

function buildHead() {
  const head = $("head");
  head.replaceChildren();
  for (const [name, label, key] of HEAD) {
    const cell = make("div", { role: "columnheader", class: name });
    if (key && COLUMNS.has(key)) {
      const button = make("button", { type: "button", text: label, "data-sort": key, title: `Sort by ${COLUMNS.get(key).label}` });
      button.addEventListener("click", () => sortBy(key));
      cell.append(button);
      cell.dataset.key = key;
    } else cell.textContent = label;
    head.append(cell);
  }
}

function markHead() {
  for (const cell of $("head").children) {
    const active = cell.dataset.key === SORT.key;
    if (active) cell.setAttribute("aria-sort", SORT.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
}

function kindChip(kind) {
  return make("span", { class: `kind ${KINDS[kind]}`, title: KIND_WORDS[KINDS[kind]], text: KINDS[kind] });
}

function sideCell(value, share, side) {
  const cell = make("div", { role: "cell", class: "side" });
  if (value === null) {
    cell.append(make("b", { text: "–" }));
    return cell;
  }
  // In a cell this narrow what rounds to nothing is nothing.
  const whole = (number) => (Math.abs(number) < 0.05 ? 0 : number);
  cell.append(make("small", { class: "name", text: SIDES[side] }), make("b", { text: signed(whole(value), Math.abs(value) < 1000 ? 1 : 0) }), make("small", { text: `${signed(whole(100 * share), Math.abs(share) < 1 ? 1 : 0)} %` }));
  cell.style.setProperty("--tint", diverging(share / LIMIT));
  cell.style.setProperty("--share", `${Math.min(Math.abs(share) / LIMIT, 1) * 60}%`);
  return cell;
}

/** The terms of a box error as one stacked bar; as long as the error against the largest one. */
function stackedBar(i) {
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
  const numbers = [["IoU", "iou"], ["box error", "error"], ["confidence", "score"]];
  const told = numbers.map(([name, key]) => [name, COLUMNS.get(key).values[i]]).filter(([, value]) => !Number.isNaN(value));
  const words = [describe(i), ...told.map(([name, value]) => `${name} ${format(value)}`), imageOf(i).file_name];
  if (markOf(i) !== "open") words.unshift(`marked ${markOf(i)}`);
  return words.join("; ");
}

function buildRow(place) {
  const i = order[place];
  const rows = PAGE.rows;
  const row = make("div", { role: "row", class: "row", "aria-rowindex": String(place + 2), "aria-label": rowWords(i), tabindex: place === focused ? "0" : "-1", "data-row": String(i) });
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
  if (found >= 0 && found !== rows.class[i]) what.append(make("span", { class: "as", text: `predicted ${PAGE.classes[found]}` }));
  what.append(make("span", { class: "file", text: image.file_name, title: image.file_name }));
  what.append(make("small", { text: `${isTrue(i) ? `box ${rows.annotation[i]}` : `detection ${rows.detection[i]}`} · ${SIZES[rows.size[i]]}` }));
  if (suspectOf(i)) what.append(make("small", { class: "propose", text: proposalText(i), title: proposalText(i) }));
  const kind = cell("kind", kindChip(rows.kind[i]));
  if (other && other.kind[i] !== null && other.kind[i] !== rows.kind[i]) kind.append(make("small", { text: `was ${KINDS[other.kind[i]]}` }));
  if (suspectOf(i)) kind.append(make("small", { class: "suspect", text: suspectOf(i), title: proposalText(i) }));
  const errors = errorsOf(i);
  const shares = sharesOf(i);
  SIDES.forEach((_, side) => row.append(sideCell(errors && errors[side], shares && shares[side], side)));
  cell("number", make("small", { class: "name", text: "IoU" }), make("span", { text: format(COLUMNS.get("iou").values[i]) }));
  cell("error", make("small", { class: "name", text: "error" }), make("b", { text: format(COLUMNS.get("error").values[i], 4) }), stackedBar(i));
  cell("number score", make("small", { class: "name", text: "conf." }), make("span", { text: format(COLUMNS.get("score").values[i], 2) }));
  const change = COLUMNS.get("change");
  cell("number change", make("small", { class: "name", text: "change" }), make("span", { class: verdictOf(i), text: change ? signed(change.values[i], 3) : "" }));
  cell("review", markButtons(i, () => refreshRow(place)));
  row.classList.add(markOf(i).split(" ")[0]);
  row.addEventListener("click", () => focusRow(place));
  row.querySelector(".picture").addEventListener("click", () => openViewer(place));
  row.addEventListener("dblclick", () => openViewer(place));
  return row;
}

function refreshRow(place) {
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
  const last = Math.min(order.length, Math.ceil((panel.scrollTop + panel.clientHeight) / height) + 3);
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
  $("space").style.height = `${order.length * rowHeight()}px`;
  $("table").setAttribute("aria-rowcount", String(order.length + 1));
  focused = Math.min(focused, Math.max(order.length - 1, 0));
  showRows();
}

function focusRow(place, { scroll = true } = {}) {
  if (!order.length) return;
  const before = shown.get(focused);
  if (before) before.tabIndex = -1;
  focused = Math.max(0, Math.min(place, order.length - 1));
  const panel = $("rows");
  const height = rowHeight();
  if (scroll) {
    if (focused * height < panel.scrollTop) panel.scrollTop = focused * height;
    else if ((focused + 1) * height > panel.scrollTop + panel.clientHeight) panel.scrollTop = (focused + 1) * height - panel.clientHeight;
  }
  showRows();
  const row = shown.get(focused);
  row.tabIndex = 0;
  row.focus({ preventScroll: true });
}

function markFocused(mark) {
  if (!order.length) return;
  setMark(order[focused], mark);
  refreshRow(focused);
  fillChips();
  if (mark !== null) focusRow(focused + 1);
}

function startTable() {
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
    focused = 0;
    $("rows").scrollTop = 0;
    markHead();
    redrawRows();
  });
}
