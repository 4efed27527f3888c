// The review page: puts player, timeline, list and server together.
import { actionsOf, wire } from "/static/controls.js";
import { listen } from "/static/keys.js";
import { List } from "/static/list.js";
import { Model } from "/static/model.js";
import { drawCard, drawClasses, drawHeads, drawNames } from "/static/panels.js";
import { Player } from "/static/player.js";
import { Changes, Refused, read, readBytes } from "/static/server.js";
import { clock, Timeline } from "/static/timeline.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];

class Page {
  constructor(session) {
    this.session = session;
    this.model = new Model(session);
    this.player = new Player($("video"));
    this.timeline = new Timeline($("overview"), $("lanes"), this.model);
    this.list = new List($("list"), $("rows"), (item, at) => this.pick(item, at));
    this.video = 0;
    this.selected = null;
    this.tab = session.queue ? "queue" : "events";
    this.queue = [];
    this.queueAt = -1;
    this.answered = null; // the label that the question on show has become
    this.trail = { undo: [], redo: [] }; // the games decisions were about, the last at the end
    this.decisions = 0;
    this.loading = true;
    this.work = Promise.resolve();
    this.pending = 0;
    this.player.listeners.push(() => this.moved());
    this.model.listeners.push(() => this.redraw());
    this.timeline.onSeek = (frame) => { this.player.pause(); this.player.showFrame(frame); };
    this.timeline.onPick = (row) => this.pick(row);
    this.timeline.onView = () => { $("zoom").textContent = length(this.timeline.span / this.model.fps); };
    this.changes = new Changes((told) => this.heard(told), (state) => this.saved(state));
    const actions = actionsOf(this);
    wire(this, actions);
    this.theme(stored() ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
    listen(actions);
  }

  get game() { return this.session.videos[this.video].game; }

  // Videos

  async open(video) {
    this.loading = true;
    this.video = video;
    this.selected = null;
    $("video-choice").value = String(video);
    this.exportLink();
    $("trouble").hidden = true;
    const base = `/api/videos/${video}`;
    try {
      const [told, times, grid, labels] = await Promise.all([
        read(base), readBytes(`${base}/times`), readBytes(`${base}/grid`), read(`/api/games/${this.game}/labels`)]);
      const pictures = new Int32Array(grid, 0, told.num_frames), frames = new Int32Array(grid, 4 * told.num_frames);
      this.model.half = told.half;
      this.model.setPredictions(told.names, told.predictions);
      this.model.setLabels(labels);
      this.timeline.setVideo(told.num_frames);
      this.model.changed();
      if (told.scores) readBytes(`${base}/scores`).then((bytes) => {
        if (this.video === video) this.timeline.setScores(new Uint8Array(bytes), told.scores.classes, told.scores.fps);
      });
      await this.player.load(`${base}/file`, new Float64Array(times), pictures, frames);
    } catch (error) {
      $("trouble").textContent = error.message.includes("/") || error.message.includes("convert") ? error.message
        : `The browser cannot play this video (${error.message}); convert it with tools/transcode.py`;
      $("trouble").hidden = false;
    }
    this.loading = false;
    this.saved("ready");
    this.moved();
  }

  moved() {
    const frame = this.player.frame;
    $("clock").textContent = clock(frame / this.model.fps);
    const several = this.player.frames.length !== this.player.pictures.length;
    $("frame").textContent = several ? `frame ${frame} · picture ${this.player.target}` : `frame ${frame}`;
    $("play").classList.toggle("playing", this.player.playing);
    this.timeline.playhead = frame;
    if (this.player.playing) this.timeline.follow(frame);
    this.timeline.draw();
    drawClasses(this);
  }

  // Lists and the selected event

  items() {
    if (this.tab === "queue") return this.queue;
    return this.tab === "events" ? this.model.events : this.model.disagreements;
  }

  async loadQueue() {
    const mode = this.session.queue ?? "uncertain";
    const asked = await read(`/api/queue/${mode}`);
    this.queue = asked.map((q) => ({ ...q, lane: this.model.classAt(q.label), status: q.kind === "label" ? "miss" : "wrong",
      decided: false, mark: this.session.videos.length > 1 ? this.videoName(q.video) : "" }));
    this.queueAt = -1;
    this.redraw();
  }

  videoName(place) {
    const video = this.session.videos[place];
    const game = this.session.games[video.game].name.split("/").at(-1);
    return this.session.videos.filter((other) => other.game === video.game).length > 1 ? `${game}, half ${video.half}` : game;
  }

  isSelected(item) {
    if (this.selected === null || (item.video !== undefined && item.video !== this.video)) return false;
    if (this.selected.kind === "label" && item.kind === "label" && item.id !== undefined) return item.id === this.selected.id;
    return item.kind === this.selected.kind && item.frame === this.selected.frame && item.label === this.selected.label;
  }

  async pick(item, at = -1) {
    if (this.tab === "queue" && at >= 0) { this.queueAt = at; this.answered = null; }
    if (item.video !== undefined && item.video !== this.video) await this.open(item.video);
    let wanted = item;
    if (item.kind === "label" && item.id === undefined) {
      wanted = this.model.events.find((row) => row.kind === "label" && row.frame === item.frame && row.label === item.label) ?? item;
    }
    this.select(wanted);
  }

  select(row, move = true) {
    this.selected = row === null ? null : this.model.find(row);
    if (this.player.loop && move) this.stopLoop();
    if (this.selected !== null && move) {
      this.player.pause();
      this.player.showFrame(this.selected.frame);
      this.timeline.reveal(this.selected.frame);
    }
    this.redraw();
  }

  redraw() {
    this.selected = this.model.find(this.selected);
    this.timeline.selected = this.selected;
    this.timeline.refresh();
    drawHeads(this);
    const items = this.items();
    const current = this.tab === "queue" ? this.queueAt : items.findIndex((item) => this.isSelected(item));
    this.list.set(items, current, { events: "No labels, and no predictions of this score.", wrong: "Nothing to settle: labels and predictions agree.",
      queue: "Nothing left to ask." }[this.tab]);
    drawNames(this);
    drawCard(this);
    drawClasses(this);
  }

  /** Whether a class key would change the selected event rather than add one. */
  changesSelected() { return this.selected !== null && this.selected.frame === this.player.frame; }

  // Decisions

  async change(asked, game = this.game) {
    if (this.loading) return null;
    try {
      const told = await this.changes.ask(game, { seen: this.model.revision, half: this.model.half, ...asked });
      this.decisions += 1;
      if (asked.kind !== "undo" && asked.kind !== "redo") this.trail = { undo: [...this.trail.undo, game], redo: [] };
      await this.take({ game, ...told });
      this.saved("saved");
      return told;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.toast(error.message);
      await this.refetch();
      return null;
    }
  }

  /** One thing after the other: a key pressed while a decision is on its way waits for it. */
  inOrder(action) {
    if (this.changes.away) { this.toast("not taken: the server does not answer"); return; }
    this.pending += 1;
    this.work = this.work.then(action).catch((error) => this.toast(error.message)).finally(() => { this.pending -= 1; });
  }

  /** Moving about need not wait unless decisions are on their way. */
  whenSettled(action) { if (this.pending && !this.changes.away) this.inOrder(action); else action(); }

  /** The place in the queue of what is selected, -1 where it is no question. */
  questionAt() {
    if (this.tab !== "queue" || this.queueAt < 0 || this.selected === null) return -1;
    const mine = this.selected.kind === "label" && this.selected.id === this.answered;
    return mine || this.isSelected(this.queue[this.queueAt]) ? this.queueAt : -1;
  }

  async accept() {
    const row = this.selected, at = this.questionAt();
    if (row === null) return;
    if (row.kind === "label") {
      const done = at >= 0 && row.id === this.answered; // nudged or named already: that was the answer
      if (done || await this.change({ kind: "confirm", id: row.id })) await this.after(at, null);
      return;
    }
    const told = await this.change({ kind: "accept", frame: row.frame, label: row.label, of_frame: row.frame, of_label: row.label });
    if (told) await this.after(at, added(told));
  }

  async reject() {
    const row = this.selected, at = this.questionAt();
    if (row === null) return;
    if (row.kind === "label") {
      if (await this.change({ kind: "remove", id: row.id })) await this.after(at, null);
    } else if (await this.change({ kind: "reject", of_frame: row.frame, of_label: row.label })) await this.after(at, row);
  }

  /** In the queue the next question follows at once; elsewhere the event stays selected. */
  async after(at, row) {
    if (at >= 0) {
      this.queue[at].decided = true;
      await this.go(1);
    } else if (row !== null) this.select(row, false);
    else this.redraw();
  }

  async classKey(place) {
    const label = this.model.classes[place];
    if (label === undefined) return;
    const row = this.changesSelected() ? this.selected : null, at = row === null ? -1 : this.questionAt();
    const frame = this.player.frame;
    if (row === null) this.settle(at, await this.change({ kind: "add", frame, label }));
    else if (row.label === label) return;
    else if (row.kind === "label") this.settle(at, await this.change({ kind: "change", id: row.id, frame: row.frame, label }), row);
    else this.settle(at, await this.change({ kind: "accept", frame: row.frame, label, of_frame: row.frame, of_label: row.label }));
  }

  async nudge(by) { if (this.selected !== null) await this.moveTo(this.selected.frame + by); }

  async moveTo(frame) {
    const row = this.selected, at = this.questionAt();
    if (row === null || frame < 0 || frame >= this.timeline.numFrames || frame === row.frame) return;
    const asked = row.kind === "label" ? { kind: "change", id: row.id, frame, label: row.label }
      : { kind: "accept", frame, label: row.label, of_frame: row.frame, of_label: row.label };
    this.settle(at, await this.change(asked), row.kind === "label" ? row : null, true);
  }

  /** After a label was added or changed: it is what is selected now, and the answer to the question it was. */
  settle(at, told, row = null, move = false) {
    if (told === null) return;
    const now = row ?? added(told);
    if (at >= 0 && now) {
      this.queue[at].decided = true;
      this.answered = now.id;
    }
    if (now) this.select(now, move);
  }

  /** Take back the last decision of this tab, in whichever game it was, and show it. */
  async undo(redo = false) {
    const [from, to] = redo ? [this.trail.redo, this.trail.undo] : [this.trail.undo, this.trail.redo];
    const game = from.at(-1) ?? this.game;
    const told = await this.change({ kind: redo ? "redo" : "undo" }, game);
    if (told === null) return;
    from.pop();
    to.push(game);
    this.toast(told.name, false);
    await this.show(game, told.changes);
  }

  /** Go to what has just been changed. */
  async show(game, changes) {
    const label = changes.find((one) => one.kind === "label" && one.after !== null)?.after;
    const verdict = changes.find((one) => one.kind === "verdict" && !one.key.startsWith("label/"));
    const [half, frame, ...name] = verdict ? verdict.key.split("/") : [];
    const wanted = label ?? (verdict ? { half: Number(half), frame: Number(frame), label: name.join("/") } : null);
    if (wanted === null) return;
    const video = this.session.videos.findIndex((one) => one.game === game && one.half === wanted.half);
    if (video < 0) return;
    const at = this.queue.findIndex((one) => verdict && one.video === video && one.frame === Number(frame) && one.label === name.join("/"));
    if (at >= 0) this.queue[at].decided = verdict.after !== null;
    if (this.tab === "queue" && at >= 0 && verdict.after === null) { await this.pick(this.queue[at], at); return; }
    if (video !== this.video) await this.open(video);
    this.select(label ? { kind: "label", id: label.id }
      : { kind: "prediction", lane: this.model.classAt(wanted.label), frame: wanted.frame });
  }

  /** A change that this or another tab made. */
  async take(told) {
    if (told.game !== this.game || told.revision <= this.model.revision) return;
    if (this.model.apply(told)) this.model.changed(); else await this.refetch();
  }

  async heard(told) {
    if (told.opened) {
      if (!this.loading) await this.refetch();
      return;
    }
    if (told.tab !== this.changes.tab) await this.take(told);
  }

  async refetch() {
    try {
      const game = this.game;
      const labels = await read(`/api/games/${game}/labels`);
      if (game !== this.game) return;
      this.model.setLabels(labels);
      this.model.changed();
      if (!this.changes.away) this.saved("ready");
    } catch { this.saved("gone"); }
  }

  saved(state) {
    const count = this.decisions === 1 ? "1 decision" : `${this.decisions} decisions`;
    const texts = {
      ready: this.decisions ? `saved · ${count}` : "all saved",
      saved: `saved · ${count}`,
      gone: "the server is gone; what was decided is saved",
      waiting: "not saved yet: the server does not answer; trying again",
    };
    $("saved").textContent = texts[state];
    $("saved").title = this.session.games[this.game].target;
    $("saved").classList.toggle("bad", state === "gone" || state === "waiting");
  }

  toast(text, bad = true) {
    $("toast").textContent = text;
    $("toast").hidden = false;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => { $("toast").hidden = true; }, bad ? 5000 : 1800);
  }

