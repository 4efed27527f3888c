// The video that is shown: its predictions, labels and verdicts, and what follows from them.
import { lowerBound, matchClass } from "/static/matching.js";

/** @typedef {import("./server.js").LabelData} LabelData */
/** @typedef {import("./server.js").Session} Session */
/** @typedef {import("./server.js").Snapshot} Snapshot */
/** @typedef {import("./server.js").Update} Update */
/** @typedef {import("./server.js").VideoData} VideoData */
/**
 * @typedef {object} Predictions Predictions of one class as columns, in order of time.
 * @property {Int32Array} frames
 * @property {Float64Array} scores
 * @property {Uint8Array} status HIDDEN, HIT, WRONG or DECIDED
 * @property {Int32Array} partners index of the matching label, or -1
 */
/**
 * @typedef {object} Lane One class: its labels and predictions.
 * @property {string} name
 * @property {number} classIndex
 * @property {LabelData[]} labels in order of time
 * @property {Int32Array} labelFrames
 * @property {Int32Array} labelPartners index of the matching prediction, or -1
 * @property {("hit" | "miss" | "done")[]} labelStatus done: not in an annotated stretch, so that it does not count
 * @property {Predictions} predictions
 */
/**
 * @typedef {object} EventItem An event as the lists show it.
 * @property {"label" | "prediction"} kind
 * @property {number} [id] id of a label
 * @property {number} classIndex
 * @property {string} label name of the class
 * @property {number} frame
 * @property {number | null} score of the prediction, or of the one that matches the label
 * @property {number | null} [offset] frames from the label to the matching prediction
 * @property {"hit" | "miss" | "wrong" | "done"} status
 * @property {boolean} decided
 * @property {string | null} [verdict]
 * @property {number} [video] index of the video, for questions of the queue
 * @property {string} [mark] name of the video, for questions of the queue
 */
/** @typedef {Pick<EventItem, "kind" | "id" | "frame" | "classIndex">} Selection */

/**
 * Status of a prediction: below the threshold, matches a label, matches none, matches none but has a verdict or is
 * where nothing is annotated.
 */
export const HIDDEN = 0, HIT = 1, WRONG = 2, DECIDED = 3;

/**
 * Whether the middle of a frame is in one of the stretches; null for one of everything.
 * @param {number} frame
 * @param {[number, number][] | null} stretches
 */
function isInside(frame, stretches) {
  return stretches === null || stretches.some(([start, stop]) => start <= frame + 0.5 && frame + 0.5 < stop);
}

export class Model {
  /** @param {Session} session */
  constructor(session) {
    this.classes = [...session.classes];
    this.fps = session.fps;
    this.threshold = session.threshold;
    this.toleranceS = 1;
    /** @type {Set<number>} */
    this.hiddenClasses = new Set();
    this.revision = 0;
    /** @type {Map<number, LabelData>} */
    this.labels = new Map();
    /** @type {Map<string, string>} */
    this.verdicts = new Map();
    /** @type {Map<number, number>} */
    this.moved = new Map(); // id of a label -> frame at which it is shown while its time may be moved
    this.numHiddenRows = 0;
    /** @type {import("./server.js").AnnotatedHalves} */
    this.annotatedHalves = {};
    this.half = 1;
    this.hasPredictions = false;
    /** @type {Predictions[]} */
    this.predictions = [];
    /** @type {Lane[]} */
    this.lanes = [];
    /** @type {EventItem[]} */
    this.events = [];
    /** @type {EventItem[]} */
    this.disagreements = [];
    this.counts = { hit: 0, miss: 0, wrong: 0 };
    /** @type {(() => void)[]} */
    this.listeners = [];
  }

  /** Lanes whose class is not hidden. */
  get visibleLanes() {
    return this.lanes.filter((lane) => !this.hiddenClasses.has(lane.classIndex));
  }

  /**
   * Stretches of the half in which the labels are complete, as [first frame, frame after the last], which may be
   * fractions; null if all of it is.
   * @returns {[number, number][] | null}
   */
  get annotated() {
    const stretches = this.annotatedHalves[String(this.half)];
    return stretches?.map(([start, stop]) => [start * this.fps / 1000, stop * this.fps / 1000]) ?? null;
  }

