// What the page says where the browser does not show a video, and the way on.
import { byId, clock } from "/static/dom.js";
import { fetchJson } from "/static/server.js";

/** @typedef {import("./page.js").Page} Page */

const MAX_SKIPS = 100;

export class Trouble {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.numSkips = 0; // positions tried since the last picture that was shown
    this.triedAgain = false; // the last of them, which a busy browser may not have painted
    page.player.onTrouble = (picture, reason) => this.#onTrouble(picture, reason);
  }

  /**
   * What helps for the file of a picture; nothing if the server does not decode it either.
   * @param {number} picture
   */
  remedy(picture) {
    const { player } = this.page;
    const { name, encoded } = player.files[player.fileOf(picture)];
    return encoded ? "" : `To see all of it, convert the file: e2espot transcode "${name}" NEW.mp4`;
  }

  /**
   * Show a problem in place of the picture, with a way on; null when there is none any more.
   * @param {string | null} text
   * @param {(() => void) | null} [goOn]
   */
  show(text, goOn = null) {
    byId("video-error").hidden = text === null;
    byId("video-error-text").textContent = text ?? "";
    byId("video-go-on").hidden = goOn === null;
    byId("video-go-on").onclick = goOn;
  }

  /**
   * @param {number} picture that is not shown
   * @param {string | null} reason null once a picture is shown
   */
  #onTrouble(picture, reason) {
    if (this.page.loading) return; // reported by the page
    if (reason === null) {
      if (this.numSkips) this.page.toast(`went on at ${this.#timeOf(picture)}`, false);
      this.numSkips = 0;
      this.show(null);
    } else if (this.numSkips > 0 && !this.page.player.failed && !this.triedAgain) {
      this.triedAgain = true;
      this.page.player.reopen(picture);
    } else if (this.numSkips > 0 && this.numSkips < MAX_SKIPS) this.#goOnAfter(picture);
    else {
      this.numSkips = 0;
      this.show(`The browser does not show the video at ${this.#timeOf(picture)}, picture ${picture} (${reason}). `
        + this.remedy(picture), () => this.#goOnAfter(picture));
    }
  }

  /** @param {number} picture */
  #timeOf(picture) { return clock(this.page.player.times[picture]); }

  /**
   * Go to the next picture at which decoding can begin.
   * @param {number} picture that is not shown
   */
  async #goOnAfter(picture) {
    const { page } = this;
    const { video } = page;
    this.numSkips += 1;
    this.triedAgain = false;
    try {
      const next = await fetchJson(`/api/videos/${video}/start_after/${picture}`);
      if (video !== page.video) return;
      if (next.picture !== null) {
        page.player.reopen(next.picture);
        return;
      }
      this.numSkips = 0;
      this.show(`The browser shows no picture after ${this.#timeOf(picture)}, picture ${picture}. `
        + this.remedy(picture));
    } catch {
      page.showSaveState("disconnected");
    }
  }
}