  // Moving about

  async go(by, items = this.items()) {
    if (!items.length) return;
    let next;
    if (this.tab === "queue" && items === this.queue) {
      next = this.queueAt + by;
      while (by > 0 && next < items.length && items[next].decided) next += 1;
      if (next < 0 || next >= items.length) { this.toast(by > 0 ? "that was the last of the queue" : "that is the first", false); return; }
      await this.pick(items[next], next);
      return;
    }
    const at = items.findIndex((item) => this.isSelected(item));
    if (at >= 0 && this.selected.frame === this.player.frame) next = at + by;
    else {
      const frame = this.player.frame;
      next = by > 0 ? items.findIndex((item) => item.frame > frame) : items.findLastIndex((item) => item.frame < frame);
      if (next < 0) next = by > 0 ? items.length : -1;
    }
    if (next < 0 || next >= items.length) { this.toast(by > 0 ? "no event after this" : "no event before this", false); return; }
    await this.pick(items[next], next);
  }

  setThreshold(value) {
    this.model.threshold = Math.round(Math.max(0, Math.min(1, value)) * 100) / 100;
    $("threshold").value = String(this.model.threshold);
    $("threshold-said").textContent = this.model.threshold.toFixed(2);
    this.exportLink();
    this.model.changed();
  }

  exportLink() { $("osl").href = `/api/games/${this.game}/osl?threshold=${this.model.threshold}`; }

