// The list of events. Only rows in view exist as elements, so that twenty thousand scroll as easily as ten.
import { clock, closest, make } from "/static/dom.js";

/** @typedef {import("./model.js").EventItem} EventItem */

const ROW_HEIGHT = 28; // pixels; also in review.css
const ROWS_AROUND = 4; // rows drawn above and below the view

export class List {
  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} rows
   * @param {number} fps
   * @param {(item: EventItem, index: number) => void} onPick
   */
  constructor(scroller, rows, fps, onPick) {
    this.scroller = scroller;
    this.rows = rows;
    this.fps = fps;
    /** @type {EventItem[]} */
    this.items = [];
    this.current = -1;
    this.emptyText = "";
    scroller.addEventListener("scroll", () => this.draw());
    rows.addEventListener("click", (event) => {
      const row = closest(event, ".row");
      if (row) onPick(this.items[Number(row.dataset.index)], Number(row.dataset.index));
    });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  /**
   * Show other items.
   * @param {EventItem[]} items
   * @param {number} current index of the selected item, or -1
   * @param {string} emptyText shown if there are no items
   */
  set(items, current, emptyText) {
    this.items = items;
    this.emptyText = emptyText;
    this.rows.style.height = `${items.length * ROW_HEIGHT}px`;
    if (current !== this.current && current >= 0) this.#scrollTo(current);
    this.current = current;
    this.draw();
  }

  /** @param {number} index */
  #scrollTo(index) {
    const top = index * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.scroller;
    const inView = top >= scrollTop && top + ROW_HEIGHT <= scrollTop + clientHeight;
    if (!inView) this.scroller.scrollTop = top - clientHeight / 2;
  }

  draw() {
    if (!this.items.length) {
      this.rows.replaceChildren(make("p", { class: "empty" }, this.emptyText));
      return;
    }
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - ROWS_AROUND);
    const count = Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * ROWS_AROUND + 1;
    const shown = this.items.slice(first, first + count);
    this.rows.replaceChildren(...shown.map((item, index) => this.#row(item, first + index)));
  }

  /**
   * @param {EventItem} item
   * @param {number} index
   */
  #row(item, index) {
    const time = clock(item.frame / this.fps);
    const row = make("div", {
      class: item.decided ? "row decided" : "row",
      role: "option",
      "data-index": String(index),
      "aria-selected": String(index === this.current),
      "aria-label": `${item.label} ${time} ${item.status}`,
    });
    row.style.top = `${index * ROW_HEIGHT}px`;
    const status = item.decided && item.status === "wrong" ? "done" : item.status;
    row.append(make("i", { class: `dot ${status}` }), make("span", {}, time));
    row.append(make("span", { class: "name" }, item.label));
    if (item.mark) row.append(make("span", { class: "score" }, item.mark));
    row.append(make("span", { class: "score" }, item.score === null ? "" : item.score.toFixed(2)));
    return row;
  }
}
