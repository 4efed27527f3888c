// The list of events: only the rows in view exist as elements, so that twenty thousand scroll as easily as ten.
import { clock } from "/static/timeline.js";

const TALL = 28;

export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value; else made.setAttribute(key === "class" ? "class" : key, value);
  }
  made.append(...children);
  return made;
}

/** New children for a box; a button that had the focus passes it on to the one in its place. */
export function refill(box, ...children) {
  const focused = [...box.querySelectorAll("button")].indexOf(document.activeElement);
  box.replaceChildren(...children);
  if (focused >= 0) box.querySelectorAll("button")[focused]?.focus();
}

export class List {
  constructor(box, rows, onPick) {
    this.box = box;
    this.rows = rows;
    this.onPick = onPick;
    this.items = [];
    this.current = -1;
    this.fps = 25;
    box.addEventListener("scroll", () => this.draw());
    rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) onPick(this.items[Number(row.dataset.at)], Number(row.dataset.at));
    });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  set(items, current, empty) {
    this.items = items;
    this.empty = empty;
    this.rows.style.height = `${items.length * TALL}px`;
    this.mark(current);
  }

  mark(current) {
    const moved = current !== this.current;
    this.current = current;
    if (moved && current >= 0) {
      const top = current * TALL, room = this.box.clientHeight;
      if (top < this.box.scrollTop || top + TALL > this.box.scrollTop + room) this.box.scrollTop = top - room / 2;
    }
    this.draw();
  }

  draw() {
    if (!this.items.length) {
      this.rows.replaceChildren(make("p", { class: "empty" }, this.empty ?? ""));
      return;
    }
    const first = Math.max(0, Math.floor(this.box.scrollTop / TALL) - 4);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / TALL) + 9);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.#row(this.items[at], at));
    this.rows.replaceChildren(...rows);
  }

  #row(item, at) {
    const row = make("div", { class: `row${item.decided ? " decided" : ""}`, role: "option", "data-at": String(at),
      "aria-selected": String(at === this.current), "aria-label": `${item.label} ${clock(item.frame / this.fps)} ${item.said ?? item.status}` });
    row.style.top = `${at * TALL}px`;
    row.append(make("i", { class: `dot ${item.decided && item.status === "wrong" ? "done" : item.status}` }), make("span", {}, clock(item.frame / this.fps)),
      make("span", { class: "name" }, item.label));
    if (item.mark) row.append(make("span", { class: "score" }, item.mark));
    row.append(make("span", { class: "score" }, item.score === null ? "" : item.score.toFixed(2)));
    return row;
  }
}
