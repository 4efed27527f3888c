// What stands beside the video: the selected event, the classes, the counts. Text goes in as text, never as markup.
import { CLASS_KEYS } from "/static/keys.js";
import { make, refill } from "/static/list.js";
import { clock } from "/static/timeline.js";

const $ = (id) => document.getElementById(id);
const STATUS = { hit: "hit", miss: "missed: nothing said here", wrong: "false alarm: no label here", done: "decided" };

/** Counts and the heads of the lists. */
export function drawHeads(page) {
  const { hit, miss, wrong } = page.model.counts;
  const counts = page.model.spoken ? [["hit", `${hit} hits`], ["miss", `${miss} misses`], ["wrong", `${wrong} false alarms`]]
    : [["hit", `${page.model.events.length} labels, no predictions`]];
  refill($("counts"), ...counts.map(
    ([status, text]) => make("span", {}, make("i", { class: `dot ${status}` }), text)));
  const tabs = [["events", `Events ${page.model.events.length}`], ["wrong", `Disagreements ${page.model.disagreements.length}`]];
  if (page.session.queue) tabs.unshift(["queue", `Queue ${page.queue.filter((one) => one.decided).length} of ${page.queue.length}`]);
  refill($("tabs"), ...tabs.map(([name, text]) => make("button", {
    type: "button", role: "tab", "aria-selected": String(page.tab === name), "data-tab": name,
  }, text)));
}

/** The class of each lane; pressing one hides it or shows it again. */
export function drawNames(page) {
  const tall = page.timeline.laneHeight();
  refill($("names"), ...page.model.lanes.map((lane) => {
    const row = make("button", { type: "button", title: `${lane.name}: show or hide`, "aria-pressed": String(!page.model.off.has(lane.place)),
      "data-class": String(lane.place) }, make("span", {}, lane.name));
    row.style.height = `${tall}px`;
    return row;
  }));
}

/** What is selected, and what can be done with it. */
export function drawCard(page) {
  const row = page.selected;
  if (row === null) {
    const many = page.model.hidden ? ` ${page.model.hidden} entries of the label file cannot be shown and are kept as they are.` : "";
    refill($("card"), make("div", { class: "what" }, make("b", {}, "Nothing selected")),
      make("p", { class: "why" }, `N goes to the next event; a class key adds one at the frame on show.${many}`));
    return;
  }
  const label = row.kind === "label";
  const score = row.score === null ? "" : ` · score ${row.score.toFixed(3)}`;
  const late = row.late ? ` · prediction ${row.late > 0 ? "+" : "−"}${(Math.abs(row.late) / page.model.fps).toFixed(2)} s` : "";
  const verdict = row.verdict?.split(" ")[0] ?? (row.decided ? "confirmed" : null);
  const why = `${label ? "label" : "prediction"} · ${verdict ?? (page.model.spoken ? STATUS[row.status] : "no predictions to compare with")}${score}${late}`;
  const act = (name, key, text, style = "") => make("button", { type: "button", class: style, "data-act": name }, make("kbd", {}, key), ` ${text}`);
  refill($("card"), 
    make("div", { class: "what" }, make("i", { class: `dot ${row.status}` }), make("b", { title: row.label }, row.label),
      make("span", { class: "when" }, clock(row.frame / page.model.fps))),
    make("p", { class: "why" }, why),
    make("div", { class: "acts" }, act("accept", "A", label ? "Confirm" : "Accept", "yes"), act("reject", "X", label ? "Remove" : "Reject"),
      act("earlier", ",", "\u22121"), act("later", ".", "+1"), act("here", "M", "Here")));
}

/** A button a class; drawn again only when what it would do has changed. */
export function drawClasses(page) {
  const changes = page.changesSelected();
  const told = `${changes} ${page.selected?.label} ${page.model.classes.length}`;
  if (told === page.buttonsTold) return;
  page.buttonsTold = told;
  $("classes").classList.toggle("many", page.model.classes.length > 4);
  refill($("classes"), ...page.model.classes.map((name, place) => make("button", {
    type: "button", "data-add": String(place), class: changes && page.selected.label === name ? "now" : "",
    title: changes ? `Make the selected event ${name}` : `Add ${name} at the frame on show`, "aria-label": name,
  }, make("kbd", {}, (CLASS_KEYS[place] ?? " ").toUpperCase()), make("span", {}, name))));
}
