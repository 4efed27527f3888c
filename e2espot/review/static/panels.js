// The panels next to the video: the selected event, the classes, the counts and the tabs.
import { byId, clock, make, refill } from "/static/dom.js";
import { CLASS_KEYS } from "/static/keys.js";

/** @typedef {import("./page.js").Page} Page */

const STATUS = {
  hit: "hit",
  miss: "missed: no prediction here",
  wrong: "false positive: no label here",
  done: "decided",
};

/**
 * Counts, and the tabs of the lists.
 * @param {Page} page
 */
export function drawCounts(page) {
  const { counts, events, disagreements, hasPredictions } = page.model;
  const texts = hasPredictions
    ? [["hit", `${counts.hit} hits`], ["miss", `${counts.miss} misses`], ["wrong", `${counts.wrong} false positives`]]
    : [["hit", `${events.length} labels, no predictions`]];
  const spans = texts.map(([status, text]) => make("span", {}, make("i", { class: `dot ${status}` }), text));
  refill(byId("counts"), ...spans);

  const tabs = [["events", `Events ${events.length}`], ["disagreements", `Disagreements ${disagreements.length}`]];
  if (page.session.queue) {
    const numDecided = page.queue.filter((item) => item.decided).length;
    tabs.unshift(["queue", `Queue ${numDecided} of ${page.queue.length}`]);
  }
  const buttons = tabs.map(([name, text]) => {
    const selected = String(page.tab === name);
    return make("button", { type: "button", role: "tab", "aria-selected": selected, "data-tab": name }, text);
  });
  refill(byId("tabs"), ...buttons);
}

/**
 * The class of each lane; pressing it hides or shows the class.
 * @param {Page} page
 */
export function drawLaneNames(page) {
  const height = page.timeline.laneHeight();
  const rows = page.model.lanes.map((lane) => {
    const row = make("button", {
      type: "button",
      title: `${lane.name}: show or hide`,
      "aria-pressed": String(!page.model.hiddenClasses.has(lane.classIndex)),
      "data-class": String(lane.classIndex),
    }, make("span", {}, lane.name));
    row.style.height = `${height}px`;
    return row;
  });
  refill(byId("lane-names"), ...rows);
}

/**
 * The selected event and what can be done with it.
 * @param {Page} page
 */
export function drawEventCard(page) {
  const card = byId("event-card");
  const item = page.selected;
  if (item === null) {
    const numHidden = page.model.numHiddenRows;
    const hidden = numHidden ? ` ${numHidden} entries of the label file cannot be shown and stay as they are.` : "";
    const hint = "N goes to the next event; a class key adds one at the frame on screen.";
    refill(card, make("div", { class: "title" }, make("b", {}, "Nothing selected")),
      make("p", { class: "details" }, hint + hidden));
    return;
  }
  const isLabel = item.kind === "label";
  refill(card,
    make("div", { class: "title" }, make("i", { class: `dot ${item.status}` }),
      make("b", { title: item.label }, item.label),
      make("span", { class: "time" }, clock(item.frame / page.model.fps))),
    make("p", { class: "details" }, details(page, item)),
    make("div", { class: "actions" },
      actionButton("accept", "A", isLabel ? "Confirm" : "Accept", "primary"),
      actionButton("reject", "X", isLabel ? "Remove" : "Reject"),
      actionButton("earlier", ",", "\u22121"),
      actionButton("later", ".", "+1"),
      actionButton("moveHere", "M", "Here")));
}

/**
 * @param {Page} page
 * @param {import("./model.js").EventItem} item
 */
function details(page, item) {
  const { fps, hasPredictions } = page.model;
  const verdict = item.verdict?.split(" ")[0] ?? (item.decided ? "confirmed" : null); // "accepted 7" -> "accepted"
  const status = hasPredictions ? STATUS[item.status] : "no predictions to compare with";
  const parts = [item.kind, verdict ?? status];
  if (item.score !== null) parts.push(`score ${item.score.toFixed(3)}`);
  if (item.offset) parts.push(`prediction ${item.offset > 0 ? "+" : "−"}${(Math.abs(item.offset) / fps).toFixed(2)} s`);
  return parts.join(" · ");
}

/**
 * @param {import("./controls.js").ActionName} action
 * @param {string} key
 * @param {string} text
 * @param {string} style
 */
function actionButton(action, key, text, style = "") {
  return make("button", { type: "button", class: style, "data-action": action }, make("kbd", {}, key), ` ${text}`);
}

/** What the class buttons do now; they are drawn again only when this changes. */
let drawnButtons = "";

/**
 * One button per class.
 * @param {Page} page
 */
export function drawClassButtons(page) {
  const { classes } = page.model;
  const selected = page.changesSelected() ? page.selected : null;
  const buttons = `${selected?.label} ${classes.length}`;
  if (buttons === drawnButtons) return;
  drawnButtons = buttons;
  byId("classes").classList.toggle("many", classes.length > 4);
  refill(byId("classes"), ...classes.map((name, index) => make("button", {
    type: "button",
    "data-class": String(index),
    class: selected?.label === name ? "current" : "",
    title: selected ? `Change the selected event to ${name}` : `Add ${name} at the frame on screen`,
    "aria-label": name,
  }, make("kbd", {}, (CLASS_KEYS[index] ?? " ").toUpperCase()), make("span", {}, name))));
}
