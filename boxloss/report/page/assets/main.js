// Filters, keys, theme; and the start.
function toggleFilter(name, value) {
  const chosen = FILTER[name];
  if (chosen.has(value)) chosen.delete(value);
  else chosen.add(value);
  select();
}

function countBy(name, valueOf) {
  const counts = new Map();
  for (let i = 0; i < N; i++) if (passes(i, name)) counts.set(valueOf(i), (counts.get(valueOf(i)) || 0) + 1);
  return counts;
}

function fillChips() {
  const groups = [
    ["kinds", KINDS, (i) => PAGE.rows.kind[i], true],
    ["sizes", SIZES, (i) => PAGE.rows.size[i], true],
    ["verdicts", VERDICTS, verdictOf, false],
    ["marks", ["open", ...MARKS], markOf, false],
    ["suspects", SUSPECTS, suspectOf, false],
  ];
  for (const [name, words, valueOf, numbered] of groups) {
    const counts = countBy(name, valueOf);
    const held = document.activeElement?.dataset?.chip;
    $(name).replaceChildren(
      ...words.map((word, place) => {
        const value = numbered ? place : word;
        const on = FILTER[name].has(value);
        const button = make("button", { type: "button", class: `chip ${name === "kinds" ? word : ""} ${on ? "on" : ""}`, "aria-pressed": String(on), title: KIND_WORDS[word] || word, "data-chip": `${name}:${word}`, text: word });
        button.append(make("small", { text: String(counts.get(value) || 0) }));
        button.addEventListener("click", () => toggleFilter(name, value));
        return button;
      }),
    );
    if (held?.startsWith(`${name}:`)) document.querySelector(`[data-chip="${held}"]`)?.focus();
  }
}

function fillClasses() {
  const counts = countBy("classes", (i) => PAGE.rows.class[i]);
  const boxes = $("classes").querySelectorAll("input");
  if (!boxes.length) {
    PAGE.classes.forEach((name, c) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => toggleFilter("classes", c));
      $("classes").append(make("label", { class: "check" }, box, make("span", { text: name, title: name }), make("small")));
    });
  }
  $("classes").querySelectorAll("label").forEach((label, c) => {
    label.querySelector("input").checked = FILTER.classes.has(c);
    label.querySelector("small").textContent = String(counts.get(c) || 0);
  });
}

function drawStatus() {
  const images = new Set(order.map((i) => PAGE.rows.image[i])).size;
  announce(`${order.length} of ${N} boxes in ${images} images`);
  $("sort-column").value = SORT.key;
  $("sort-way").textContent = SORT.down ? "↓ large first" : "↑ small first";
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const viewing = $("viewer").open;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const page = Math.max(1, Math.floor($("rows").clientHeight / rowHeight()) - 1);
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -order.length, End: order.length }[key];
  const inTable = event.target === document.body || event.target.closest("#rows");
  const mark = MARK_KEYS[key];
  if ($("help-box").open) return;
  if (viewing && (event.key === "ArrowRight" || event.key === "ArrowLeft")) showInViewer(view.place + (event.key === "ArrowRight" ? 1 : -1));
  else if (viewing && (mark || key === "u")) {
    setMark(order[view.place], mark || null);
    refreshRow(view.place);
    fillChips();
    showInViewer(view.place + (mark ? 1 : 0));
  } else if (viewing) return;
  else if (event.key === "/") $("search").focus();
  else if (event.key === "?") $("help-box").showModal();
  else if (inTable && step !== undefined) focusRow(focused + step);
  else if (inTable && event.key === "Enter" && !event.target.closest("button")) openViewer(focused);
  else if (inTable && (mark || key === "u")) markFocused(mark || null);
  else return;
  event.preventDefault();
}

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function startTheme() {
  let stored = null;
  try {
    stored = localStorage.getItem("boxloss-theme");
  } catch {
    // Without storage the system's choice holds.
  }
  applyTheme(stored === "dark" || stored === "light" ? stored : null);
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    applyTheme(dark ? "light" : "dark");
    try {
      localStorage.setItem("boxloss-theme", dark ? "light" : "dark");
    } catch {
      // It holds for this visit.
    }
  });
}

function startWords() {
  $("title").textContent = PAGE.title;
  $("subtitle").textContent = PAGE.subtitle;
  $("suspect-field").hidden = $("legend-proposal").hidden = !PROPOSAL;
  $("limit").textContent = `${Math.round(100 * LIMIT)} %`;
  const stops = Array.from({ length: 21 }, (_, i) => diverging((i - 10) / 10));
  $("ramp").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const kind of KINDS) $("kind-words").append(make("dt", {}, kindChip(KINDS.indexOf(kind))), make("dd", { text: KIND_WORDS[kind] }));
  Object.keys(PAGE.terms).forEach((name, place) => $("legend-terms").append(make("span", {}, make("i", { class: `term t${place % 6}` }), name)));
}

function start() {
  startTheme();
  startWords();
  startTable();
  startHistogram();
  startCartography();
  startSummary();
  startViewer();
  startExport();
  orderListeners.push(drawStatus);
  listeners.push(fillChips, fillClasses);
  let pause = null;
  $("search").addEventListener("input", (event) => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      FILTER.text = event.target.value.trim().toLowerCase();
      select();
    }, 120);
  });
  $("reset").addEventListener("click", resetFilters);
  $("sort-column").addEventListener("change", (event) => sortBy(event.target.value, !COLUMNS.get(event.target.value).up));
  $("sort-way").addEventListener("click", () => sortBy(SORT.key));
  $("help").addEventListener("click", () => $("help-box").showModal());
  $("help-close").addEventListener("click", () => $("help-box").close());
  document.addEventListener("keydown", onKey);
  if (matchMedia("(max-width: 1020px)").matches) $("filters").open = false;
  SORT.down = !COLUMNS.get(SORT.key).up;
  select();
  startCompare();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
