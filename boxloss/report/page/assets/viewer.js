// @ts-check
// The whole image with all its boxes; wheel and drag move through it.
import { fillChips } from "./chips.js";
import { COLUMNS } from "./columns.js";
import {
  KINDS,
  KIND_WORDS,
  N,
  PAGE,
  SIDES,
  SIZES,
  errorsOf,
  imageOf,
  predictionOf,
  proposalText,
  proposedOf,
  sharesOf,
  suspectOf,
  truthOf,
} from "./data.js";
import { $, make, makeSvg } from "./dom.js";
import { format, signed } from "./numbers.js";
import { OTHER, verdictOf } from "./other.js";
import { describe, drawBoxes, drawProposalWords, drawValues } from "./picture.js";
import { markButtons } from "./review.js";
import { selection } from "./select.js";
import { focusRow, kindChip, refreshRow, stackedBar, whenOpened } from "./table.js";

export const view = { place: 0, image: -1, x: 0, y: 0, width: 1, height: 1 };

function openViewer(place) {
  if (!selection.order.length) return;
  focusRow(place);
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
  if (view.image !== PAGE.rows.image[i]) fitView();
  drawViewer();
  drawFacts(i);
}

function fitView() {
  const i = selection.order[view.place];
  const image = imageOf(i);
  Object.assign(view, {
    image: PAGE.rows.image[i],
    x: 0,
    y: 0,
    width: image.width,
    height: image.height,
  });
}

function zoomToBox() {
  const [x, y, width, height] = PAGE.rows.crop.slice(
    4 * selection.order[view.place],
    4 * selection.order[view.place] + 4,
  );
  Object.assign(view, { x, y, width, height });
}

function drawViewer() {
  const i = selection.order[view.place];
  const image = imageOf(i);
  const svg = makeSvg("svg", {
    viewBox: `${view.x} ${view.y} ${view.width} ${view.height}`,
    role: "img",
    "aria-label": `${image.file_name}: ${describe(i)}`,
  });
  if (image.picture) {
    svg.append(
      makeSvg("image", {
        href: `images/${PAGE.rows.image[i]}.jpg`,
        x: 0,
        y: 0,
        width: image.width,
        height: image.height,
        preserveAspectRatio: "none",
      }),
    );
  } else {
    svg.append(
      makeSvg("rect", { class: "ground", x: 0, y: 0, width: image.width, height: image.height }),
    );
  }
  if ($("viewer-all").checked) {
    for (let j = 0; j < N; j++)
      if (j !== i && PAGE.rows.image[j] === PAGE.rows.image[i]) drawBoxes(svg, j, true);
  }
  drawBoxes(svg, i);
  const frame = $("viewer-picture").getBoundingClientRect();
  const unit = Math.max(
    view.width / Math.max(frame.width, 1),
    view.height / Math.max(frame.height, 1),
  );
  if ($("viewer-values").checked) {
    const [x, y] = [view.x + view.width / 2, view.y + view.height / 2];
    const half = [(frame.width * unit) / 2, (frame.height * unit) / 2];
    const seen = [x - half[0], y - half[1], x + half[0], y + half[1]];
    const top = drawValues(svg, i, unit, seen);
    drawProposalWords(svg, i, unit, seen, top);
  }
  $("viewer-picture").replaceChildren(svg);
}

