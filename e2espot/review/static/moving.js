// Moves the times of all labels of a video: a shift and a rate, shown on the page before anything is saved.
import { byId } from "/static/dom.js";
import { fetchJson } from "/static/server.js";

/** @typedef {import("./page.js").Page} Page */

export class Moving {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.shown = false;
    this.asked = 0; // number of the latest request, so that a late answer to an earlier one is dropped
    byId("move-open").addEventListener("click", () => this.toggle());
    byId("move-cancel").addEventListener("click", () => this.close());
    byId("move-times", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
    for (const id of ["move-shift", "move-rate"]) {
      byId(id, HTMLInputElement).addEventListener("input", () => this.preview());
    }
  }

  /** Values of the form, as the server reads them. */
  get values() {
    const [shift, rate] = ["move-shift", "move-rate"].map((id) => byId(id, HTMLInputElement).value.trim());
    return { shift: shift || "0", rate: rate || "1" };
  }

  toggle() {
    if (this.shown) {
      this.close();
      return;
    }
    this.shown = true;
    byId("move-times").hidden = false;
    byId("move-shift", HTMLInputElement).select();
    this.preview();
  }

  /** Show the labels where they are saved. */
  close() {
    this.shown = false;
    this.asked += 1;
    byId("move-times").hidden = true;
    byId("move-shift", HTMLInputElement).value = "0";
    byId("move-rate", HTMLInputElement).value = "1";
    this.#show(new Map());
  }

  /** Show the labels where they would be. */
  async preview() {
    const { page } = this, { half } = page.model;
    const asked = this.asked += 1;
    try {
      const query = new URLSearchParams({ half: String(half), ...this.values });
      const { labels, outside } = await fetchJson(`/api/games/${page.game}/moved?${query}`);
      if (asked !== this.asked) return;
      this.#show(new Map(labels));
      const { hit, miss } = page.model.counts;
      const effect = page.model.hasPredictions ? `${hit} of ${hit + miss} labels hit` : `${labels.length} labels`;
      this.#say(outside ? `${outside} would be outside the video` : `${effect} · not saved yet`, outside > 0);
    } catch (error) {
      if (asked !== this.asked) return;
      this.#show(new Map());
      this.#say(/** @type {Error} */ (error).message, true);
    }
  }

  /** Save the labels where they are shown, as one decision. */
  apply() {
    const { shift, rate } = this.values;
    this.shown = false; // decisions are refused while it is shown
    this.page.decisions.inOrder(async () => {
      if (await this.page.decisions.moveTimes(shift, rate)) this.close();
      else this.shown = true;
    });
  }

  /** @param {Map<number, number>} moved id of a label -> frame */
  #show(moved) {
    this.page.model.moved = moved;
    this.page.model.changed();
  }

  /**
   * @param {string} text
   * @param {boolean} isError
   */
  #say(text, isError) {
    byId("move-effect").textContent = text;
    byId("move-effect").classList.toggle("bad", isError);
    byId("move-apply", HTMLButtonElement).disabled = isError;
  }
}
