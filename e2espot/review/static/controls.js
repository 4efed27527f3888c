// Keys and controls, and what they set in motion.
import { CLASS_KEYS, KEYS } from "/static/keys.js";
import { make } from "/static/list.js";

const $ = (id) => document.getElementById(id);

/** Every action by its name; see keys.js. */
export function actionsOf(page) {
  const { player, timeline } = page;
  const step = (count) => { page.stopLoop(); player.step(count); timeline.reveal(player.frame); };
  const skip = (seconds) => { page.stopLoop(); player.skip(seconds); timeline.reveal(player.frame); };
  const decide = (action) => () => page.inOrder(action);
  const move = (action) => () => page.whenSettled(action);
  return {
    left: move(() => step(-1)), right: move(() => step(1)),
    secondBack: move(() => skip(-1)), secondOn: move(() => skip(1)), fiveBack: move(() => skip(-5)), fiveOn: move(() => skip(5)),
    play: () => { page.stopLoop(); player.toggle(); }, loop: () => page.toggleLoop(),
    slower: () => page.speed(-1), faster: () => page.speed(1), sound: () => page.sound(),
    begin: () => { player.pause(); player.show(0); timeline.reveal(player.frame); },
    end: () => { player.pause(); player.show(player.frames.length - 1); timeline.reveal(player.frame); },
    next: move(() => page.go(1)), previous: move(() => page.go(-1)),
    nextWrong: move(() => page.go(1, page.model.disagreements)), previousWrong: move(() => page.go(-1, page.model.disagreements)),
    list: () => { const tabs = [...$("tabs").children].map((tab) => tab.dataset.tab); page.setTab(tabs[(tabs.indexOf(page.tab) + 1) % tabs.length]); },
    none: move(() => page.select(null)),
    accept: decide(() => page.accept()), reject: decide(() => page.reject()),
    class: (event) => { const place = CLASS_KEYS.indexOf(event.key.toLowerCase()); page.inOrder(() => page.classKey(place)); },
    earlier: decide(() => page.nudge(-1)), later: decide(() => page.nudge(1)), here: decide(() => page.moveTo(player.frame)),
    undo: decide(() => page.undo()), redo: decide(() => page.undo(true)),
    zoomIn: () => timeline.zoom(1 / 1.5), zoomOut: () => timeline.zoom(1.5),
    pageOn: () => timeline.pan(timeline.span * 0.9), pageBack: () => timeline.pan(-timeline.span * 0.9),
    lower: () => page.setThreshold(page.model.threshold - 0.05), higher: () => page.setThreshold(page.model.threshold + 0.05),
    help: () => $("help").showModal(),
  };
}

/** Buttons, sliders and lists: the mouse's way to the same actions. */
export function wire(page, actions) {
  const click = (id, action) => $(id).addEventListener("click", (event) => {
    action(event);
    if (event.detail > 0) event.currentTarget.blur(); // so that Space plays again
  });
  for (const [id, action] of [["play", "play"], ["back", "left"], ["on", "right"], ["loop", "loop"], ["mute", "sound"],
    ["undo", "undo"], ["redo", "redo"], ["zoom-in", "zoomIn"], ["zoom-out", "zoomOut"], ["help-open", "help"]]) click(id, actions[action]);
  click("theme", () => {
    const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    page.theme(name);
    try { localStorage.setItem("e2espot-theme", name); } catch { /* storage may be switched off */ }
  });
  const within = (id, name, action) => click(id, (event) => {
    const found = event.target.closest(`[data-${name}]`);
    if (found) action(found.dataset[name]);
    if (event.detail > 0) document.activeElement?.blur();
  });
  within("tabs", "tab", (name) => page.setTab(name));
  within("card", "act", (name) => actions[name]());
  within("classes", "add", (place) => page.inOrder(() => page.classKey(Number(place))));
  within("names", "class", (place) => {
    const at = Number(place);
    if (page.model.off.has(at)) page.model.off.delete(at); else page.model.off.add(at);
    page.model.changed();
  });
  $("threshold").addEventListener("input", () => page.setThreshold(Number($("threshold").value)));
  $("threshold").addEventListener("change", () => $("threshold").blur());
  $("tolerance").addEventListener("change", (event) => { page.model.tolerance = Number(event.target.value); page.model.changed(); event.target.blur(); });
  $("speed").addEventListener("change", (event) => { page.setSpeed(Number(event.target.value)); event.target.blur(); });
  $("screen").addEventListener("click", () => actions.play());
  const choice = $("video-choice");
  choice.replaceChildren(...page.session.videos.map((video, place) => make("option", { value: String(place) }, page.videoName(place))));
  choice.disabled = page.session.videos.length < 2;
  choice.addEventListener("change", () => { choice.blur(); page.open(Number(choice.value)); });
  for (const [title, rows] of Object.entries(KEYS)) {
    const lines = rows.filter(([, keys]) => keys).map(([, keys, text]) => make("p", {}, make("span", {}, make("kbd", {}, keys)), make("span", {}, text)));
    $("help-keys").append(make("section", {}, make("h3", {}, title), ...lines));
  }
  page.setThreshold(page.model.threshold);
}
