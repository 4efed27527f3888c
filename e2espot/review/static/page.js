// The review page: connects player, timeline, lists and server.
import { byId, clock } from "/static/dom.js";
import { Annotating } from "/static/annotating.js";
import { Decisions } from "/static/decisions.js";
import { List } from "/static/list.js";
import { Model } from "/static/model.js";
import { Moving } from "/static/moving.js";
import { drawClassButtons, drawCounts, drawEventCard, drawLaneNames } from "/static/panels.js";
import { PlaybackError, Player } from "/static/player.js";
import { Changes, fetchBytes, fetchJson } from "/static/server.js";
import { Timeline } from "/static/timeline.js";
import { Trouble } from "/static/trouble.js";

/** @typedef {import("./model.js").EventItem} EventItem */
/** @typedef {import("./model.js").Selection} Selection */
/** @typedef {import("./player.js").MediaFile} MediaFile */
/** @typedef {import("./server.js").GameUpdate} GameUpdate */
/** @typedef {import("./server.js").Question} Question */
/** @typedef {import("./server.js").SaveState} SaveState */
/** @typedef {import("./server.js").Session} Session */
/** @typedef {import("./server.js").VideoData} VideoData */
/** @typedef {"queue" | "events" | "disagreements"} Tab */

const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];
const EMPTY = {
  events: "No labels, and no predictions of this score.",
  disagreements: "Labels and predictions agree.",
  queue: "No questions left.",
};

export class Page {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.model = new Model(session);
    this.player = new Player(byId("video", HTMLVideoElement));
    this.trouble = new Trouble(this);
    this.timeline = new Timeline(byId("overview", HTMLCanvasElement), byId("lanes", HTMLCanvasElement), this.model);
    this.list = new List(byId("list"), byId("rows"), this.model.fps, (item, index) => this.pick(item, index));
    this.decisions = new Decisions(this);
    this.moving = new Moving(this);
    this.annotating = new Annotating(this);
    this.changes = new Changes((update) => this.#onChange(update), () => this.#onConnected(),
      (state) => this.showSaveState(state));
    this.video = 0; // index in session.videos
    this.loading = true;
    /** @type {EventItem | null} */
    this.selected = null;
    /** @type {Tab} */
    this.tab = session.queue ? "queue" : "events";
    /** @type {EventItem[]} */
    this.queue = [];
    this.queueIndex = -1; // of the question on screen
    /** @type {number | null} */
    this.answeredAs = null; // id of the label that the question on screen has become
    this.toastTimer = 0;
    this.player.listeners.push(() => this.#onPicture());
    this.model.listeners.push(() => this.redraw());
    this.timeline.onSeek = (frame) => {
      this.player.pause();
      this.player.showFrame(frame);
    };
    this.timeline.onPick = (item) => this.pick(item);
    this.timeline.onView = () => { byId("zoom").textContent = duration(this.timeline.span / this.model.fps); };
  }

  get game() { return this.session.videos[this.video].game; }

  // Videos

