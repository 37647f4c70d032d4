// @ts-check
// The crops of the selected rows as tiles. As in the table only those in sight exist.
import { tab, tabListeners } from "./address.js";
import { KINDS, KIND_LABELS, PAGE } from "./data.js";
import { $, make } from "./dom.js";
import { cropOf } from "./picture.js";
import { orderListeners, selection } from "./select.js";
import { openRow } from "./table.js";

const TILE = [168, 156]; // pixels, as in style.css
const shown = new Map(); // place in the order -> element

function tileOf(place, columns) {
  const i = selection.order[place];
  const kind = PAGE.rows.kind[i];
  const tile = make("button", { type: "button", class: `tile ${KINDS[kind]}` });
  const score = PAGE.rows.score[i] === null ? "" : ` ${PAGE.rows.score[i].toFixed(2)}`;
  const words = `${PAGE.classes[PAGE.rows.class[i]]}${score}`;
  tile.append(cropOf(i), make("span", { text: words }), make("b", { text: KIND_LABELS[kind] }));
  const [x, y] = [place % columns, Math.floor(place / columns)];
  tile.style.transform = `translate(${x * TILE[0]}px, ${y * TILE[1]}px)`;
  tile.addEventListener("click", () => openRow(place));
  return tile;
}

function drawGallery() {
  const panel = $("gallery");
  if (panel.hidden) return;
  const columns = Math.max(1, Math.floor(panel.clientWidth / TILE[0]));
  const lines = Math.ceil(selection.order.length / columns);
  $("gallery-space").style.height = `${lines * TILE[1]}px`;
  const first = Math.max(0, Math.floor(panel.scrollTop / TILE[1]) - 1) * columns;
  const last = Math.ceil((panel.scrollTop + panel.clientHeight) / TILE[1] + 1) * columns;
  for (const [place, tile] of shown) {
    if (place >= first && place < last && tile.dataset.columns === String(columns)) continue;
    tile.remove();
    shown.delete(place);
  }
  for (let place = Math.min(last, selection.order.length) - 1; place >= first; place--) {
    if (shown.has(place)) continue;
    const tile = tileOf(place, columns);
    tile.dataset.columns = String(columns);
    $("gallery-space").insertBefore(tile, shown.get(place + 1) ?? null);
    shown.set(place, tile);
  }
}

function redraw() {
  for (const tile of shown.values()) tile.remove();
  shown.clear();
  $("gallery").scrollTop = 0;
  drawGallery();
}

export function startGallery() {
  $("as-gallery").addEventListener("click", () => {
    const on = $("gallery").hidden;
    $("gallery").hidden = !on;
    $("panel-boxes").classList.toggle("with-gallery", on);
    $("as-gallery").setAttribute("aria-pressed", String(on));
    redraw();
  });
  $("gallery").addEventListener("scroll", () => requestAnimationFrame(drawGallery));
  new ResizeObserver(drawGallery).observe($("gallery"));
  orderListeners.push(redraw);
  tabListeners.push(() => tab.name === "boxes" && drawGallery());
}
