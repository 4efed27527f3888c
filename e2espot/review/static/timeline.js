// The timeline: an overview of the whole match, and one lane a class for the part in view.
import { lowerBound } from "/static/matching.js";
import { DECIDED, HIT, WRONG } from "/static/model.js";

const OVERVIEW = 26, RULER = 18, LEAST_FRAMES = 20;
const STEPS_S = [0.04, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200];

export function clock(seconds, places = 2) {
  const minutes = Math.floor(seconds / 60 + 1e-9);
  const rest = Math.floor((seconds - 60 * minutes) * 10 ** places + 1e-6) / 10 ** places;
  return `${String(minutes).padStart(2, "0")}:${rest.toFixed(places).padStart(places ? 3 + places : 2, "0")}`;
}

export class Timeline {
  constructor(overview, lanes, model) {
    this.canvases = { overview, lanes };
    this.model = model;
    this.numFrames = 1;
    this.from = 0; // first frame in view, may be a fraction
    this.span = 1; // frames in view
    this.playhead = 0;
    this.selected = null;
    this.curves = [];
    this.curveFps = 25;
    this.spent = []; // milliseconds of scripting of the last drawings
    this.onSeek = () => {};
    this.onPick = () => {};
    this.onView = () => {};
    this.#listen();
    new ResizeObserver(() => this.resize()).observe(overview.parentElement);
  }

  setVideo(numFrames) {
    this.numFrames = Math.max(1, numFrames);
    this.curves = [];
    this.view(0, Math.min(this.numFrames, 60 * this.model.fps));
  }

  /** Scores of every frame, uint8 (T, K): kept as maxima over 1, 2, 4, ... frames, so that any zoom draws few points. */
  setScores(bytes, names, fps) {
    this.curveFps = fps;
    this.curves = [];
    names.forEach((name, column) => {
      let level = new Uint8Array(Math.floor(bytes.length / names.length));
      for (let at = 0; at < level.length; at++) level[at] = bytes[at * names.length + column];
      const levels = [level];
      while (level.length > 512) {
        const next = new Uint8Array(Math.ceil(level.length / 2));
        for (let at = 0; at < next.length; at++) next[at] = Math.max(level[2 * at], level[2 * at + 1] ?? 0);
        levels.push(level = next);
      }
      this.curves[this.model.classAt(name)] = levels;
    });
    this.draw();
  }

  view(from, span) {
    this.span = Math.max(Math.min(LEAST_FRAMES, this.numFrames), Math.min(this.numFrames, span));
    this.from = Math.max(0, Math.min(this.numFrames - this.span, from));
    this.onView();
    this.draw();
  }

  zoom(factor, at = this.playhead) {
    const inside = at >= this.from && at <= this.from + this.span ? at : this.from + this.span / 2;
    const share = (inside - this.from) / this.span;
    const span = Math.max(LEAST_FRAMES, Math.min(this.numFrames, this.span * factor));
    this.view(inside - share * span, span);
  }

  pan(frames) { this.view(this.from + frames, this.span); }

  reveal(frame) {
    const margin = this.span * 0.08;
    if (frame < this.from + margin || frame > this.from + this.span - margin) this.view(frame - this.span / 2, this.span);
  }

  follow(frame) {
    if (frame < this.from || frame > this.from + this.span * 0.94) this.view(frame - this.span * 0.06, this.span);
  }

  laneHeight() {
    const count = Math.max(1, this.model.lanes.length);
    return Math.max(15, Math.min(46, Math.floor(Math.max(216, window.innerHeight * 0.3) / count)));
  }

  resize() {
    const height = RULER + this.laneHeight() * Math.max(1, this.model.lanes.length) + 6;
    this.scale = window.devicePixelRatio || 1;
    this.width = this.canvases.overview.parentElement.clientWidth;
    for (const [canvas, tall] of [[this.canvases.overview, OVERVIEW], [this.canvases.lanes, height]]) {
      canvas.width = Math.round(this.width * this.scale);
      canvas.height = Math.round(tall * this.scale);
      canvas.style.height = `${tall}px`;
    }
    this.height = height;
    this.overviewDrawn = null;
    this.draw();
  }

