// @ts-check
// Light and dark.
import { $ } from "./dom.js";

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

export function startTheme() {
  let stored = null;
  try {
    stored = localStorage.getItem("boxloss-theme");
  } catch {
    // Without storage the system's choice holds.
  }
  applyTheme(stored === "dark" || stored === "light" ? stored : null);
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    applyTheme(dark ? "light" : "dark");
    try {
      localStorage.setItem("boxloss-theme", dark ? "light" : "dark");
    } catch {
      // It holds for this visit.
    }
  });
}
