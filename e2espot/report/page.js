"use strict";
// Everything is readable without this script; it adds the theme switch and the large pictures.
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
  try { localStorage.setItem("e2espot-theme", dark ? "dark" : "light"); } catch { /* a file may have no storage */ }
});

const large = document.getElementById("large");
const strips = [...document.querySelectorAll(".strip")];
let shown = -1;

function show(place) {
  if (place < 0 || place >= strips.length) return;
  shown = place;
  const figures = [...strips[place].querySelectorAll("img")].map((image) => {
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
  const said = [...strips[place].closest("li").querySelectorAll("p")].map((line) => line.innerText.replace(/\n/g, "  "));
  large.querySelector("p").textContent = `${said.join(" · ")} (arrow keys: the next; Esc: back)`;
  if (!large.open) large.showModal();
}

strips.forEach((strip, place) => strip.addEventListener("click", () => show(place)));
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
large.addEventListener("close", () => strips[shown]?.focus());
large.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight" || event.key === "ArrowDown") { event.preventDefault(); show(shown + 1); }
  if (event.key === "ArrowLeft" || event.key === "ArrowUp") { event.preventDefault(); show(shown - 1); }
});
