// The timeline: an overview of the whole video, and one lane per class for the part in view.
//
//   overview   |.:|.::|.|:..[====].:|...|:.|      bars of hits and misses above, of false positives below
//   lanes      0:12      0:13      0:14           ruler
//   PASS         |    |        |                  ticks: predictions, as high as their score
//                ^         ^                      triangles: labels; hollow ones are missed
//
// Drawing happens at most once per animation frame and draws a number of points that depends on the width of the
// window, not on the length of the video.
import { context, drawAnnotated, drawDensity, drawLane, drawRuler, drawSelection } from "/static/drawing.js";

/** @typedef {import("./model.js").EventItem} EventItem */

const OVERVIEW_HEIGHT = 26; // pixels, as all sizes here
const RULER_HEIGHT = 18;
const CLICK_DISTANCE = 7;
const MIN_SPAN_FRAMES = 20;
const MIN_CURVE_POINTS = 512;
const COLOURS = [
  "ink", "muted", "line", "grid", "sunk", "accent", "hit", "miss", "wrong", "done", "curve", "picked", "raised",
];

export class Timeline {
  /**
   * @param {HTMLCanvasElement} overview
   * @param {HTMLCanvasElement} lanes
   * @param {import("./model.js").Model} model
   */
  constructor(overview, lanes, model) {
    this.overview = overview;
    this.lanes = lanes;
    this.model = model;
    this.numFrames = 1;
    this.from = 0; // first frame in view, may be a fraction
    this.span = 1; // frames in view
    this.playhead = 0; // frame
    /** @type {number | null} */
    this.markedFrom = null; // frame at which a stretch begins that is being marked as annotated
    /** @type {EventItem | null} */
    this.selected = null;
    /** @type {Uint8Array[][]} */
    this.curves = []; // class index -> its scores at 1, 2, 4, ... frames per point
    this.curveFps = 25;
    /** @type {number[]} */
    this.drawTimesMs = [];
    /** @type {(frame: number) => void} */
    this.onSeek = () => {};
    /** @type {(item: EventItem) => void} */
    this.onPick = () => {};
    this.onView = () => {};
    this.scale = 1; // device pixels per CSS pixel
    this.width = 0;
    this.height = 0;
    /** @type {Record<string, string>} */
    this.colours = {}; // of the theme, by name
    /** @type {OffscreenCanvas | null} */
    this.density = null; // the bars of the overview, which change less often than the view
    this.drawRequested = false;
    this.#listen();
    new ResizeObserver(() => this.resize()).observe(this.#container());
  }

  #container() { return /** @type {HTMLElement} */ (this.overview.parentElement); }

  /** @param {number} numFrames */
  setVideo(numFrames) {
    this.numFrames = Math.max(1, numFrames);
    this.curves = [];
    this.view(0, Math.min(this.numFrames, 60 * this.model.fps));
  }

  /**
   * Set the scores of every frame. They are kept as maxima over 1, 2, 4, ... frames, so that few points are
   * drawn at any zoom.
   * @param {Uint8Array} bytes (T, K), 255 for 1
   * @param {string[]} names of the K classes
   * @param {number} fps
   */
  setScores(bytes, names, fps) {
    this.curveFps = fps;
    this.curves = [];
    names.forEach((name, column) => {
      let level = new Uint8Array(Math.floor(bytes.length / names.length));
      for (let t = 0; t < level.length; t++) level[t] = bytes[t * names.length + column];
      const levels = [level];
      while (level.length > MIN_CURVE_POINTS) {
        const next = new Uint8Array(Math.ceil(level.length / 2));
        for (let t = 0; t < next.length; t++) next[t] = Math.max(level[2 * t], level[2 * t + 1] ?? 0);
        levels.push(next);
        level = next;
      }
      this.curves[this.model.classIndex(name)] = levels;
    });
    this.draw();
  }

  // The part in view

  /**
   * @param {number} from first frame
   * @param {number} span number of frames
   */
  view(from, span) {
    this.span = Math.max(Math.min(MIN_SPAN_FRAMES, this.numFrames), Math.min(this.numFrames, span));
    this.from = Math.max(0, Math.min(this.numFrames - this.span, from));
    this.onView();
    this.draw();
  }

  /**
   * Show `factor` times as many frames; the frame `around` stays where it is.
   * @param {number} factor
   * @param {number} [around]
   */
  zoom(factor, around = this.playhead) {
    const inView = around >= this.from && around <= this.from + this.span;
    const fixed = inView ? around : this.from + this.span / 2;
    const share = (fixed - this.from) / this.span;
    const span = Math.max(MIN_SPAN_FRAMES, Math.min(this.numFrames, this.span * factor));
    this.view(fixed - share * span, span);
  }

  /** @param {number} frames */
  pan(frames) { this.view(this.from + frames, this.span); }

  /**
   * Bring a frame into view.
   * @param {number} frame
   */
  reveal(frame) {
    const margin = this.span * 0.08;
    const inView = frame >= this.from + margin && frame <= this.from + this.span - margin;
    if (!inView) this.view(frame - this.span / 2, this.span);
  }

  /**
   * Turn the page when playback leaves the view.
   * @param {number} frame
   */
  follow(frame) {
    const inView = frame >= this.from && frame <= this.from + this.span * 0.94;
    if (!inView) this.view(frame - this.span * 0.06, this.span);
  }

  /** @param {number} frame */
  x(frame) { return (frame - this.from) / this.span * this.width; }

  /** @param {number} x */
  frameAt(x) { return this.from + x / this.width * this.span; }

  // Sizes and colours

  laneHeight() {
    const available = Math.max(216, window.innerHeight * 0.3);
    return Math.max(15, Math.min(46, Math.floor(available / Math.max(1, this.model.lanes.length))));
  }

  #lanesHeight() { return RULER_HEIGHT + this.laneHeight() * Math.max(1, this.model.lanes.length) + 6; }

  resize() {
    this.scale = window.devicePixelRatio || 1;
    this.width = this.#container().clientWidth;
    this.height = this.#lanesHeight();
    for (const [canvas, height] of /** @type {const} */ ([
      [this.overview, OVERVIEW_HEIGHT],
      [this.lanes, this.height],
    ])) {
      canvas.width = Math.round(this.width * this.scale);
      canvas.height = Math.round(height * this.scale);
      canvas.style.height = `${height}px`;
    }
    this.density = null;
    this.draw();
  }

  /** Read the colours of the theme. */
  updateColours() {
    const style = getComputedStyle(document.documentElement);
    const entries = COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
    this.colours = Object.fromEntries(entries);
    this.density = null;
    this.draw();
  }

  /** Draw again after events or classes have changed. */
  refresh() {
    if (this.height !== this.#lanesHeight()) this.resize();
    this.density = null;
    this.draw();
  }

  // Drawing

  draw() {
    if (this.drawRequested) return;
    this.drawRequested = true;
    requestAnimationFrame(() => {
      this.drawRequested = false;
      const start = performance.now();
      if (this.colours.ink && this.width > 0) {
        this.#drawOverview();
        this.#drawLanes();
      }
      this.drawTimesMs.push(performance.now() - start);
      if (this.drawTimesMs.length > 600) this.drawTimesMs.splice(0, 300);
    });
  }

  #drawOverview() {
    const { width, height } = this.overview;
    if (this.density === null) {
      this.density = new OffscreenCanvas(width, height);
      drawDensity(context(this.density), this, OVERVIEW_HEIGHT);
    }
    const g = context(this.overview);
    const left = this.from / this.numFrames * this.width;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, width, height);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.fillStyle = this.colours.picked;
    g.fillRect(left, 0, Math.max(3, this.span / this.numFrames * this.width), OVERVIEW_HEIGHT);
    drawAnnotated(g, this, (frame) => frame / this.numFrames * this.width, OVERVIEW_HEIGHT);
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(this.density, 0, 0);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.fillStyle = this.colours.accent;
    g.fillRect(this.playhead / this.numFrames * this.width - 0.75, 0, 1.5, OVERVIEW_HEIGHT);
  }