  /** Compute everything that follows from labels, predictions and settings, and call the listeners. */
  changed() {
    this.#derive();
    for (const listener of this.listeners) listener();
  }

  /**
   * Index of a class; a new name gets a new one.
   * @param {string} name
   */
  classIndex(name) {
    const index = this.classes.indexOf(name);
    return index >= 0 ? index : this.classes.push(name) - 1;
  }

  /**
   * @param {string[]} names
   * @param {VideoData["predictions"]} columns
   */
  setPredictions(names, columns) {
    this.hasPredictions = columns.frame.length > 0; // without predictions a label is neither hit nor missed
    const classIndexes = names.map((name) => this.classIndex(name));
    /** @type {number[][]} */
    const rows = this.classes.map(() => []);
    for (let row = 0; row < columns.frame.length; row++) rows[classIndexes[columns.name[row]]].push(row);
    this.predictions = rows.map((ofClass) => ({
      frames: Int32Array.from(ofClass, (row) => columns.frame[row]),
      scores: Float64Array.from(ofClass, (row) => columns.score[row]),
      status: new Uint8Array(ofClass.length),
      partners: new Int32Array(ofClass.length).fill(-1),
    }));
  }

  /** @param {Snapshot} snapshot */
  setLabels(snapshot) {
    this.revision = snapshot.revision;
    this.labels = new Map(snapshot.labels.map((label) => [label.id, label]));
    this.verdicts = new Map(Object.entries(snapshot.verdicts));
    this.numHiddenRows = snapshot.hidden;
    this.annotatedHalves = snapshot.annotated;
  }

  /**
   * Apply an update of the server; false if one before it was missed, so that the labels must be read again.
   * @param {Update & {reload?: boolean}} update
   */
  apply(update) {
    if (update.revision <= this.revision) return true;
    if (update.reload || update.revision !== this.revision + 1) return false;
    this.revision = update.revision;
    for (const change of update.changes) {
      if (change.kind === "verdict") {
        if (change.after === null) this.verdicts.delete(change.key);
        else this.verdicts.set(change.key, change.after);
      } else if (change.kind === "field") this.annotatedHalves = change.after;
      else if (change.after === null) this.labels.delete(Number(change.key));
      else this.labels.set(Number(change.key), change.after);
    }
    return true;
  }

  /**
   * Key of the verdict on a prediction.
   * @param {number} classIndex
   * @param {number} frame
   */
  verdictKey(classIndex, frame) {
    return `${this.half}/${frame}/${this.classes[classIndex]}`;
  }

