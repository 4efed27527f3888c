// Drawing of the timeline on its canvases.
import { clock } from "/static/dom.js";
import { lowerBound } from "/static/matching.js";
import { DECIDED, HIT, WRONG } from "/static/model.js";

/** @typedef {import("./model.js").Lane} Lane */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */
/** @typedef {{top: number, height: number}} Band the part of the canvas that a lane has, in pixels */

const BAR_WIDTH = 3; // pixels, as all sizes here
const TICK_DISTANCE = 74;
const TICK_STEPS_S = [0.04, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200];
const SMALL_LANE_HEIGHT = 24;

/**
 * @template {HTMLCanvasElement | OffscreenCanvas} T
 * @param {T} canvas
 * @returns {T extends HTMLCanvasElement ? CanvasRenderingContext2D : OffscreenCanvasRenderingContext2D}
 */
export function context(canvas) {
  const g = canvas.getContext("2d");
  if (g === null) throw new Error("this browser draws no canvas");
  return /** @type {any} */ (g);
}

/**
 * Number of hits, misses and false positives in each bar of the overview.
 * @param {Timeline} view
 */
function countBars(view) {
  const numBars = Math.max(1, Math.floor(view.width / BAR_WIDTH));
  const hit = new Float32Array(numBars), miss = new Float32Array(numBars), wrong = new Float32Array(numBars);
  /** @param {number} frame */
  const barOf = (frame) => Math.min(numBars - 1, Math.floor(frame / view.numFrames * numBars));
  for (const lane of view.model.visibleLanes) {
    lane.labels.forEach((label, row) => {
      const status = lane.labelStatus[row];
      if (status !== "done") (status === "hit" ? hit : miss)[barOf(label.frame)]++;
    });
    const { frames, status } = lane.predictions;
    for (let row = 0; row < frames.length; row++) if (status[row] === WRONG) wrong[barOf(frames[row])]++;
  }
  return { numBars, hit, miss, wrong };
}

/**
 * Bars over the whole video. Heights grow with the square root of the number, so that single events show.
 * @param {Context} g
 * @param {Timeline} view
 * @param {number} height of the overview
 */
export function drawDensity(g, view, height) {
  const { numBars, hit, miss, wrong } = countBars(view);
  let highest = 1;
  for (let bar = 0; bar < numBars; bar++) highest = Math.max(highest, hit[bar] + miss[bar], wrong[bar]);
  const middle = 16, up = 13 / Math.sqrt(highest), down = 9 / Math.sqrt(highest);
  /** @type {Record<"hit" | "miss" | "wrong", (bar: number) => [number, number]>} (top, height) of a bar */
  const extents = {
    hit: (bar) => [middle - Math.sqrt(hit[bar]) * up, Math.sqrt(hit[bar]) * up],
    miss: (bar) => {
      const top = Math.sqrt(hit[bar] + miss[bar]); // misses are stacked on the hits
      return [middle - top * up, (top - Math.sqrt(hit[bar])) * up];
    },
    wrong: (bar) => [middle + 1, Math.sqrt(wrong[bar]) * down],
  };
  g.setTransform(view.scale, 0, 0, view.scale, 0, 0);
  for (const [name, counts] of /** @type {const} */ ([["hit", hit], ["miss", miss], ["wrong", wrong]])) {
    g.fillStyle = view.colours[name];
    g.beginPath();
    for (let bar = 0; bar < numBars; bar++) {
      if (counts[bar]) g.rect(bar * BAR_WIDTH, extents[name](bar)[0], BAR_WIDTH - 1, extents[name](bar)[1]);
    }
    g.fill();
  }
  g.fillStyle = view.colours.line;
  g.fillRect(0, height - 1, view.width, 1);
}

/**
 * Times at round distances.
 * @param {Context} g
 * @param {Timeline} view
 * @param {number} height of the ruler
 */
export function drawRuler(g, view, height) {
  const secondsPerPixel = view.span / view.width / view.model.fps;
  const step = TICK_STEPS_S.find((seconds) => seconds / secondsPerPixel >= TICK_DISTANCE) ?? 2400;
  const decimals = step < 0.2 ? 2 : step < 1 ? 1 : 0;
  const first = Math.ceil(view.from / view.model.fps / step);
  const last = (view.from + view.span) / view.model.fps / step;
  g.font = "11px system-ui, 'Liberation Sans', sans-serif";
  g.textBaseline = "middle";
  for (let tick = first; tick <= last; tick++) {
    const x = view.x(tick * step * view.model.fps);
    g.fillStyle = view.colours.grid;
    g.fillRect(x, 0, 1, view.height);
    g.fillStyle = view.colours.muted;
    g.fillText(clock(tick * step, decimals), x + 4, height / 2);
  }
}

/**
 * What is not annotated in a darker shade, and a line along the top of what is, and of the stretch being marked.
 * @param {Context} g
 * @param {Timeline} view
 * @param {(frame: number) => number} x
 * @param {number} height
 */