  #drawLanes() {
    const g = context(this.lanes);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    drawAnnotated(g, this, (frame) => this.x(frame), this.height);
    drawRuler(g, this, RULER_HEIGHT);
    const height = this.laneHeight();
    this.model.lanes.forEach((lane, row) => {
      const band = { top: RULER_HEIGHT + row * height, height };
      g.fillStyle = this.colours.grid;
      g.fillRect(0, band.top + height - 1, this.width, 1);
      if (!this.model.hiddenClasses.has(lane.classIndex)) drawLane(g, this, lane, band);
    });
    if (this.selected !== null && this.model.lanes[this.selected.classIndex]) {
      const top = RULER_HEIGHT + this.selected.classIndex * height;
      drawSelection(g, this, this.selected.frame, { top, height });
    }
    g.fillStyle = this.colours.accent;
    g.fillRect(this.x(this.playhead + 0.5) - 0.75, 0, 1.5, this.height);
  }

  // Mouse

  #listen() {
    this.#listenOverview();
    this.#listenLanes();
    for (const canvas of [this.overview, this.lanes]) {
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          this.pan((event.deltaX || event.deltaY) / this.width * this.span);
        } else this.zoom(1.0016 ** event.deltaY, this.frameAt(event.clientX - this.lanes.getBoundingClientRect().left));
      }, { passive: false });
    }
  }

  /** Click or drag in the overview: move the view. */
  #listenOverview() {
    const { overview } = this;
    /** @param {PointerEvent} event */
    const centre = (event) => {
      const frame = (event.clientX - overview.getBoundingClientRect().left) / this.width * this.numFrames;
      this.view(frame - this.span / 2, this.span);
    };
    overview.addEventListener("pointerdown", (event) => {
      overview.setPointerCapture(event.pointerId);
      centre(event);
    });
    overview.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) centre(event);
    });
  }

  /** In the lanes: a click selects, dragging moves the view; in the ruler, both seek. */
  #listenLanes() {
    const { lanes } = this;
    /** @type {{x: number, from: number, moved: boolean, inRuler: boolean} | null} */
    let drag = null;
    /** @param {PointerEvent} event */
    const position = (event) => {
      const box = lanes.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    lanes.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      lanes.setPointerCapture(event.pointerId);
      const { x, y } = position(event);
      drag = { x, from: this.from, moved: false, inRuler: y < RULER_HEIGHT };
      if (drag.inRuler) this.onSeek(Math.floor(this.frameAt(x)));
    });
    lanes.addEventListener("pointermove", (event) => {
      if (drag === null) return;
      const { x } = position(event);
      if (drag.inRuler) {
        this.onSeek(Math.floor(this.frameAt(x)));
        return;
      }
      if (Math.abs(x - drag.x) > 3) drag.moved = true;
      if (drag.moved) this.view(drag.from - (x - drag.x) / this.width * this.span, this.span);
    });
    lanes.addEventListener("pointerup", (event) => {
      const { x, y } = position(event);
      if (drag !== null && !drag.moved && !drag.inRuler) this.#pick(x, y);
      drag = null;
    });
  }

  /**
   * Select the closest event of the lane, or seek if there is none near.
   * @param {number} x
   * @param {number} y
   */
  #pick(x, y) {
    const lane = this.model.lanes[Math.floor((y - RULER_HEIGHT) / this.laneHeight())];
    /** @type {EventItem | null} */
    let best = null;
    let distance = CLICK_DISTANCE;
    for (const item of lane ? this.model.events : []) {
      const away = Math.abs(this.x(item.frame + 0.5) - x);
      if (item.classIndex === lane.classIndex && away < distance) {
        best = item;
        distance = away;
      }
    }
    if (best) this.onPick(best);
    else this.onSeek(Math.floor(this.frameAt(x)));
  }
}
