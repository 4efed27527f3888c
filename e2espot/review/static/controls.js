// The actions that keys and controls start, and the controls that start them.
import { byId, closest, make } from "/static/dom.js";
import { BINDINGS, CLASS_KEYS } from "/static/keys.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./page.js").Tab} Tab */
/** @typedef {keyof ReturnType<typeof makeActions>} ActionName */
/** @typedef {Record<ActionName, (event: Event) => void>} Actions */

const THEME_KEY = "e2espot-theme";

/**
 * Every action by its name.
 * @param {Page} page
 */
export function makeActions(page) {
  const { decisions, player, timeline } = page;
  /** @type {(action: () => Promise<void> | void) => () => void} */
  const decide = (action) => () => decisions.inOrder(action);
  /** @type {(action: () => Promise<void> | void) => () => void} */
  const move = (action) => () => decisions.whenIdle(action);
  /** @param {() => void} seek */
  const seek = (seek) => {
    page.stopLoop();
    seek();
    timeline.reveal(player.frame);
  };
  return {
    left: move(() => seek(() => player.step(-1))),
    right: move(() => seek(() => player.step(1))),
    secondBack: move(() => seek(() => player.skip(-1))),
    secondForward: move(() => seek(() => player.skip(1))),
    fiveBack: move(() => seek(() => player.skip(-5))),
    fiveForward: move(() => seek(() => player.skip(5))),
    firstPicture: () => seek(() => player.step(-Infinity)),
    lastPicture: () => seek(() => player.step(Infinity)),
    play: () => {
      page.stopLoop();
      player.toggle();
    },
    loop: () => page.toggleLoop(),
    slower: () => page.changeSpeed(-1),
    faster: () => page.changeSpeed(1),
    audio: () => page.toggleAudio(),
    next: move(() => page.go(1)),
    previous: move(() => page.go(-1)),
    nextDisagreement: move(() => page.go(1, page.model.disagreements)),
    previousDisagreement: move(() => page.go(-1, page.model.disagreements)),
    list: () => page.setTab(nextTab(page.tab)),
    deselect: move(() => { if (!page.annotating.cancel()) page.select(null); }),
    accept: decide(() => decisions.accept()),
    reject: decide(() => decisions.reject()),
    /** @param {Event} event */
    class: (event) => {
      const key = event instanceof KeyboardEvent ? event.key.toLowerCase() : "";
      decisions.inOrder(() => decisions.setClass(CLASS_KEYS.indexOf(key)));
    },
    earlier: decide(() => decisions.nudge(-1)),
    later: decide(() => decisions.nudge(1)),
    moveHere: decide(() => decisions.moveTo(player.frame)),
    annotated: decide(() => page.annotating.mark(true)),
    notAnnotated: decide(() => page.annotating.mark(false)),
    undo: decide(() => decisions.undo()),
    redo: decide(() => decisions.undo(true)),
    zoomIn: () => timeline.zoom(1 / 1.5),
    zoomOut: () => timeline.zoom(1.5),
    pageForward: () => timeline.pan(timeline.span * 0.9),
    pageBack: () => timeline.pan(-timeline.span * 0.9),
    lowerThreshold: () => page.setThreshold(page.model.threshold - 0.05),
    higherThreshold: () => page.setThreshold(page.model.threshold + 0.05),
    help: () => byId("help", HTMLDialogElement).showModal(),
  };
}

/**
 * The tab after this one, in the order of the page.
 * @param {Tab} tab
 */
function nextTab(tab) {
  const names = [...byId("tabs").querySelectorAll("button")].map((button) => button.dataset.tab);
  return /** @type {Tab} */ (names[(names.indexOf(tab) + 1) % names.length]);
}

/**
 * Call a function on a click. Afterwards the control loses the focus, so that Space plays again; after pressing
 * it with the keyboard it keeps it.
 * @param {string} id
 * @param {(event: MouseEvent) => void} action
 */
