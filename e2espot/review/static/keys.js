// The keys and their actions. The help is made from the same table.

/** @typedef {import("./controls.js").ActionName} ActionName */
/**
 * @typedef {object} Binding
 * @property {ActionName} action
 * @property {(event: KeyboardEvent) => boolean} matches
 * @property {string} [keys] keys as the help writes them; bindings without it share the line above
 * @property {string} [help]
 */

export const CLASS_KEYS = [..."1234567890qwertyuio"];

/** @type {Record<string, Binding[]>} */
export const BINDINGS = {
  "Move": [
    { action: "left", keys: "← →", help: "one picture back, forward", matches: arrow("ArrowLeft") },
    { action: "right", matches: arrow("ArrowRight") },
    { action: "secondBack", keys: "Ctrl + ← →", help: "one second", matches: arrow("ArrowLeft", "control") },
    { action: "secondForward", matches: arrow("ArrowRight", "control") },
    { action: "fiveBack", keys: "Ctrl + Shift + ← →", help: "five seconds", matches: arrow("ArrowLeft", "both") },
    { action: "fiveForward", matches: arrow("ArrowRight", "both") },
    { action: "play", keys: "Space", help: "play or pause", matches: (event) => event.key === " " && !control(event) },
    { action: "loop", keys: "L", help: "play around the selected event, again and again", matches: letter("l") },
    { action: "slower", keys: "[ ]", help: "slower, faster", matches: plain("[") },
    { action: "faster", matches: plain("]") },
    { action: "audio", keys: "S", help: "audio on or off", matches: letter("s") },
    {
      action: "firstPicture",
      keys: "Home, End",
      help: "first picture, last",
      matches: (event) => event.key === "Home",
    },
    { action: "lastPicture", matches: (event) => event.key === "End" },
  ],
  "Go through": [
    { action: "next", keys: "N", help: "next event of the list", matches: letter("n") },
    { action: "previous", keys: "P", help: "previous event", matches: letter("p") },
    {
      action: "nextDisagreement",
      keys: "Shift + N, P",
      help: "next disagreement, previous",
      matches: letter("n", true),
    },
    { action: "previousDisagreement", matches: letter("p", true) },
    { action: "list", keys: "G", help: "next list", matches: letter("g") },
    { action: "deselect", keys: "Esc", help: "select nothing", matches: (event) => event.key === "Escape" },
  ],
  "Decide": [
    {
      action: "accept",
      keys: "A",
      help: "accept: the prediction becomes a label, the label is confirmed",
      matches: letter("a"),
    },
    { action: "reject", keys: "X", help: "reject the prediction, remove the label", matches: letter("x") },
    {
      action: "class",
      keys: "1 2 3 ...",
      help: "add an event of that class here; at the selected event: change its class",
      matches: (event) => noModifier(event) && CLASS_KEYS.includes(event.key.toLowerCase()),
    },
    { action: "earlier", keys: ", .", help: "move the selected event one frame earlier, later", matches: plain(",") },
    { action: "later", matches: plain(".") },
    { action: "moveHere", keys: "M", help: "move the selected event to the frame on screen", matches: letter("m") },
    {
      action: "annotated",
      keys: "D",
      help: "from here to the next D every event has a label; with Shift: not",
      matches: letter("d"),
    },
    { action: "notAnnotated", matches: letter("d", true) },
    { action: "undo", keys: "Ctrl + Z", help: "undo", matches: (event) => isZ(event) && !event.shiftKey },
    {
      action: "redo",
      keys: "Ctrl + Shift + Z",
      help: "redo",
      matches: (event) => (isZ(event) && event.shiftKey) || (control(event) && event.key.toLowerCase() === "y"),
    },
  ],
  "View": [
    { action: "zoomIn", keys: "+ −", help: "zoom the timeline in, out", matches: oneOf("+", "=") },
    { action: "zoomOut", matches: oneOf("-", "_") },
    {
      action: "pageForward",
      keys: "Page up, down",
      help: "move the timeline",
      matches: (event) => event.key === "PageDown",
    },
    { action: "pageBack", matches: (event) => event.key === "PageUp" },
    { action: "lowerThreshold", keys: "↓ ↑", help: "lower, higher threshold", matches: oneOf("ArrowDown") },
    { action: "higherThreshold", matches: oneOf("ArrowUp") },
    { action: "help", keys: "?", help: "these keys", matches: plain("?") },
  ],
};

/** Actions that repeat while their key is held down. */
/** @type {Set<ActionName>} */
const REPEATING = new Set([
  "left", "right", "secondBack", "secondForward", "fiveBack", "fiveForward", "next", "previous", "nextDisagreement",
  "previousDisagreement", "earlier", "later", "zoomIn", "zoomOut", "pageForward", "pageBack", "lowerThreshold",
  "higherThreshold", "undo", "redo",
]);

/** @param {KeyboardEvent} event */
function control(event) { return event.ctrlKey || event.metaKey; }

/** @param {KeyboardEvent} event */
function noModifier(event) { return !control(event) && !event.altKey && !event.shiftKey; }

/** @param {KeyboardEvent} event */
function isZ(event) { return control(event) && event.key.toLowerCase() === "z"; }

/**
 * An arrow key without Ctrl, with it, or with Ctrl and Shift.
 * @param {string} key
 * @param {"none" | "control" | "both"} modifiers
 * @returns {Binding["matches"]}
 */
function arrow(key, modifiers = "none") {
  return (event) => {
    if (event.key !== key || control(event) !== (modifiers !== "none")) return false;
    return modifiers === "none" || event.shiftKey === (modifiers === "both");
  };
}

/**
 * A letter, upper or lower case.
 * @param {string} name
 * @param {boolean} shift
 * @returns {Binding["matches"]}
 */
function letter(name, shift = false) {
  return (event) =>
    event.key.toLowerCase() === name && event.shiftKey === shift && !control(event) && !event.altKey;
}

/**
 * @param {string} key
 * @returns {Binding["matches"]}
 */
function plain(key) { return (event) => event.key === key && !control(event) && !event.altKey; }

/**
 * @param {...string} keys
 * @returns {Binding["matches"]}
 */
function oneOf(...keys) { return (event) => keys.includes(event.key) && !control(event); }

/**
 * Whether the focused control needs the key itself.
 * @param {KeyboardEvent} event
 */
function belongsToFocus(event) {
  const focus = event.target;
  if (focus instanceof HTMLSelectElement) return true;
  if (focus instanceof HTMLInputElement) return focus.type !== "range" || event.key.startsWith("Arrow");
  const isButton = focus instanceof HTMLButtonElement || focus instanceof HTMLAnchorElement;
  return isButton && (event.key === " " || event.key === "Enter");
}

/**
 * Call the action of every key that is pressed.
 * @param {import("./controls.js").Actions} actions
 */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing || belongsToFocus(event)) return;
    const binding = Object.values(BINDINGS).flat().find((candidate) => candidate.matches(event));
    if (binding === undefined) return;
    event.preventDefault();
    if (!event.repeat || REPEATING.has(binding.action)) actions[binding.action](event);
  });
}