  #derive() {
    for (const label of this.labels.values()) this.classIndex(label.label);
    while (this.predictions.length < this.classes.length) {
      this.predictions.push({
        frames: new Int32Array(0),
        scores: new Float64Array(0),
        status: new Uint8Array(0),
        partners: new Int32Array(0),
      });
    }
    /** @type {LabelData[][]} */
    const labels = this.classes.map(() => []);
    for (const label of this.labels.values()) {
      if (label.half !== this.half) continue;
      const frame = this.moved.get(label.id) ?? label.frame;
      labels[this.classes.indexOf(label.label)].push({ ...label, frame });
    }
    this.counts = { hit: 0, miss: 0, wrong: 0 };
    this.lanes = this.classes.map((name, index) => {
      const ofClass = labels[index].sort((a, b) => a.frame - b.frame);
      return this.#deriveLane(name, index, ofClass);
    });
    this.#deriveLists();
  }

  /**
   * @param {string} name
   * @param {number} classIndex
   * @param {LabelData[]} labels
   * @returns {Lane}
   */
  #deriveLane(name, classIndex, labels) {
    const predictions = this.predictions[classIndex];
    const { frames, scores, status, partners } = predictions;
    const labelFrames = Int32Array.from(labels, (label) => label.frame);
    // As in scoring, what is outside of the annotated stretches neither counts nor matches.
    const { annotated } = this;
    const rows = [...labels.keys()].filter((row) => isInside(labelFrames[row], annotated));
    const scoresInside = scores.map((score, row) => isInside(frames[row], annotated) ? score : -1);
    const framesInside = Int32Array.from(rows, (row) => labelFrames[row]);
    const partnersInside = matchClass(framesInside, frames, scoresInside, this.threshold, this.toleranceS * this.fps);
    const labelPartners = new Int32Array(labels.length).fill(-1);
    rows.forEach((row, number) => labelPartners[row] = partnersInside[number]);
    partners.fill(-1);
    labelPartners.forEach((prediction, label) => {
      if (prediction >= 0) partners[prediction] = label;
    });
    const counts = { hit: 0, miss: 0, wrong: 0 };
    for (let row = 0; row < frames.length; row++) {
      if (scores[row] < this.threshold) status[row] = HIDDEN;
      else if (partners[row] >= 0) status[row] = HIT;
      else if (scoresInside[row] < 0) status[row] = DECIDED;
      else status[row] = this.verdicts.has(this.verdictKey(classIndex, frames[row])) ? DECIDED : WRONG;
      counts.hit += Number(status[row] === HIT);
      counts.wrong += Number(status[row] === WRONG);
    }
    /** @type {Lane["labelStatus"]} */
    const labelStatus = labels.map(() => "done");
    for (const row of rows) labelStatus[row] = labelPartners[row] >= 0 || !this.hasPredictions ? "hit" : "miss";
    if (this.hasPredictions) counts.miss = rows.length - counts.hit;
    if (!this.hiddenClasses.has(classIndex)) {
      this.counts.hit += counts.hit;
      this.counts.miss += counts.miss;
      this.counts.wrong += counts.wrong;
    }
    return { name, classIndex, labels, labelFrames, labelPartners, labelStatus, predictions };
  }

  /** The list of events and the list of disagreements, in order of time. */
  #deriveLists() {
    this.events = [];
    for (const lane of this.visibleLanes) {
      lane.labels.forEach((_, row) => this.events.push(this.#labelItem(lane, row)));
      for (let row = 0; row < lane.predictions.frames.length; row++) {
        if (lane.predictions.status[row] > HIT) this.events.push(this.#predictionItem(lane, row));
      }
    }
    this.events.sort((a, b) => a.frame - b.frame || a.classIndex - b.classIndex);
    const disagrees = ["miss", "wrong"];
    this.disagreements = this.events.filter((item) => !item.decided && disagrees.includes(item.status));
  }

  /**
   * @param {Lane} lane
   * @param {number} row
   * @returns {EventItem}
   */
  #labelItem(lane, row) {
    const label = lane.labels[row];
    const partner = lane.labelPartners[row];
    const matched = partner >= 0;
    return {
      kind: "label",
      id: label.id,
      classIndex: lane.classIndex,
      label: lane.name,
      frame: label.frame,
      score: matched ? lane.predictions.scores[partner] : null,
      offset: matched ? lane.predictions.frames[partner] - label.frame : null,
      status: lane.labelStatus[row],
      decided: this.verdicts.has(`label/${label.id}`),
    };
  }

  /**
   * @param {Lane} lane
   * @param {number} row
   * @returns {EventItem}
   */
  #predictionItem(lane, row) {
    const { frames, scores, status } = lane.predictions;
    const verdict = this.verdicts.get(this.verdictKey(lane.classIndex, frames[row])) ?? null;
    return {
      kind: "prediction",
      classIndex: lane.classIndex,
      label: lane.name,
      frame: frames[row],
      score: scores[row],
      status: status[row] === DECIDED ? "done" : "wrong",
      decided: verdict !== null,
      verdict,
    };
  }

  /**
   * The current item of an event that was selected before; null if it no longer exists. A prediction that a
   * label matches now is shown as that label.
   * @param {Selection | null} selection
   * @returns {EventItem | null}
   */
  find(selection) {
    if (selection === null) return null;
    if (selection.kind === "label") {
      const label = this.labels.get(selection.id ?? -1);
      if (label === undefined || label.half !== this.half) return null;
      const lane = this.lanes[this.classes.indexOf(label.label)];
      return this.#labelItem(lane, lane.labels.findIndex((one) => one.id === label.id));
    }
    const lane = this.lanes[selection.classIndex];
    if (lane === undefined) return null;
    const { frames, partners } = lane.predictions;
    const row = lowerBound(frames, selection.frame);
    if (frames[row] !== selection.frame) return null;
    return partners[row] >= 0 ? this.#labelItem(lane, partners[row]) : this.#predictionItem(lane, row);
  }
}