function drawFacts(i) {
  const rows = PAGE.rows;
  const list = make("dl");
  const fact = (name, ...values) =>
    list.append(make("dt", { text: name }), make("dd", {}, ...values));
  // <bdi>: a name written from right to left must not turn the number beside it.
  const word = (text) => make("bdi", { text });
  fact("kind", kindChip(rows.kind[i]), ` ${KIND_WORDS[KINDS[rows.kind[i]]]}`);
  fact("class", PAGE.classes[rows.class[i]]);
  if (rows.predicted[i] >= 0)
    fact(
      "predicted",
      word(PAGE.classes[rows.predicted[i]]),
      ` (${format(COLUMNS.get("score").values[i], 3)})`,
    );
  if (suspectOf(i)) {
    fact("suspected", suspectOf(i));
    fact("proposed", proposalText(i));
  }
  fact("size", SIZES[rows.size[i]]);
  const errors = errorsOf(i);
  const shares = sharesOf(i);
  SIDES.forEach((side, s) =>
    fact(side, errors ? `${signed(errors[s], 2)} px (${signed(100 * shares[s])} %)` : "–"),
  );
  fact("IoU", format(COLUMNS.get("iou").values[i], 4));
  fact(`box error (${PAGE.loss})`, format(COLUMNS.get("error").values[i], 6));
  for (const [name, values] of Object.entries(PAGE.terms)) fact(name, format(values[i], 6));
  for (const [name, values] of Object.entries(PAGE.extra))
    fact(name.replaceAll("_", " "), format(values[i], 4));
  const text = (box) => (box ? box.map((value) => format(value, 1)).join(", ") : "none");
  fact("truth", text(truthOf(i)));
  fact("prediction", text(predictionOf(i)));
  if (proposedOf(i)) fact("proposed box", text(proposedOf(i)));
  if (OTHER.run && OTHER.run.kind[i] !== null) {
    fact(
      `in ${OTHER.run.title}`,
      `${KINDS[OTHER.run.kind[i]]}, box error ${format(OTHER.run.error[i] ?? NaN, 6)}` +
        `, IoU ${format(OTHER.run.iou[i] ?? NaN, 4)}`,
    );
    fact("change", `${signed(COLUMNS.get("change").values[i], 6)} (${verdictOf(i)})`);
  }
  const refresh = () => {
    refreshRow(view.place);
    fillChips();
    drawFacts(i);
  };
  $("viewer-facts").replaceChildren(stackedBar(i), list, markButtons(i, refresh));
}

function zoomAt(factor, clientX, clientY) {
  const frame = $("viewer-picture").getBoundingClientRect();
  const unit = Math.max(view.width / frame.width, view.height / frame.height);
  const x = view.x + view.width / 2 + (clientX - frame.left - frame.width / 2) * unit;
  const y = view.y + view.height / 2 + (clientY - frame.top - frame.height / 2) * unit;
  view.x = x - (x - view.x) * factor;
  view.y = y - (y - view.y) * factor;
  view.width *= factor;
  view.height *= factor;
  drawViewer();
}

export function startViewer() {
  whenOpened(openViewer);
  const picture = $("viewer-picture");
  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomAt(event.deltaY > 0 ? 1.15 : 1 / 1.15, event.clientX, event.clientY);
    },
    { passive: false },
  );
  let from = null;
  picture.addEventListener("pointerdown", (event) => {
    from = [event.clientX, event.clientY];
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (!from) return;
    const frame = picture.getBoundingClientRect();
    const unit = Math.max(view.width / frame.width, view.height / frame.height);
    view.x -= (event.clientX - from[0]) * unit;
    view.y -= (event.clientY - from[1]) * unit;
    from = [event.clientX, event.clientY];
    drawViewer();
  });
  picture.addEventListener("pointerup", () => (from = null));
  for (const id of ["viewer-all", "viewer-values"]) $(id).addEventListener("change", drawViewer);
  $("viewer-fit").addEventListener("click", () => (fitView(), drawViewer()));
  $("viewer-box").addEventListener("click", () => (zoomToBox(), drawViewer()));
  $("viewer-previous").addEventListener("click", () => showInViewer(view.place - 1));
  $("viewer-next").addEventListener("click", () => showInViewer(view.place + 1));
  $("viewer-close").addEventListener("click", () => $("viewer").close());
  $("viewer").addEventListener("close", () => {
    // The event comes late: whoever types in a field by then stays there.
    if (!document.activeElement?.closest("input, select")) focusRow(view.place);
  });
}