  theme() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(
      ["ink", "muted", "line", "grid", "accent", "hit", "miss", "wrong", "done", "curve", "picked", "raised"].map(
        (name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.overviewDrawn = null;
    this.draw();
  }

  /** Something other than the view has changed. */
  refresh() {
    if (this.height !== RULER + this.laneHeight() * Math.max(1, this.model.lanes.length) + 6) this.resize();
    this.overviewDrawn = null;
    this.draw();
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      const begun = performance.now();
      if (this.colours && this.width > 0) { this.#drawOverview(); this.#drawLanes(); }
      this.spent.push(performance.now() - begun);
      if (this.spent.length > 600) this.spent.splice(0, 300);
    });
  }

  x(frame) { return (frame - this.from) / this.span * this.width; }
  frameAt(x) { return this.from + x / this.width * this.span; }

  #drawOverview() {
    const canvas = this.canvases.overview;
    if (!this.overviewDrawn) {
      this.overviewDrawn = new OffscreenCanvas(canvas.width, canvas.height);
      this.#drawDensity(this.overviewDrawn.getContext("2d"));
    }
    const g = canvas.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, canvas.width, canvas.height);
    const left = this.from / this.numFrames * this.width, wide = Math.max(3, this.span / this.numFrames * this.width);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.fillStyle = this.colours.picked;
    g.fillRect(left, 0, wide, OVERVIEW);
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(this.overviewDrawn, 0, 0);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.fillStyle = this.colours.accent;
    g.fillRect(this.playhead / this.numFrames * this.width - 0.75, 0, 1.5, OVERVIEW);
  }

  /** Hits, misses and false alarms over the whole match, a bar every three pixels. */
  #drawDensity(g) {
    const bars = Math.max(1, Math.floor(this.width / 3));
    const counts = { hit: new Float32Array(bars), miss: new Float32Array(bars), wrong: new Float32Array(bars) };
    const place = (frame) => Math.min(bars - 1, Math.floor(frame / this.numFrames * bars));
    for (const lane of this.model.visible ?? []) {
      lane.labels.forEach((label, at) => counts[lane.partners[at] >= 0 || !this.model.spoken ? "hit" : "miss"][place(label.frame)]++);
      for (let at = 0; at < lane.frames.length; at++) if (lane.status[at] === WRONG) counts.wrong[place(lane.frames[at])]++;
    }
    let most = 1;
    for (let bar = 0; bar < bars; bar++) most = Math.max(most, counts.hit[bar] + counts.miss[bar], counts.wrong[bar]);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    const middle = 16, up = 13 / Math.sqrt(most), down = 9 / Math.sqrt(most);
    for (const name of ["hit", "miss", "wrong"]) {
      g.fillStyle = this.colours[name];
      g.beginPath();
      for (let bar = 0; bar < bars; bar++) {
        if (!counts[name][bar]) continue;
        const under = name === "miss" ? Math.sqrt(counts.hit[bar]) : 0;
        const tall = Math.sqrt(counts[name][bar] + (name === "miss" ? counts.hit[bar] : 0)) - under;
        if (name === "wrong") g.rect(bar * 3, middle + 1, 2, tall * down);
        else g.rect(bar * 3, middle - (under + tall) * up, 2, tall * up);
      }
      g.fill();
    }
    g.fillStyle = this.colours.line;
    g.fillRect(0, OVERVIEW - 1, this.width, 1);
  }

  #drawLanes() {
    const g = this.canvases.lanes.getContext("2d");
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    this.#drawRuler(g);
    const tall = this.laneHeight();
    this.model.lanes.forEach((lane, row) => {
      const top = RULER + row * tall;
      g.fillStyle = this.colours.grid;
      g.fillRect(0, top + tall - 1, this.width, 1);
      if (this.model.off.has(lane.place)) return;
      this.#drawCurve(g, lane, top, tall);
      this.#drawPredictions(g, lane, top, tall);
      this.#drawLabels(g, lane, top, tall);
    });
    this.#drawSelected(g, tall);
    g.fillStyle = this.colours.accent;
    g.fillRect(this.x(this.playhead + 0.5) - 0.75, 0, 1.5, this.height);
  }

  #drawRuler(g) {
    const perPixel = this.span / this.width / this.model.fps;
    const step = STEPS_S.find((seconds) => seconds / perPixel >= 74) ?? 2400;
    g.font = "11px system-ui, 'Liberation Sans', sans-serif";
    g.textBaseline = "middle";
    const first = Math.ceil(this.from / this.model.fps / step), last = (this.from + this.span) / this.model.fps / step;
    for (let tick = first; tick <= last; tick++) {
      const x = this.x(tick * step * this.model.fps);
      g.fillStyle = this.colours.grid;
      g.fillRect(x, 0, 1, this.height);
      g.fillStyle = this.colours.muted;
      g.fillText(clock(tick * step, step < 0.2 ? 2 : step < 1 ? 1 : 0), x + 4, RULER / 2);
    }
  }

  #drawCurve(g, lane, top, tall) {
    const levels = this.curves[lane.place];
    if (!levels) return;
    const rate = this.curveFps / this.model.fps;
    let level = 0;
    while (level + 1 < levels.length && this.span * rate / 2 ** level > 2 * this.width) level++;
    const values = levels[level], size = 2 ** level;
    const first = Math.max(0, Math.floor(this.from * rate / size) - 1);
    const last = Math.min(values.length - 1, Math.ceil((this.from + this.span) * rate / size) + 1);
    const { base, high } = this.#band(top, tall);
    g.fillStyle = this.colours.curve;
    g.beginPath();
    g.moveTo(this.x((first + 0.5) * size / rate), base);
    for (let at = first; at <= last; at++) g.lineTo(this.x((at + 0.5) * size / rate), base - values[at] / 255 * high);
    g.lineTo(this.x((last + 0.5) * size / rate), base);
    g.fill();
  }

  /** Where the ticks of a lane stand and how high they can be; the labels are under them. */
  #band(top, tall) { return tall < 24 ? { base: top + tall - 5, high: tall - 7 } : { base: top + tall - 7, high: tall - 10 }; }

  /** Ticks by score; where many fall on a pixel the highest of each kind is drawn. */
  #drawPredictions(g, lane, top, tall) {
    const { base, high } = this.#band(top, tall);
    const wide = Math.max(1.5, Math.min(5, this.width / this.span * 0.7));
    const first = lowerBound(lane.frames, this.from - 1);
    const end = this.from + this.span + 1;
    const paths = [null, { colour: "hit", last: -9, tallest: 0, path: [] }, { colour: "wrong", last: -9, tallest: 0, path: [] },
      { colour: "done", last: -9, tallest: 0, path: [] }];
    for (let at = first; at < lane.frames.length && lane.frames[at] <= end; at++) {
      const kind = paths[lane.status[at]];
      if (kind === null) continue;
      const x = Math.round(this.x(lane.frames[at] + 0.5));
      const height = Math.max(2, lane.scores[at] * high);
      if (x === kind.last) {
        if (height <= kind.tallest) continue;
        kind.path.length -= 2;
      }
      kind.last = x;
      kind.tallest = height;
      kind.path.push(x, height);
    }
    for (const place of [DECIDED, WRONG, HIT]) {
      const { colour, path } = paths[place];
      if (!path.length) continue;
      g.fillStyle = this.colours[colour];
      g.beginPath();
      for (let at = 0; at < path.length; at += 2) g.rect(path[at] - wide / 2, base - path[at + 1], wide, path[at + 1]);
      g.fill();
    }
  }

  /** Labels under the ticks: filled where hit, hollow where missed. */
  #drawLabels(g, lane, top, tall) {
    const y = this.#band(top, tall).base + 1, size = tall < 24 ? 3.5 : 5;
    for (let at = lowerBound(lane.labelFrames, this.from - 9); at < lane.labelFrames.length; at++) {
      if (lane.labelFrames[at] > this.from + this.span + 9) break;
      const x = this.x(lane.labelFrames[at] + 0.5), hit = lane.partners[at] >= 0 || !this.model.spoken;
      g.beginPath();
      g.moveTo(x, y);
      g.lineTo(x + size * 0.8, y + size);
      g.lineTo(x - size * 0.8, y + size);
      g.closePath();
      if (hit) { g.fillStyle = this.colours.hit; g.fill(); }
      else { g.fillStyle = this.colours.raised; g.fill(); g.strokeStyle = this.colours.miss; g.lineWidth = 1.6; g.stroke(); }
    }
  }

  #drawSelected(g, tall) {
    const row = this.selected === null ? -1 : this.model.lanes.findIndex((lane) => lane.place === this.selected.lane);
    if (row < 0) return;
    const x = this.x(this.selected.frame + 0.5);
    g.strokeStyle = this.colours.ink;
    g.lineWidth = 1.5;
    g.beginPath();
    g.roundRect(x - 6, RULER + row * tall + 1, 12, tall - 2, 3);
    g.stroke();
  }

  #listen() {
    const { overview, lanes } = this.canvases;
    const jump = (event) => {
      const frame = (event.clientX - overview.getBoundingClientRect().left) / this.width * this.numFrames;
      this.view(frame - this.span / 2, this.span);
    };
    overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); jump(event); });
    overview.addEventListener("pointermove", (event) => { if (event.buttons & 1) jump(event); });
    let grabbed = null;
    lanes.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      lanes.setPointerCapture(event.pointerId);
      const box = lanes.getBoundingClientRect();
      grabbed = { x: event.clientX, from: this.from, moved: false, ruler: event.clientY - box.top < RULER };
      if (grabbed.ruler) this.onSeek(Math.floor(this.frameAt(event.clientX - box.left)));
    });
    lanes.addEventListener("pointermove", (event) => {
      if (grabbed === null) return;
      const box = lanes.getBoundingClientRect();
      if (grabbed.ruler) { this.onSeek(Math.floor(this.frameAt(event.clientX - box.left))); return; }
      if (Math.abs(event.clientX - grabbed.x) > 3) grabbed.moved = true;
      if (grabbed.moved) this.view(grabbed.from - (event.clientX - grabbed.x) / this.width * this.span, this.span);
    });
    lanes.addEventListener("pointerup", (event) => {
      if (grabbed !== null && !grabbed.moved && !grabbed.ruler) this.#pick(event);
      grabbed = null;
    });
    const wheel = (event) => {
      event.preventDefault();
      const box = lanes.getBoundingClientRect();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        this.pan((event.deltaX || event.deltaY) / this.width * this.span);
      } else this.zoom(1.0016 ** event.deltaY, this.frameAt(event.clientX - box.left));
    };
    for (const canvas of [overview, lanes]) canvas.addEventListener("wheel", wheel, { passive: false });
  }

  #pick(event) {
    const box = this.canvases.lanes.getBoundingClientRect();
    const x = event.clientX - box.left, row = Math.floor((event.clientY - box.top - RULER) / this.laneHeight());
    const lane = this.model.lanes[row];
    let best = null, distance = 7;
    for (const found of lane ? this.model.events : []) {
      const away = Math.abs(this.x(found.frame + 0.5) - x);
      if (found.lane === lane.place && away < distance) { best = found; distance = away; }
    }
    if (best) this.onPick(best); else this.onSeek(Math.floor(this.frameAt(x)));
  }
}
