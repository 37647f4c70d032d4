// @ts-check
// Elements: made, found and filled.

/** The element of an id, of whatever kind the template has given it. @type {(id: string) => any} */
export const $ = (id) => document.getElementById(id);

/** The first element that a selector finds. @type {(selector: string) => any} */
export const $$ = (selector) => document.querySelector(selector);

/** What the keyboard is at. @returns {HTMLElement | null} */
export function focusedElement() {
  return document.activeElement instanceof HTMLElement ? document.activeElement : null;
}

/** Create an element; text is always text, never markup. */
export function make(tag, attributes = {}, ...children) {
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
export function refill(place, after, ...children) {
  const held = place.contains(document.activeElement) ? document.activeElement.textContent : null;
  place.replaceChildren(...children);
  if (held === null) return;
  const same = [...place.querySelectorAll("button, a")].find(
    (button) => button.textContent === held,
  );
  (same ?? after).focus();
}

export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function announce(text) {
  $("count").textContent = text;
}
