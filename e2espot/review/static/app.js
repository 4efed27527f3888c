// The review page: puts player, timeline, list and server together.
import { CLASS_KEYS, KEYS, listen } from "/static/keys.js";
import { List, make } from "/static/list.js";
import { Model } from "/static/model.js";
import { Player } from "/static/player.js";
import { Changes, Refused, read, readBytes } from "/static/server.js";
import { clock, Timeline } from "/static/timeline.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];
const STATUS = { hit: "hit", miss: "missed: nothing said here", wrong: "false alarm: no label here", done: "decided" };

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
    this.controls();
    this.theme(stored() ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
    listen(this.actions());
  }

  get game() { return this.session.videos[this.video].game; }

  // Videos

  async open(video) {
    this.loading = true;
    this.video = video;
    this.selected = null;
    $("video-choice").value = String(video);
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
    this.classButtons();
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
    if (this.tab === "queue" && at >= 0) this.queueAt = at;
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
    const { hit, miss, wrong } = this.model.counts;
    $("counts").replaceChildren(...[["hit", `${hit} hits`], ["miss", `${miss} misses`], ["wrong", `${wrong} false alarms`]].map(
      ([status, text]) => make("span", {}, make("i", { class: `dot ${status}` }), text)));
    const tabs = [["events", `Events ${this.model.events.length}`], ["wrong", `Disagreements ${this.model.disagreements.length}`]];
    if (this.session.queue) tabs.unshift(["queue", `Queue ${this.queue.length}`]);
    $("tabs").replaceChildren(...tabs.map(([name, text]) => {
      const tab = make("button", { type: "button", role: "tab", "aria-selected": String(this.tab === name), "data-tab": name }, text);
      return tab;
    }));
    const items = this.items();
    const current = this.tab === "queue" ? this.queueAt : items.findIndex((item) => this.isSelected(item));
    this.list.set(items, current, { events: "No labels, and no predictions of this score.", wrong: "Nothing to settle: labels and predictions agree.",
      queue: "Nothing left to ask." }[this.tab]);
    this.names();
    this.card();
    this.classButtons();
  }

  names() {
    const tall = this.timeline.laneHeight();
    $("names").replaceChildren(...this.model.lanes.map((lane) => {
      const row = make("button", { type: "button", title: `${lane.name}: show or hide`, "aria-pressed": String(!this.model.off.has(lane.place)),
        "data-class": String(lane.place) }, make("span", {}, lane.name));
      row.style.height = `${tall}px`;
      return row;
    }));
  }

  card() {
    const row = this.selected;
    if (row === null) {
      const many = this.model.hidden ? ` ${this.model.hidden} entries of the label file cannot be shown and are kept as they are.` : "";
      $("card").replaceChildren(make("div", { class: "what" }, make("b", {}, "Nothing selected")),
        make("p", { class: "why" }, `N goes to the next event; a class key adds one at the frame on show.${many}`));
      return;
    }
    const label = row.kind === "label";
    const score = row.score === null ? "" : ` · score ${row.score.toFixed(3)}`;
    const late = row.late ? ` · prediction ${row.late > 0 ? "+" : "−"}${(Math.abs(row.late) / this.model.fps).toFixed(2)} s` : "";
    const verdict = row.verdict ?? (row.decided ? "confirmed" : null);
    const why = `${label ? "label" : "prediction"} · ${verdict ?? STATUS[row.status]}${score}${late}`;
    const act = (name, key, text, style = "") => make("button", { type: "button", class: style, "data-act": name }, make("kbd", {}, key), ` ${text}`);
    $("card").replaceChildren(
      make("div", { class: "what" }, make("i", { class: `dot ${row.status}` }), make("b", { title: row.label }, row.label),
        make("span", { class: "when" }, clock(row.frame / this.model.fps))),
      make("p", { class: "why" }, why),
      make("div", { class: "acts" }, act("accept", "A", label ? "Confirm" : "Accept", "yes"), act("reject", "X", label ? "Remove" : "Reject"),
        act("earlier", ",", "\u22121"), act("later", ".", "+1"), act("here", "M", "Here")));
  }

  /** Whether a class key would change the selected event rather than add one. */
  changesSelected() { return this.selected !== null && this.selected.frame === this.player.frame; }

  classButtons() {
    const changes = this.changesSelected();
    const told = `${changes} ${this.selected?.label} ${this.model.classes.length}`;
    if (told === this.buttonsTold) return;
    this.buttonsTold = told;
    $("classes").classList.toggle("many", this.model.classes.length > 4);
    $("classes").replaceChildren(...this.model.classes.map((name, place) => make("button", {
      type: "button", "data-add": String(place), class: changes && this.selected.label === name ? "now" : "",
      title: changes ? `Make the selected event ${name}` : `Add ${name} at the frame on show`, "aria-label": name,
    }, make("kbd", {}, (CLASS_KEYS[place] ?? " ").toUpperCase()), make("span", {}, name))));
  }

  // Decisions

  async change(asked) {
    if (this.loading) return null;
    const game = this.game;
    try {
      const told = await this.changes.ask(game, { seen: this.model.revision, half: this.model.half, ...asked });
      this.decisions += 1;
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

  async accept() {
    const row = this.selected;
    if (row === null) return;
    const at = this.tab === "queue" ? this.queueAt : -1;
    if (row.kind === "label") {
      if (await this.change({ kind: "confirm", id: row.id })) this.after(at, null);
      return;
    }
    const told = await this.change({ kind: "accept", frame: row.frame, label: row.label, of_frame: row.frame, of_label: row.label });
    if (told) this.after(at, added(told));
  }

  async reject() {
    const row = this.selected;
    if (row === null) return;
    const at = this.tab === "queue" ? this.queueAt : -1;
    if (row.kind === "label") {
      if (await this.change({ kind: "remove", id: row.id })) this.after(at, null);
    } else if (await this.change({ kind: "reject", of_frame: row.frame, of_label: row.label })) this.after(at, row);
  }

  /** In the queue the next question follows at once; elsewhere the event stays selected. */
  after(at, row) {
    if (at >= 0) {
      this.queue[at].decided = true;
      this.go(1);
    } else if (row !== null) this.select(row, false);
    else this.redraw();
  }

  async classKey(place) {
    const label = this.model.classes[place];
    if (label === undefined) return;
    const row = this.changesSelected() ? this.selected : null;
    const frame = this.player.frame;
    if (row === null) this.settle(await this.change({ kind: "add", frame, label }));
    else if (row.label === label) return;
    else if (row.kind === "label") this.settle(await this.change({ kind: "change", id: row.id, frame: row.frame, label }), row);
    else this.settle(await this.change({ kind: "accept", frame: row.frame, label, of_frame: row.frame, of_label: row.label }));
  }

  async nudge(by) { if (this.selected !== null) await this.moveTo(this.selected.frame + by); }

  async moveTo(frame) {
    const row = this.selected;
    if (row === null || frame < 0 || frame >= this.timeline.numFrames || frame === row.frame) return;
    const asked = row.kind === "label" ? { kind: "change", id: row.id, frame, label: row.label }
      : { kind: "accept", frame, label: row.label, of_frame: row.frame, of_label: row.label };
    this.settle(await this.change(asked), row.kind === "label" ? row : null, true);
  }

  settle(told, row = null, move = false) {
    if (told === null) return;
    const now = row ?? added(told);
    if (this.tab === "queue" && this.queueAt >= 0) this.queue[this.queueAt].decided = true;
    if (now) this.select(now, move);
  }

  async undo(redo = false) {
    const told = await this.change({ kind: redo ? "redo" : "undo" });
    if (told === null) return;
    this.toast(told.name, false);
    const change = told.changes.find((one) => one.kind === "label" && one.after !== null);
    if (change && change.after.half === this.model.half) this.select({ kind: "label", id: change.after.id });
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
    const texts = {
      ready: this.decisions ? `saved · ${this.decisions} decisions` : "all saved",
      saved: `saved · ${this.decisions} decisions`,
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

  go(by, items = this.items()) {
    if (!items.length) return;
    let next;
    if (this.tab === "queue" && items === this.queue) {
      next = this.queueAt + by;
      while (by > 0 && next < items.length && items[next].decided) next += 1;
      if (next < 0 || next >= items.length) { this.toast(by > 0 ? "that was the last of the queue" : "that is the first", false); return; }
      this.pick(items[next], next);
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
    this.pick(items[next], next);
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

  actions() {
    const { player, timeline } = this;
    const step = (count) => { this.stopLoop(); player.step(count); timeline.reveal(player.frame); };
    const skip = (seconds) => { this.stopLoop(); player.skip(seconds); timeline.reveal(player.frame); };
    const decide = (action) => () => this.inOrder(action);
    const move = (action) => () => this.whenSettled(action);
    return {
      left: move(() => step(-1)), right: move(() => step(1)),
      secondBack: move(() => skip(-1)), secondOn: move(() => skip(1)), fiveBack: move(() => skip(-5)), fiveOn: move(() => skip(5)),
      play: () => { this.stopLoop(); player.toggle(); }, loop: () => this.toggleLoop(),
      slower: () => this.speed(-1), faster: () => this.speed(1), sound: () => this.sound(),
      begin: () => { player.pause(); player.show(0); timeline.reveal(player.frame); },
      end: () => { player.pause(); player.show(player.frames.length - 1); timeline.reveal(player.frame); },
      next: move(() => this.go(1)), previous: move(() => this.go(-1)),
      nextWrong: move(() => this.go(1, this.model.disagreements)), previousWrong: move(() => this.go(-1, this.model.disagreements)),
      list: () => { const tabs = [...$("tabs").children].map((tab) => tab.dataset.tab); this.setTab(tabs[(tabs.indexOf(this.tab) + 1) % tabs.length]); },
      none: move(() => this.select(null)),
      accept: decide(() => this.accept()), reject: decide(() => this.reject()),
      class: (event) => { const place = CLASS_KEYS.indexOf(event.key.toLowerCase()); this.inOrder(() => this.classKey(place)); },
      earlier: decide(() => this.nudge(-1)), later: decide(() => this.nudge(1)), here: decide(() => this.moveTo(player.frame)),
      undo: decide(() => this.undo()), redo: decide(() => this.undo(true)),
      zoomIn: () => timeline.zoom(1 / 1.5), zoomOut: () => timeline.zoom(1.5),
      pageOn: () => timeline.pan(timeline.span * 0.9), pageBack: () => timeline.pan(-timeline.span * 0.9),
      lower: () => this.setThreshold(this.model.threshold - 0.05), higher: () => this.setThreshold(this.model.threshold + 0.05),
      help: () => $("help").showModal(),
    };
  }

  controls() {
    const actions = this.actions();
    const click = (id, action) => $(id).addEventListener("click", (event) => {
      action(event);
      if (event.detail > 0) event.currentTarget.blur(); // so that Space plays again
    });
    for (const [id, action] of [["play", "play"], ["back", "left"], ["on", "right"], ["loop", "loop"], ["mute", "sound"],
      ["undo", "undo"], ["redo", "redo"], ["zoom-in", "zoomIn"], ["zoom-out", "zoomOut"], ["help-open", "help"]]) click(id, actions[action]);
    click("theme", () => {
      const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      this.theme(name);
      try { localStorage.setItem("e2espot-theme", name); } catch { /* storage may be switched off */ }
    });
    const within = (id, name, action) => click(id, (event) => {
      const found = event.target.closest(`[data-${name}]`);
      if (found) action(found.dataset[name]);
      if (event.detail > 0) document.activeElement?.blur();
    });
    within("tabs", "tab", (name) => this.setTab(name));
    within("card", "act", (name) => actions[name]());
    within("classes", "add", (place) => this.inOrder(() => this.classKey(Number(place))));
    within("names", "class", (place) => {
      const at = Number(place);
      if (this.model.off.has(at)) this.model.off.delete(at); else this.model.off.add(at);
      this.model.changed();
    });
    $("threshold").addEventListener("input", () => this.setThreshold(Number($("threshold").value)));
    $("threshold").addEventListener("change", () => $("threshold").blur());
    $("tolerance").addEventListener("change", (event) => { this.model.tolerance = Number(event.target.value); this.model.changed(); event.target.blur(); });
    $("speed").addEventListener("change", (event) => { this.setSpeed(Number(event.target.value)); event.target.blur(); });
    $("screen").addEventListener("click", () => actions.play());
    const choice = $("video-choice");
    choice.replaceChildren(...this.session.videos.map((video, place) => make("option", { value: String(place) }, this.videoName(place))));
    choice.disabled = this.session.videos.length < 2;
    choice.addEventListener("change", () => { choice.blur(); this.open(Number(choice.value)); });
    for (const [title, rows] of Object.entries(KEYS)) {
      const lines = rows.filter(([, keys]) => keys).map(([, keys, text]) => make("p", {}, make("span", {}, make("kbd", {}, keys)), make("span", {}, text)));
      $("help-keys").append(make("section", {}, make("h3", {}, title), ...lines));
    }
    this.setThreshold(this.model.threshold);
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
  page.go(1);
}
document.documentElement.dataset.ready = "yes";