  /**
   * Show another video.
   * @param {number} video
   */
  async open(video) {
    this.loading = true;
    if (this.moving.shown) this.moving.close();
    this.annotating.cancel();
    this.video = video;
    this.selected = null;
    byId("video-choice", HTMLSelectElement).value = String(video);
    this.trouble.show(null);
    this.#updateExportLink();
    try {
      await this.#load(video);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      this.trouble.show(error instanceof PlaybackError
        ? `The browser cannot play this video (${message}). ${this.trouble.remedy(0)}`
        : message);
    }
    this.loading = false;
    this.showSaveState("ready");
    this.#onPicture();
  }

  /** @param {number} video */
  async #load(video) {
    const base = `/api/videos/${video}`;
    const [data, times, grid, labels] = await Promise.all([
      /** @type {Promise<VideoData>} */ (fetchJson(base)),
      fetchBytes(`${base}/times`),
      fetchBytes(`${base}/grid`),
      fetchJson(`/api/games/${this.game}/labels`),
    ]);
    const pictures = new Int32Array(grid, 0, data.num_frames);
    const frames = new Int32Array(grid, 4 * data.num_frames);
    this.model.half = data.half;
    this.model.setPredictions(data.names, data.predictions);
    this.model.setLabels(labels);
    this.timeline.setVideo(data.num_frames);
    this.model.changed();
    const { scores } = data;
    if (scores) {
      fetchBytes(`${base}/scores`).then((bytes) => {
        if (this.video === video) this.timeline.setScores(new Uint8Array(bytes), scores.classes, scores.fps);
      });
    }
    const load = (/** @type {MediaFile[]} */ files) =>
      this.player.load(`${base}/file`, files, data.fragment_pictures, new Float64Array(times), pictures, frames);
    try {
      await load(data.files);
    } catch (error) {
      // Browsers differ in what they play: the server decodes for this one.
      if (!(error instanceof PlaybackError) || data.files.every((file) => file.encoded)) throw error;
      await load(data.files.map((file) => ({ ...file, encoded: true })));
    }
  }

  #onPicture() {
    const { frame, target, playing, settled, frames, pictures } = this.player;
    byId("video-panel").setAttribute("aria-busy", String(!settled)); // the numbers are of a picture yet to come
    byId("clock").textContent = clock(frame / this.model.fps);
    const onGrid = frames.length === pictures.length; // then pictures and frames have the same numbers
    byId("frame").textContent = onGrid ? `frame ${frame}` : `frame ${frame} · picture ${target}`;
    byId("play").classList.toggle("playing", playing);
    this.timeline.playhead = frame;
    if (playing) this.timeline.follow(frame);
    this.timeline.draw();
    drawClassButtons(this);
  }

  // Lists and the selected event

  /** Items of the list on screen. */
  items() {
    if (this.tab === "queue") return this.queue;
    return this.tab === "events" ? this.model.events : this.model.disagreements;
  }

  async loadQueue() {
    const mode = this.session.queue ?? "uncertain";
    /** @type {Question[]} */
    const questions = await fetchJson(`/api/queue/${mode}`);
    this.queue = questions.map((question) => ({
      ...question,
      classIndex: this.model.classIndex(question.label),
      status: question.kind === "label" ? "miss" : "wrong",
      decided: false,
      mark: this.session.videos.length > 1 ? this.videoName(question.video) : "",
    }));
    this.queueIndex = -1;
    this.redraw();
  }

  /**
   * Name of a video for the user: that of its game, and the half if the game has several videos.
   * @param {number} index
   */
  videoName(index) {
    const { videos, games } = this.session;
    const video = videos[index];
    const game = games[video.game].name.split("/").at(-1) ?? "";
    const several = videos.filter((other) => other.game === video.game).length > 1;
    return several ? `${game}, half ${video.half}` : game;
  }

  /** @param {EventItem} item */
  #isSelected(item) {
    const { selected } = this;
    if (selected === null || (item.video !== undefined && item.video !== this.video)) return false;
    if (selected.kind === "label" && item.kind === "label" && item.id !== undefined) return item.id === selected.id;
    return item.kind === selected.kind && item.frame === selected.frame && item.label === selected.label;
  }

  /** Index in the queue of the selected event, or -1 if it is not the question on screen. */
  questionIndex() {
    if (this.tab !== "queue" || this.queueIndex < 0 || this.selected === null) return -1;
    const isAnswer = this.selected.kind === "label" && this.selected.id === this.answeredAs;
    return isAnswer || this.#isSelected(this.queue[this.queueIndex]) ? this.queueIndex : -1;
  }

  /**
   * Select an item of a list, in whichever video it is.
   * @param {EventItem} item
   * @param {number} [index] in the list
   */
  async pick(item, index = -1) {
    if (this.tab === "queue" && index >= 0) {
      this.queueIndex = index;
      this.answeredAs = null;
    }
    if (item.video !== undefined && item.video !== this.video) await this.open(item.video);
    if (item.kind === "label" && item.id === undefined) { // a question: it has no id of its label
      this.select(this.model.events.find((event) =>
        event.kind === "label" && event.frame === item.frame && event.label === item.label) ?? item);
    } else this.select(item);
  }

  /**
   * @param {Selection | null} selection
   * @param {boolean} [show] whether to go to its frame
   */
  select(selection, show = true) {
    this.selected = this.model.find(selection);
    if (this.player.loop && show) this.stopLoop();
    if (this.selected !== null && show) {
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
    drawCounts(this);
    const items = this.items();
    const inQueue = this.tab === "queue";
    const current = inQueue ? this.queueIndex : items.findIndex((item) => this.#isSelected(item));
    this.list.set(items, current, EMPTY[this.tab]);
    drawLaneNames(this);
    drawEventCard(this);
    drawClassButtons(this);
    this.annotating.draw();
  }

  /** Whether a class key would change the selected event rather than add one. */
  changesSelected() { return this.selected !== null && this.selected.frame === this.player.frame; }

  /**
   * Go to the next or previous item.
   * @param {1 | -1} direction
   * @param {EventItem[]} [items]
   */
  async go(direction, items = this.items()) {
    if (!items.length) return;
    const inQueue = this.tab === "queue" && items === this.queue;
    const next = inQueue ? this.#nextQuestion(direction) : this.#nextEvent(direction, items);
    if (next >= 0 && next < items.length) await this.pick(items[next], next);
    else if (inQueue) this.toast(direction > 0 ? "that was the last question" : "that is the first question", false);
    else this.toast(direction > 0 ? "no event after this" : "no event before this", false);
  }

  /**
   * Going forward skips questions that are decided.
   * @param {1 | -1} direction
   */
  #nextQuestion(direction) {
    let next = this.queueIndex + direction;
    while (direction > 0 && next < this.queue.length && this.queue[next].decided) next += 1;
    return next;
  }

  /**
   * The item after the selected one if that is on screen, else after the frame on screen.
   * @param {1 | -1} direction
   * @param {EventItem[]} items
   */
  #nextEvent(direction, items) {
    const { frame } = this.player;
    const current = items.findIndex((item) => this.#isSelected(item));
    if (current >= 0 && this.selected?.frame === frame) return current + direction;
    if (direction < 0) return items.findLastIndex((item) => item.frame < frame);
    const next = items.findIndex((item) => item.frame > frame);
    return next >= 0 ? next : items.length;
  }

  /** @param {Tab} name */
  setTab(name) {
    this.tab = name;
    this.redraw();
  }

  // Changes of this and other tabs

  /** @param {GameUpdate} update */
  #onChange(update) {
    if (update.tab !== this.changes.tab) this.applyUpdate(update);
  }

  #onConnected() {
    if (!this.loading) this.reloadLabels();
  }

  /** @param {GameUpdate} update */
  async applyUpdate(update) {
    if (update.game !== this.game || update.revision <= this.model.revision) return;
    if (this.model.apply(update)) this.model.changed();
    else await this.reloadLabels();
  }

  async reloadLabels() {
    const { game } = this;
    try {
      const labels = await fetchJson(`/api/games/${game}/labels`);
      if (game !== this.game) return; // another video was opened meanwhile
      this.model.setLabels(labels);
      this.model.changed();
      if (!this.changes.offline) this.showSaveState("ready");
    } catch {
      this.showSaveState("disconnected");
    }
  }

  /** @param {SaveState} state */
  showSaveState(state) {
    const { numSaved } = this.decisions;
    const count = numSaved === 1 ? "1 decision" : `${numSaved} decisions`;
    const texts = {
      ready: numSaved ? `saved · ${count}` : "all saved",
      saved: `saved · ${count}`,
      disconnected: "the server does not answer; all decisions so far are saved",
      retrying: "not saved yet: the server does not answer; trying again",
    };
    const element = byId("save-state");
    element.textContent = texts[state];
    element.title = this.session.games[this.game].target;
    element.classList.toggle("bad", state === "disconnected" || state === "retrying");
  }

  /**
   * Show a message for a moment.
   * @param {string} text
   * @param {boolean} [isError]
   */
  toast(text, isError = true) {
    byId("toast").textContent = text;
    byId("toast").hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = window.setTimeout(() => { byId("toast").hidden = true; }, isError ? 5000 : 1800);
  }

  // Settings

  /** @param {number} value */
  setThreshold(value) {
    this.model.threshold = Math.round(Math.max(0, Math.min(1, value)) * 100) / 100;
    byId("threshold", HTMLInputElement).value = String(this.model.threshold);
    byId("threshold-value").textContent = this.model.threshold.toFixed(2);
    this.#updateExportLink();
    this.model.changed();
  }

  #updateExportLink() {
    byId("export", HTMLAnchorElement).href = `/api/games/${this.game}/osl?threshold=${this.model.threshold}`;
  }

  stopLoop() {
    this.player.loop = null;
    byId("loop").setAttribute("aria-pressed", "false");
  }

  /** Play from a second before the selected event to a second after it, or stop that. */
  toggleLoop() {
    if (this.player.loop) {
      this.stopLoop();
      this.player.pause();
      return;
    }
    const middle = this.selected?.frame ?? this.player.frame;
    const margin = this.model.fps;
    this.player.repeat(Math.max(0, middle - margin), Math.min(this.timeline.numFrames - 1, middle + margin));
    byId("loop").setAttribute("aria-pressed", "true");
  }

  /** @param {1 | -1} steps */
  changeSpeed(steps) {
    const speed = SPEEDS[SPEEDS.indexOf(Number(byId("speed", HTMLSelectElement).value)) + steps];
    if (speed !== undefined) this.setSpeed(speed);
  }

  /** @param {number} speed */
  setSpeed(speed) {
    byId("speed", HTMLSelectElement).value = String(speed);
    this.player.video.defaultPlaybackRate = speed; // of the next file
    this.player.video.playbackRate = speed;
  }

  toggleAudio() {
    const { video } = this.player;
    video.muted = !video.muted;
    byId("audio").setAttribute("aria-pressed", String(!video.muted));
  }

  /** @param {string} name dark or light */
  setTheme(name) {
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = name === "dark" ? "Light" : "Dark"; // what the button switches to
    this.timeline.updateColours();
  }
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds >= 100) return `${Math.round(seconds / 60)} min`;
  return `${seconds >= 10 ? Math.round(seconds) : seconds.toFixed(1)} s`;
}
