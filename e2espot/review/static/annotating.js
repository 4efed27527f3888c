// Marks stretches of the video in which every event has a label: one key where a stretch begins, again where it ends.
import { byId, clock } from "/static/dom.js";

/** @typedef {import("./page.js").Page} Page */

export class Annotating {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    /** @type {number | null} */
    this.from = null; // frame at which the stretch began that is being marked
    this.complete = true; // whether its labels are
  }

  /**
   * Begin a stretch at the frame on screen, or end it there and save it.
   * @param {boolean} complete whether the labels of a begun stretch are complete
   */
  async mark(complete) {
    const { page } = this, { frame } = page.player;
    if (this.from === null) {
      this.from = frame;
      this.complete = complete;
      page.toast(`from ${clock(frame / page.model.fps)}: press again where it ends, Esc for no stretch`, false);
      this.draw();
      return;
    }
    const [first, last] = [Math.min(this.from, frame), Math.max(this.from, frame)];
    this.cancel();
    await page.decisions.markAnnotated(first, last, this.complete);
  }

  /** Forget the begun stretch; whether there was one. */
  cancel() {
    const begun = this.from !== null;
    this.from = null;
    this.draw();
    return begun;
  }

  /** What is annotated, next to the button. */
  draw() {
    const { page } = this, { model, timeline } = page;
    timeline.markedFrom = this.from;
    timeline.draw();
    byId("annotated-value").textContent = this.from !== null
      ? `from ${clock(this.from / model.fps, 0)} to ...`
      : annotatedText(model.annotated, timeline.numFrames, model.fps);
    byId("annotated").setAttribute("aria-pressed", String(this.from !== null));
  }
}

/**
 * @param {[number, number][] | null} stretches
 * @param {number} numFrames
 * @param {number} fps
 */
function annotatedText(stretches, numFrames, fps) {
  if (stretches === null) return "all";
  let frames = 0;
  for (const [start, stop] of stretches) frames += Math.max(0, Math.min(numFrames, stop) - start);
  if (frames >= numFrames) return "all";
  return frames ? `${clock(frames / fps, 0)} of ${clock(numFrames / fps, 0)}` : "nothing";
}
