// What is known of the video on show: predictions, labels, verdicts, and what follows from them.
import { lowerBound, matchClass } from "/static/matching.js";

export const HIDDEN = 0, HIT = 1, WRONG = 2, DECIDED = 3;

export class Model {
  constructor(session) {
    this.classes = [...session.classes];
    this.fps = session.fps;
    this.threshold = session.threshold;
    this.tolerance = 1;
    this.off = new Set();
    this.revision = 0;
    this.labels = new Map();
    this.verdicts = new Map();
    this.hidden = 0;
    this.half = 1;
    this.lanes = [];
    this.listeners = [];
    this.setPredictions([], { frame: [], name: [], score: [] });
  }

  changed() { this.#derive(); for (const listener of this.listeners) listener(); }

  classAt(name) {
    let place = this.classes.indexOf(name);
    if (place < 0) { place = this.classes.length; this.classes.push(name); }
    return place;
  }

  setPredictions(names, told) {
    this.spoken = told.frame.length > 0; // without predictions a label is neither hit nor missed
    const classes = names.map((name) => this.classAt(name));
    const rows = this.classes.map(() => []);
    for (let at = 0; at < told.frame.length; at++) rows[classes[told.name[at]]].push(at);
    this.predictions = rows.map((mine) => ({
      frames: Int32Array.from(mine, (at) => told.frame[at]),
      scores: Float64Array.from(mine, (at) => told.score[at]),
      status: new Uint8Array(mine.length),
      partner: new Int32Array(mine.length).fill(-1),
    }));
  }

  setLabels(snapshot) {
    this.revision = snapshot.revision;
    this.labels = new Map(snapshot.labels.map((label) => [label.id, label]));
    this.verdicts = new Map(Object.entries(snapshot.verdicts));
    this.hidden = snapshot.hidden;
  }

  /** Take over a change told by the server; false if one before it was missed. */
  apply(told) {
    if (told.revision <= this.revision) return true;
    if (told.reload || told.revision !== this.revision + 1) return false;
    this.revision = told.revision;
    for (const change of told.changes) {
      const map = change.kind === "label" ? this.labels : this.verdicts;
      const key = change.kind === "label" ? Number(change.key) : change.key;
      if (change.after === null) map.delete(key); else map.set(key, change.after);
    }
    return true;
  }

  key(label, frame) { return `${this.half}/${frame}/${this.classes[label]}`; }

  #derive() {
    for (const label of this.labels.values()) this.classAt(label.label);
    while (this.predictions.length < this.classes.length) {
      this.predictions.push({ frames: new Int32Array(0), scores: new Float64Array(0), status: new Uint8Array(0), partner: new Int32Array(0) });
    }
    const rows = this.classes.map(() => []);
    for (const label of this.labels.values()) if (label.half === this.half) rows[this.classes.indexOf(label.label)].push(label);
    this.counts = { hit: 0, miss: 0, wrong: 0 };
    this.lanes = this.classes.map((name, place) => this.#lane(name, place, rows[place].sort((a, b) => a.frame - b.frame)));
    this.visible = this.lanes.filter((lane) => !this.off.has(lane.place));
    this.#list();
  }

  #lane(name, place, labels) {
    const mine = this.predictions[place];
    const labelFrames = Int32Array.from(labels, (label) => label.frame);
    const partners = matchClass(labelFrames, mine.frames, mine.scores, this.threshold, this.tolerance * this.fps);
    mine.partner.fill(-1);
    partners.forEach((at, label) => { if (at >= 0) mine.partner[at] = label; });
    const shown = !this.off.has(place);
    for (let at = 0; at < mine.frames.length; at++) {
      if (mine.scores[at] < this.threshold) { mine.status[at] = HIDDEN; continue; }
      if (mine.partner[at] >= 0) { mine.status[at] = HIT; if (shown) this.counts.hit++; continue; }
      const decided = this.verdicts.size > 0 && this.verdicts.has(this.key(place, mine.frames[at]));
      mine.status[at] = decided ? DECIDED : WRONG;
      if (shown && !decided) this.counts.wrong++;
    }
    if (shown && this.spoken) this.counts.miss += partners.reduce((sum, at) => sum + (at < 0), 0);
    return { name, place, labels, labelFrames, partners, ...mine };
  }

  /** Rows of the list of events and of the list of disagreements, by time. */
  #list() {
    this.events = [];
    for (const lane of this.visible) {
      lane.labels.forEach((label, at) => this.events.push(this.#labelRow(lane, label, at)));
      for (let at = 0; at < lane.frames.length; at++) {
        if (lane.status[at] > HIT) this.events.push(this.#predictionRow(lane, at));
      }
    }
    this.events.sort((a, b) => a.frame - b.frame || a.lane - b.lane);
    this.disagreements = this.events.filter((row) => !row.decided && row.status !== "hit");
  }

  #labelRow(lane, label, at) {
    const partner = lane.partners[at];
    return {
      kind: "label", id: label.id, lane: lane.place, label: lane.name, frame: label.frame,
      score: partner >= 0 ? lane.scores[partner] : null, late: partner >= 0 ? lane.frames[partner] - label.frame : null,
      status: partner >= 0 || !this.spoken ? "hit" : "miss", decided: this.verdicts.has(`label/${label.id}`),
    };
  }

  #predictionRow(lane, at) {
    const verdict = this.verdicts.get(this.key(lane.place, lane.frames[at])) ?? null;
    return {
      kind: "prediction", lane: lane.place, label: lane.name, frame: lane.frames[at], score: lane.scores[at],
      status: lane.status[at] === DECIDED ? "done" : "wrong", decided: lane.status[at] === DECIDED, verdict,
    };
  }

  /** The row of something selected before, as it is now; null where it is gone. */
  find(selected) {
    if (selected === null) return null;
    if (selected.kind === "label") {
      const label = this.labels.get(selected.id);
      if (label === undefined || label.half !== this.half) return null;
      const lane = this.lanes[this.classes.indexOf(label.label)];
      return this.#labelRow(lane, label, lane.labels.indexOf(label));
    }
    const lane = this.lanes[selected.lane];
    const at = lane === undefined ? -1 : lowerBound(lane.frames, selected.frame);
    if (at < 0 || lane.frames[at] !== selected.frame) return null;
    if (lane.partner[at] >= 0) return this.#labelRow(lane, lane.labels[lane.partner[at]], lane.partner[at]);
    return this.#predictionRow(lane, at);
  }
}
