"use strict";
// The page is complete without this script; it adds the theme switch and the enlarged frames.
const root = document.documentElement;
const theme = /** @type {HTMLButtonElement} */ (document.getElementById("theme"));
const large = /** @type {HTMLDialogElement} */ (document.getElementById("large"));
/** @type {HTMLElement[]} */
const strips = [...document.querySelectorAll(".strip")].filter((strip) => strip instanceof HTMLElement);
let current = -1; // index of the enlarged strip

/** @param {boolean} dark */
function showTheme(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  theme.textContent = dark ? "Light" : "Dark"; // what the button switches to
}

function storedTheme() {
  try {
    return localStorage.getItem("e2espot-theme");
  } catch {
    return null; // a page that was opened from a file may have no storage
  }
}

/** @param {boolean} dark */
function storeTheme(dark) {
  try {
    localStorage.setItem("e2espot-theme", dark ? "dark" : "light");
  } catch {
    // see storedTheme
  }
}

/** @param {number} index */
function enlarge(index) {
  if (index < 0 || index >= strips.length) return;
  current = index;
  const figures = [...strips[index].querySelectorAll("img")].map((image) => {
    const figure = document.createElement("figure");
    const copy = document.createElement("img");
    copy.src = image.src;
    copy.alt = image.alt;
    const caption = document.createElement("figcaption");
    caption.textContent = image.alt;
    figure.append(copy, caption);
    return figure;
  });
  large.querySelector("div")?.replaceChildren(...figures);
  const lines = [...strips[index].closest("li")?.querySelectorAll("p") ?? []];
  const texts = lines.map((line) => line.innerText.replace(/\n/g, "  "));
  const help = large.querySelector("p");
  if (help) help.textContent = `${texts.join(" · ")} (arrow keys: next and previous; Esc: close)`;
  if (!large.open) large.showModal();
}

const stored = storedTheme();
showTheme(stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
theme.addEventListener("click", () => {
  const dark = root.dataset.theme !== "dark";
  showTheme(dark);
  storeTheme(dark);
});

strips.forEach((strip, index) => strip.addEventListener("click", () => enlarge(index)));
large.addEventListener("click", (event) => {
  if (event.target === large) large.close(); // on the backdrop
});
large.addEventListener("close", () => strips[current]?.focus());
large.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  enlarge(current + step);
});
