// @ts-check
// One box with the median signed error of each side: which side is wrong, and is that certain?
import { openBoxes } from "./address.js";
import { PAGE, SIDES } from "./data.js";
import { $, make } from "./dom.js";
import { fixed, grouped } from "./numbers.js";
import { isBiased, sideErrorsOf } from "./statistics.js";

function classChosen() {
  const value = $("sides-class").value;
  return value === "" ? null : Number(value);
}

export function drawSides() {
  const chosen = classChosen();
  const errors = sideErrorsOf(chosen);
  $("sides-box").hidden = !errors;
  if (!errors) {
    $("sides-words").textContent = "Too few boxes are found to say.";
    return;
  }
  const buttons = errors.map((error, side) => {
    const { median, low, high } = error;
    const name = make("button", { type: "button", class: `side-${SIDES[side]}` });
    name.append(
      make("b", {
        class: isBiased(error) ? "alarm" : "",
        text: `${median >= 0.05 ? "+" : ""}${fixed(median)}`,
      }),
    );
    name.append(` [${fixed(low)}, ${fixed(high)}]`);
    name.setAttribute("aria-label", `${SIDES[side]}: ${name.textContent} per cent`);
    const filter = { kinds: [0], ...(chosen === null ? {} : { classes: [chosen] }) };
    name.addEventListener("click", () => openBoxes({ chosen: filter, sort: SIDES[side] }));
    return name;
  });
  $("sides-box").replaceChildren(...buttons);
  const count = errors[0].count;
  const biased = errors.some(isBiased);
  const certain = count < 100 ? `; ${count} boxes are few to be sure` : "";
  const found = `${grouped(count)} found boxes`;
  $("sides-words").textContent = biased
    ? `${found}: the sides in red are off by 1 % or more, for certain${certain}.`
    : `${found}: no side is off by more than 1 % for certain${certain}.`;
}

export function startSides() {
  const options = PAGE.classes.map((name, c) => make("option", { value: String(c), text: name }));
  $("sides-class").append(...options);
  $("sides-class").addEventListener("change", drawSides);
}
