"use strict";
// The page is complete without this script; it adds the theme switch and the enlarged frames.
const root = document.documentElement;
const theme = document.getElementById("theme");

function showTheme(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  theme.textContent = dark ? "Light" : "Dark";
}

function storedTheme() {
  try { return localStorage.getItem("e2espot-theme"); } catch { return null; }
}

const stored = storedTheme();
showTheme(stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
theme.addEventListener("click", () => {
  const dark = root.dataset.theme !== "dark";
  showTheme(dark);
  try { localStorage.setItem("e2espot-theme", dark ? "dark" : "light"); } catch { /* pages opened from a file may have no storage */ }
});

const large = document.getElementById("large");
const strips = [...document.querySelectorAll(".strip")];
let current = -1;

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
  large.querySelector("div").replaceChildren(...figures);
  const lines = [...strips[index].closest("li").querySelectorAll("p")].map((line) => line.innerText.replace(/\n/g, "  "));
  large.querySelector("p").textContent = `${lines.join(" · ")} (arrow keys: next and previous; Esc: close)`;
  if (!large.open) large.showModal();
}

strips.forEach((strip, index) => strip.addEventListener("click", () => enlarge(index)));
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
large.addEventListener("close", () => strips[current]?.focus());
large.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight" || event.key === "ArrowDown") { event.preventDefault(); enlarge(current + 1); }
  if (event.key === "ArrowLeft" || event.key === "ArrowUp") { event.preventDefault(); enlarge(current - 1); }
});