export function drawAnnotated(g, view, x, height) {
  const { annotated } = view.model;
  if (annotated !== null) {
    g.fillStyle = view.colours.sunk;
    let from = 0;
    for (const [start, stop] of /** @type {[number, number][]} */ ([...annotated, [view.numFrames, view.numFrames]])) {
      g.fillRect(x(from), 0, Math.max(0, x(Math.min(start, view.numFrames)) - x(from)), height);
      from = Math.min(stop, view.numFrames);
    }
    g.fillStyle = view.colours.hit;
    for (const [start, stop] of annotated) g.fillRect(x(start), 0, x(Math.min(stop, view.numFrames)) - x(start), 2);
  }
  if (view.markedFrom === null) return;
  const [first, last] = [Math.min(view.markedFrom, view.playhead), Math.max(view.markedFrom, view.playhead) + 1];
  g.fillStyle = view.colours.accent;
  g.fillRect(x(first), 0, Math.max(2, x(last) - x(first)), 3);
}

/**
 * One class: the curve of its scores, its predictions and its labels.
 * @param {Context} g
 * @param {Timeline} view
 * @param {Lane} lane
 * @param {Band} band
 */
export function drawLane(g, view, lane, band) {
  drawCurve(g, view, lane, band);
  drawPredictions(g, view, lane, band);
  drawLabels(g, view, lane, band);
}

/**
 * A frame around the selected event.
 * @param {Context} g
 * @param {Timeline} view
 * @param {number} frame
 * @param {Band} band
 */
export function drawSelection(g, view, frame, band) {
  g.strokeStyle = view.colours.ink;
  g.lineWidth = 1.5;
  g.beginPath();
  g.roundRect(view.x(frame + 0.5) - 6, band.top + 1, 12, band.height - 2, 3);
  g.stroke();
}

/**
 * Bottom of the ticks of a lane, and how high they can be; the labels are below them.
 * @param {Band} band
 */
function tickArea({ top, height }) {
  const small = height < SMALL_LANE_HEIGHT;
  return { base: top + height - (small ? 5 : 7), room: height - (small ? 7 : 10) };
}

/**
 * The scores of a class as a filled curve.
 * @param {Context} g
 * @param {Timeline} view
 * @param {Lane} lane
 * @param {Band} band
 */
function drawCurve(g, view, lane, band) {
  const levels = view.curves[lane.classIndex];
  if (!levels) return;
  const pointsPerFrame = view.curveFps / view.model.fps;
  let level = 0;
  while (level + 1 < levels.length && view.span * pointsPerFrame / 2 ** level > 2 * view.width) level++;
  const values = levels[level];
  const framesPerPoint = 2 ** level / pointsPerFrame;
  const first = Math.max(0, Math.floor(view.from / framesPerPoint) - 1);
  const last = Math.min(values.length - 1, Math.ceil((view.from + view.span) / framesPerPoint) + 1);
  const { base, room } = tickArea(band);
  g.fillStyle = view.colours.curve;
  g.beginPath();
  g.moveTo(view.x((first + 0.5) * framesPerPoint), base);
  for (let point = first; point <= last; point++) {
    g.lineTo(view.x((point + 0.5) * framesPerPoint), base - values[point] / 255 * room);
  }
  g.lineTo(view.x((last + 0.5) * framesPerPoint), base);
  g.fill();
}

/**
 * Ticks as high as their scores. Of many on one pixel, only the highest of each kind is drawn.
 * @param {Context} g
 * @param {Timeline} view
 * @param {Lane} lane
 * @param {Band} band
 */
function drawPredictions(g, view, lane, band) {
  const { base, room } = tickArea(band);
  const { frames, scores, status } = lane.predictions;
  const width = Math.max(1.5, Math.min(5, view.width / view.span * 0.7));
  const end = view.from + view.span + 1;
  /** @type {Map<number, Map<number, number>>} status -> x -> height */
  const heights = new Map([DECIDED, WRONG, HIT].map((kind) => [kind, new Map()]));
  for (let row = lowerBound(frames, view.from - 1); row < frames.length && frames[row] <= end; row++) {
    const ofKind = heights.get(status[row]); // none for hidden ones
    if (ofKind === undefined) continue;
    const x = Math.round(view.x(frames[row] + 0.5));
    ofKind.set(x, Math.max(2, scores[row] * room, ofKind.get(x) ?? 0));
  }
  for (const [kind, ticks] of heights) {
    g.fillStyle = view.colours[kind === HIT ? "hit" : kind === WRONG ? "wrong" : "done"];
    g.beginPath();
    for (const [x, tall] of ticks) g.rect(x - width / 2, base - tall, width, tall);
    g.fill();
  }
}

/**
 * Labels as triangles under the ticks: filled ones are matched or do not count, hollow ones are missed.
 * @param {Context} g
 * @param {Timeline} view
 * @param {Lane} lane
 * @param {Band} band
 */
function drawLabels(g, view, lane, band) {
  const y = tickArea(band).base + 1;
  const size = band.height < SMALL_LANE_HEIGHT ? 3.5 : 5;
  for (let row = lowerBound(lane.labelFrames, view.from - 9); row < lane.labelFrames.length; row++) {
    if (lane.labelFrames[row] > view.from + view.span + 9) break;
    const x = view.x(lane.labelFrames[row] + 0.5);
    const status = lane.labelStatus[row];
    g.beginPath();
    g.moveTo(x, y);
    g.lineTo(x + size * 0.8, y + size);
    g.lineTo(x - size * 0.8, y + size);
    g.closePath();
    g.fillStyle = status === "miss" ? view.colours.raised : view.colours[status];
    g.fill();
    if (status === "miss") {
      g.strokeStyle = view.colours.miss;
      g.lineWidth = 1.6;
      g.stroke();
    }
  }
}