function onClick(id, action) {
  byId(id).addEventListener("click", (event) => {
    action(event);
    if (event.detail > 0 && document.activeElement instanceof HTMLElement) document.activeElement.blur();
  });
}

/**
 * Call a function when a control's value has changed; afterwards the control loses the focus.
 * @param {string} id
 * @param {(value: string) => void} action
 */
function onChange(id, action) {
  byId(id).addEventListener("change", (event) => {
    const control = event.currentTarget;
    if (!(control instanceof HTMLSelectElement || control instanceof HTMLInputElement)) return;
    action(control.value);
    control.blur();
  });
}

/**
 * Connect buttons, sliders and lists.
 * @param {Page} page
 * @param {Actions} actions
 */
export function connectControls(page, actions) {
  connectButtons(page, actions);
  const threshold = byId("threshold", HTMLInputElement);
  threshold.addEventListener("input", () => page.setThreshold(Number(threshold.value)));
  onChange("threshold", () => {});
  onChange("tolerance", (value) => {
    page.model.toleranceS = Number(value);
    page.model.changed();
  });
  onChange("speed", (value) => page.setSpeed(Number(value)));
  fillVideoChoice(page);
  fillHelp();
  page.setTheme(storedTheme() ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
  page.setThreshold(page.model.threshold);
}

/**
 * @param {Page} page
 * @param {Actions} actions
 */
function connectButtons(page, actions) {
  /** @type {[string, ActionName][]} */
  const buttons = [
    ["play", "play"], ["back", "left"], ["forward", "right"], ["loop", "loop"], ["audio", "audio"], ["undo", "undo"],
    ["redo", "redo"], ["zoom-in", "zoomIn"], ["zoom-out", "zoomOut"], ["help-open", "help"],
    ["annotated", "annotated"],
  ];
  for (const [id, action] of buttons) onClick(id, (event) => actions[action](event));
  byId("viewport").addEventListener("click", (event) => actions.play(event));
  onClick("theme", () => {
    const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    page.setTheme(name);
    storeTheme(name);
  });
  onClick("tabs", (event) => {
    const tab = closest(event, "[data-tab]")?.dataset.tab;
    if (tab) page.setTab(/** @type {Tab} */ (tab));
  });
  onClick("event-card", (event) => {
    const action = closest(event, "[data-action]")?.dataset.action;
    if (action) actions[/** @type {ActionName} */ (action)](event);
  });
  onClick("classes", (event) => {
    const index = closest(event, "[data-class]")?.dataset.class;
    if (index) page.decisions.inOrder(() => page.decisions.setClass(Number(index)));
  });
  onClick("lane-names", (event) => {
    const index = closest(event, "[data-class]")?.dataset.class;
    if (!index) return;
    const { hiddenClasses } = page.model;
    if (!hiddenClasses.delete(Number(index))) hiddenClasses.add(Number(index));
    page.model.changed();
  });
}

/** @param {Page} page */
function fillVideoChoice(page) {
  const choice = byId("video-choice", HTMLSelectElement);
  const names = page.session.videos.map((_, index) => page.videoName(index));
  choice.replaceChildren(...names.map((name, index) => make("option", { value: String(index) }, name)));
  choice.disabled = names.length < 2;
  onChange("video-choice", (value) => page.open(Number(value)));
}

function fillHelp() {
  for (const [title, bindings] of Object.entries(BINDINGS)) {
    const lines = bindings.flatMap(({ keys, help }) => (keys && help
      ? [make("p", {}, make("span", {}, make("kbd", {}, keys)), make("span", {}, help))]
      : []));
    byId("help-keys").append(make("section", {}, make("h3", {}, title), ...lines));
  }
}

function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // storage may be switched off
  }
}

/** @param {string} name */
function storeTheme(name) {
  try {
    localStorage.setItem(THEME_KEY, name);
  } catch {
    // storage may be switched off
  }
}
