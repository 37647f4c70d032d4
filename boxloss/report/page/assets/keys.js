// @ts-check
// The keyboard.
import { showTab } from "./address.js";
import { fillChips } from "./chips.js";
import { $ } from "./dom.js";
import { MARK_KEYS, setMark } from "./review.js";
import { selection } from "./select.js";
import { focusRow, markFocused, openRow, refreshRow, rowHeight, tableState } from "./table.js";
import { fitAgain, showInViewer, toggleFix, view, zoomAt } from "./viewer.js";

/** The search is in the Boxes tab, so "/" opens that tab first. */
function focusSearch() {
  if ($("panel-boxes").hidden) showTab("boxes");
  $("filters").open = true;
  $("search").focus();
}

export function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const viewing = $("viewer").open;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const page = Math.max(1, Math.floor($("rows").clientHeight / rowHeight()) - 1);
  const step = {
    ArrowDown: 1,
    j: 1,
    ArrowUp: -1,
    k: -1,
    PageDown: page,
    PageUp: -page,
    Home: -selection.order.length,
    End: selection.order.length,
  }[key];
  const inTable =
    !$("panel-boxes").hidden && (event.target === document.body || event.target.closest("#rows"));
  const mark = MARK_KEYS[key];
  if ($("help-box").open) return;
  if (viewing && (event.key === "ArrowRight" || event.key === "ArrowLeft"))
    showInViewer(view.place + (event.key === "ArrowRight" ? 1 : -1));
  else if (viewing && (key === "+" || key === "=")) zoomAt(1 / 1.3);
  else if (viewing && key === "-") zoomAt(1.3);
  else if (viewing && key === "0") fitAgain();
  else if (viewing && key === "f") toggleFix();
  else if (viewing && (mark || key === "u")) {
    setMark(selection.order[view.place], mark || null);
    refreshRow(view.place);
    fillChips();
    showInViewer(view.place + (mark ? 1 : 0));
  } else if (viewing) return;
  else if (event.key === "/") focusSearch();
  else if (event.key === "?") $("help-box").showModal();
  else if (inTable && step !== undefined) focusRow(tableState.focused + step);
  else if (inTable && event.key === "Enter" && !event.target.closest("button"))
    openRow(tableState.focused);
  else if (inTable && key === "f" && selection.order.length) {
    openRow(tableState.focused);
    toggleFix(true);
  } else if (inTable && (mark || key === "u")) markFocused(mark || null);
  else return;
  event.preventDefault();
}
