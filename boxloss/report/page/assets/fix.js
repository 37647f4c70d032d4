// @ts-check
// Fix by hand: the sides of a box are dragged, or moved by arrow keys, in the whole image.
//
// Each side is a slider for the keyboard and a wide invisible line for mouse and finger; a corner
// moves its two sides. A side that nobody has moved keeps every digit, so that the label that is
// written differs in the moved sides alone.
import { PAGE, SIDES, imageOf } from "./data.js";
import { $, make, makeSvg } from "./dom.js";
import { fixed } from "./numbers.js";
import { fixOf, setFix, unfixed } from "./review.js";

const NAMES = ["left side", "upper side", "right side", "lower side"];
const CORNERS = [
  [0, 1],
  [2, 1],
  [2, 3],
  [0, 3],
];
const LEAST = 1; // pixels between opposite sides
/** on: whether boxes are fixed now; i: the row; changed(done): is called after every change. */
export const fixing = { on: false, i: -1, changed: (_done) => {} };
const drawn = { svg: null, path: null, grips: [] };

export const fixPath = ([x1, y1, x2, y2]) => `M${x1} ${y1}H${x2}V${y2}H${x1}Z`;

/** The box and class of row i as they are now. */
const current = (i) => fixOf(i) ?? unfixed(i);

/** The box with side `s` at `value`: inside the image, and not beyond the opposite side. */
function moved(box, s, value) {
  const image = imageOf(fixing.i);
  const [low, high] =
    s < 2 ? [0, box[s + 2] - LEAST] : [box[s - 2] + LEAST, [image.width, image.height][s - 2]];
  const after = [...box];
  const rounded = Math.round(10 * value) / 10; // a tenth of a pixel is less than a hand can see
  after[s] = Math.max(low, Math.min(high, rounded));
  return after[0] < after[2] && after[1] < after[3] ? after : box;
}

function setBox(box, done) {
  const { i } = fixing;
  const { box: before, class: number } = current(i);
  if (box.some((value, s) => value !== before[s])) setFix(i, box, number);
  place();
  fixing.changed(done);
}

/** Put path, grips and numbers where the box is. */
function place() {
  const { box } = current(fixing.i);
  const [x1, y1, x2, y2] = box;
  drawn.path.forEach((path) => path.setAttribute("d", fixPath(box)));
  const lines = [
    `M${x1} ${y1}V${y2}`,
    `M${x1} ${y1}H${x2}`,
    `M${x2} ${y1}V${y2}`,
    `M${x1} ${y2}H${x2}`,
  ];
  drawn.grips.forEach(({ grip, sides }) => {
    if (sides.length === 1) {
      grip.setAttribute("d", lines[sides[0]]);
      grip.setAttribute("aria-valuenow", fixed(box[sides[0]]));
      grip.setAttribute("aria-valuetext", `${fixed(box[sides[0]])} pixels`);
    } else grip.setAttribute("d", `M${box[sides[0]]} ${box[sides[1]]}h0`);
  });
  $("fix-numbers").textContent = SIDES.map((side, s) => `${side} ${fixed(box[s])}`).join("  ");
}

function makeGrip(sides) {
  const image = imageOf(fixing.i);
  const grip = makeSvg("path", { class: sides.length === 1 ? "grip" : "grip corner" });
  if (sides.length === 1)
    for (const [name, value] of Object.entries({
      tabindex: "0",
      role: "slider",
      "aria-label": NAMES[sides[0]],
      "aria-valuemin": "0",
      "aria-valuemax": String(sides[0] % 2 ? image.height : image.width),
    }))
      grip.setAttribute(name, value);
  grip.setAttribute("data-sides", sides.map((s) => SIDES[s]).join(" "));
  grip.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // the picture would be dragged too
    event.preventDefault();
    if (sides.length === 1) grip.focus({ preventScroll: true });
    grip.setPointerCapture(event.pointerId);
    // From where it was taken, not from the pointer: a side must not jump when it is touched.
    const from = current(fixing.i).box;
    const start = placeOf(event);
    const move = (now) => {
      const at = placeOf(now);
      let box = current(fixing.i).box;
      for (const s of sides) box = moved(box, s, from[s] + at[s % 2] - start[s % 2]);
      setBox(box, false);
    };
    const end = () => {
      grip.removeEventListener("pointermove", move);
      fixing.changed(true);
    };
    grip.addEventListener("pointermove", move);
    grip.addEventListener("pointerup", end, { once: true });
    grip.addEventListener("pointercancel", end, { once: true });
  });
  grip.addEventListener("keydown", (event) => onArrow(event, sides));
  return grip;
}

function onArrow(event, [s]) {
  const steps = s % 2 ? { ArrowUp: -1, ArrowDown: 1 } : { ArrowLeft: -1, ArrowRight: 1 };
  if (!event.key.startsWith("Arrow") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.stopPropagation(); // elsewhere the arrows go to the next box
  event.preventDefault();
  const step = (steps[event.key] ?? 0) * (event.shiftKey ? 10 : 1);
  const { box } = current(fixing.i);
  if (step) setBox(moved(box, s, box[s] + step), true);
}

/** Where an event is, in pixels of the image. */
function placeOf(event) {
  const matrix = drawn.svg.getScreenCTM();
  return [(event.clientX - matrix.e) / matrix.a, (event.clientY - matrix.f) / matrix.d];
}

/** Add the grips of row i to the picture; nothing where boxes are not being fixed. */
export function drawGrips(svg, i) {
  fixing.i = i;
  $("fix-bar").hidden = !fixing.on;
  $("viewer-fix").setAttribute("aria-pressed", String(fixing.on));
  if (!fixing.on) return;
  const group = makeSvg("g", { class: "fixing" });
  drawn.path = ["casing", "fixed"].map((name) => makeSvg("path", { class: name }));
  const sides = [[0], [1], [2], [3], ...CORNERS];
  drawn.grips = sides.map((which) => ({ grip: makeGrip(which), sides: which }));
  group.append(...drawn.path, ...drawn.grips.map(({ grip }) => grip));
  svg.append(group);
  drawn.svg = svg;
  $("fix-class").value = String(current(i).class);
  place();
}

/** changed(done): called after every change, `done` at the end of a drag. */
export function startFix(changed) {
  fixing.changed = changed;
  const choice = $("fix-class");
  PAGE.classes.forEach((text, value) =>
    choice.append(make("option", { value: String(value), text })),
  );
  choice.addEventListener("change", () => {
    setFix(fixing.i, current(fixing.i).box, Number(choice.value));
    changed(true);
  });
}