  setTab(name) {
    this.tab = name;
    this.redraw();
  }

  stopLoop() {
    this.player.loop = null;
    $("loop").setAttribute("aria-pressed", "false");
  }

  toggleLoop() {
    if (this.player.loop) { this.stopLoop(); this.player.pause(); return; }
    const middle = this.selected?.frame ?? this.player.frame, reach = this.model.fps;
    this.player.repeat(Math.max(0, middle - reach), Math.min(this.timeline.numFrames - 1, middle + reach));
    $("loop").setAttribute("aria-pressed", "true");
  }

  speed(by) {
    const place = SPEEDS.indexOf(Number($("speed").value)) + by;
    if (SPEEDS[place] !== undefined) this.setSpeed(SPEEDS[place]);
  }

  setSpeed(value) {
    $("speed").value = String(value);
    $("video").playbackRate = value;
  }

  sound() {
    $("video").muted = !$("video").muted;
    $("mute").setAttribute("aria-pressed", String(!$("video").muted));
  }

  theme(name) {
    document.documentElement.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    this.timeline.theme();
  }

}

function added(told) {
  const change = told.changes.find((one) => one.kind === "label" && one.after !== null);
  return change ? { kind: "label", id: change.after.id } : null;
}

function length(seconds) { return seconds >= 100 ? `${Math.round(seconds / 60)} min` : `${seconds >= 10 ? Math.round(seconds) : seconds.toFixed(1)} s`; }

function stored() { try { return localStorage.getItem("e2espot-theme"); } catch { return null; } }

const page = new Page(await read("/api/session"));
globalThis.e2espotReview = page; // for the tests, and for the curious
await page.open(0);
if (page.session.queue) {
  await page.loadQueue();
  await page.go(1);
}
document.documentElement.dataset.ready = "yes";
