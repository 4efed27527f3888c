// Decisions of the reviewer: sent to the server one after the other, applied to the model, and undone.
import { RefusedError } from "/static/server.js";

/** @typedef {import("./model.js").EventItem} EventItem */
/** @typedef {import("./model.js").Selection} Selection */
/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./server.js").Change} Change */
/** @typedef {import("./server.js").ChangeRequest} ChangeRequest */
/** @typedef {import("./server.js").LabelData} LabelData */
/** @typedef {import("./server.js").Update} Update */

export class Decisions {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.numSaved = 0;
    this.numPending = 0;
    this.queued = Promise.resolve();
    /** @type {number[]} */
    this.undoGames = []; // game of each decision of this tab, the last at the end
    /** @type {number[]} */
    this.redoGames = [];
  }

  /**
   * Run an action after all earlier ones: a key pressed while a decision is on its way waits for it.
   * @param {() => Promise<void> | void} action
   */
  inOrder(action) {
    if (this.page.changes.offline) {
      this.page.toast("ignored: the server does not answer");
      return;
    }
    if (this.page.moving.shown) {
      this.page.toast("ignored: apply or cancel the moved times first");
      return;
    }
    this.numPending += 1;
    this.queued = this.queued
      .then(action)
      .catch((error) => this.page.toast(error.message))
      .finally(() => { this.numPending -= 1; });
  }

  /**
   * Run an action that decides nothing: at once, unless a decision is on its way.
   * @param {() => Promise<void> | void} action
   */
  whenIdle(action) {
    if (this.numPending && !this.page.changes.offline) this.inOrder(action);
    else action();
  }

  /** Accept the selected prediction, or confirm the selected label. */
  async accept() {
    const { page } = this, item = page.selected, question = page.questionIndex();
    if (item === null) return;
    if (item.kind === "label") {
      // In the queue, a prediction that was moved or renamed became this label: that was the answer already.
      const answered = question >= 0 && item.id === page.answeredAs;
      if (answered || await this.#send({ kind: "confirm", id: item.id })) await this.#proceed(question, null);
      return;
    }
    const update = await this.#send(acceptRequest(item, item.frame, item.label));
    if (update) await this.#proceed(question, addedLabel(update));
  }

  /** Reject the selected prediction, or remove the selected label. */
  async reject() {
    const item = this.page.selected, question = this.page.questionIndex();
    if (item === null) return;
    if (item.kind === "label") {
      if (await this.#send({ kind: "remove", id: item.id })) await this.#proceed(question, null);
    } else if (await this.#send({ kind: "reject", of_frame: item.frame, of_label: item.label })) {
      await this.#proceed(question, item);
    }
  }

  /**
   * Add an event of a class at the frame on screen; if the selected event is there, change its class instead.
   * @param {number} classIndex
   */
  async setClass(classIndex) {
    const { page } = this, label = page.model.classes[classIndex];
    if (label === undefined) return;
    if (!page.changesSelected() || page.selected === null) {
      this.#select(-1, await this.#send({ kind: "add", frame: page.player.frame, label }));
    } else if (page.selected.label !== label) await this.#change(page.selected, page.selected.frame, label, false);
  }

  /**
   * Move the selected event by frames.
   * @param {number} frames
   */
  async nudge(frames) {
    if (this.page.selected !== null) await this.moveTo(this.page.selected.frame + frames);
  }

  /**
   * Move the selected event to a frame.
   * @param {number} frame
   */
  async moveTo(frame) {
    const item = this.page.selected;
    if (item === null || frame < 0 || frame >= this.page.timeline.numFrames || frame === item.frame) return;
    await this.#change(item, frame, item.label, true);
  }

  /**
   * Give an event another time or class; a prediction becomes a label by that.
   * @param {EventItem} item
   * @param {number} frame
   * @param {string} label
   * @param {boolean} show whether to go to its frame
   */
  async #change(item, frame, label, show) {
    const question = this.page.questionIndex();
    if (item.kind === "label") {
      const update = await this.#send({ kind: "change", id: item.id, frame, label });
      this.#select(question, update, item, show);
    } else this.#select(question, await this.#send(acceptRequest(item, frame, label)), null, show);
  }

  /**
   * Move the times of all labels of this video; whether that was done.
   * @param {string} shift seconds or a clock
   * @param {string} rate factor, applied before
   */
  async moveTimes(shift, rate) {
    return await this.#send({ kind: "move", shift, rate }) !== null;
  }

  /**
   * Mark frames as annotated, or as not annotated.
   * @param {number} first
   * @param {number} last
   * @param {boolean} complete whether every event in them has a label
   */
  async markAnnotated(first, last, complete) {
    await this.#send({ kind: "annotate", frame: first, to_frame: last, complete });
  }

  /** Undo or redo the last decision of this tab, in whichever game it was, and show it. */
  async undo(redo = false) {
    const [from, to] = redo ? [this.redoGames, this.undoGames] : [this.undoGames, this.redoGames];
    const game = from.at(-1) ?? this.page.game;
    const update = await this.#send({ kind: redo ? "redo" : "undo" }, game);
    if (update === null) return;
    from.pop();
    to.push(game);
    this.page.toast(update.name, false);
    await this.#show(game, update.changes);
  }

  /**
   * Send a request and apply the result.
   * @param {ChangeRequest} request
   * @param {number} [game]
   * @returns {Promise<Update | null>} null if it was refused
   */
  async #send(request, game = this.page.game) {
    const { page } = this, { model } = page;
    if (page.loading) return null;
    try {
      const update = await page.changes.send(game, { seen: model.revision, half: model.half, ...request });
      this.numSaved += 1;
      if (request.kind !== "undo" && request.kind !== "redo") {
        this.undoGames.push(game);
        this.redoGames = [];
      }
      await page.applyUpdate({ game, ...update });
      page.showSaveState("saved");
      return update;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      page.toast(error.message);
      await page.reloadLabels();
      return null;
    }
  }

  /**
   * After an answer: in the queue go to the next question, elsewhere keep the event selected.
   * @param {number} question index in the queue, or -1
   * @param {Selection | null} selection
   */
  async #proceed(question, selection) {
    if (question >= 0) {
      this.page.queue[question].decided = true;
      await this.page.go(1);
    } else if (selection !== null) this.page.select(selection, false);
    else this.page.redraw();
  }

  /**
   * Select the label that was added or changed. In the queue it answers the question, and stays selected so that
   * it can be moved further.
   * @param {number} question index in the queue, or -1
   * @param {Update | null} update null if the change was refused
   * @param {Selection | null} changed the label that was changed; null for an added one
   * @param {boolean} show whether to go to its frame
   */
  #select(question, update, changed = null, show = false) {
    if (update === null) return;
    const label = changed ?? addedLabel(update);
    if (label === null) return;
    if (question >= 0) {
      this.page.queue[question].decided = true;
      this.page.answeredAs = label.id ?? null;
    }
    this.page.select(label, show);
  }

  /**
   * Go to what was changed.
   * @param {number} game
   * @param {Change[]} changes
   */
  async #show(game, changes) {
    const { page } = this;
    const label = labelIn(changes);
    const verdict = changes.find((change) => change.kind === "verdict" && !change.key.startsWith("label/"));
    const prediction = verdict ? parseVerdictKey(verdict.key) : null;
    const half = label?.half ?? prediction?.half;
    const video = page.session.videos.findIndex((one) => one.game === game && one.half === half);
    if (video < 0) return;
    const question = page.queue.findIndex((item) => prediction !== null && item.video === video
      && item.frame === prediction.frame && item.label === prediction.label);
    if (question >= 0) {
      const undecided = verdict?.after === null;
      page.queue[question].decided = !undecided;
      if (page.tab === "queue" && undecided) {
        await page.pick(page.queue[question], question);
        return;
      }
    }
    if (video !== page.video) await page.open(video);
    if (label) page.select(asSelection(label));
    else if (prediction) {
      const classIndex = page.model.classIndex(prediction.label);
      page.select({ kind: "prediction", classIndex, frame: prediction.frame });
    }
  }
}

/**
 * @param {EventItem} prediction
 * @param {number} frame of the label
 * @param {string} label class of the label
 * @returns {ChangeRequest}
 */
function acceptRequest(prediction, frame, label) {
  return { kind: "accept", frame, label, of_frame: prediction.frame, of_label: prediction.label };
}

/**
 * The label that changes leave behind; null if there is none.
 * @param {Change[]} changes
 * @returns {LabelData | null}
 */
function labelIn(changes) {
  for (const change of changes) if (change.kind === "label" && change.after !== null) return change.after;
  return null;
}

/**
 * @param {Update} update
 * @returns {Selection | null}
 */
function addedLabel(update) {
  const label = labelIn(update.changes);
  return label ? asSelection(label) : null;
}

/**
 * @param {LabelData} label
 * @returns {Selection}
 */
function asSelection(label) {
  return { kind: "label", id: label.id, classIndex: -1, frame: label.frame }; // labels are found by their id
}

/**
 * "1/1040/PASS" is the prediction at frame 1040 of half 1; class names may contain slashes.
 * @param {string} key
 */
function parseVerdictKey(key) {
  const [half, frame, ...name] = key.split("/");
  return { half: Number(half), frame: Number(frame), label: name.join("/") };
}
