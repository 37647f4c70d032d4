// @ts-check
// What a word means: shown where the word is, when it is tapped, or the keyboard comes to it.
//
// A mouse gets the same text as the title of the element; neither a finger nor a keyboard does.
import { KIND_WORDS, SUSPECT_WORDS } from "./data.js";
import { $ } from "./dom.js";

const EXPLAINED = new Set([...Object.values(KIND_WORDS), ...Object.values(SUSPECT_WORDS)]);
const GAP = 6; // pixels between the word and what it means

/** The element with an explained title that holds `target`, or is in the button that has focus. */
function wordAt(target) {
  if (!(target instanceof Element)) return null;
  const inside = [target.closest("[title]"), ...target.querySelectorAll("[title]")];
  return inside.find((element) => element && EXPLAINED.has(element.getAttribute("title"))) ?? null;
}

function show(element) {
  const box = $("explain");
  box.textContent = element.getAttribute("title");
  box.hidden = false;
  const word = element.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const below = word.bottom + GAP + height <= window.innerHeight;
  const left = Math.max(GAP, Math.min(word.left, window.innerWidth - width - GAP));
  box.style.left = `${left}px`;
  box.style.top = `${below ? word.bottom + GAP : word.top - GAP - height}px`;
}

const hide = () => ($("explain").hidden = true);

export function startExplain() {
  document.addEventListener("focusin", ({ target }) => {
    const word = target instanceof Element && target.matches("button") ? wordAt(target) : null;
    if (word) show(word);
    else hide();
  });
  // A click comes after the focus that the same tap moves; not every browser says what made it.
  let pointer = "mouse";
  document.addEventListener("pointerdown", ({ pointerType }) => (pointer = pointerType));
  document.addEventListener("click", ({ target }) => {
    if (pointer === "mouse") return;
    const word = wordAt(target);
    // A tap beside the word, on its row say, is not about it.
    if (word?.contains(/** @type {Node} */ (target))) show(word);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("scroll", hide, true);
}
