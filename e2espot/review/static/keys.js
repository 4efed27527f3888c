// Which key does what. The help is made from the same table.

export const CLASS_KEYS = [..."1234567890qwertyuio"];

/** [name of the action, how the keys are written, what it does, test of the event] by group. */
export const KEYS = {
  "Move": [
    ["left", "← →", "one picture back, one on", (e) => e.key === "ArrowLeft" && !control(e)],
    ["right", null, null, (e) => e.key === "ArrowRight" && !control(e)],
    ["secondBack", "Ctrl + ← →", "one second", (e) => e.key === "ArrowLeft" && control(e) && !e.shiftKey],
    ["secondOn", null, null, (e) => e.key === "ArrowRight" && control(e) && !e.shiftKey],
    ["fiveBack", "Ctrl + Shift + ← →", "five seconds", (e) => e.key === "ArrowLeft" && control(e) && e.shiftKey],
    ["fiveOn", null, null, (e) => e.key === "ArrowRight" && control(e) && e.shiftKey],
    ["play", "Space", "play or pause", (e) => e.key === " " && !control(e)],
    ["loop", "L", "play around the selected event, over and over", letter("l")],
    ["slower", "[ ]", "slower, faster", plain("[")],
    ["faster", null, null, plain("]")],
    ["sound", "S", "sound on or off", letter("s")],
    ["begin", "Home, End", "first picture, last", (e) => e.key === "Home"],
    ["end", null, null, (e) => e.key === "End"],
  ],
  "Go through": [
    ["next", "N", "next event of the list", letter("n")],
    ["previous", "P", "the one before", letter("p")],
    ["nextWrong", "Shift + N, P", "next disagreement, the one before", letter("n", true)],
    ["previousWrong", null, null, letter("p", true)],
    ["list", "G", "the next list", letter("g")],
    ["none", "Esc", "select nothing", (e) => e.key === "Escape"],
  ],
  "Decide": [
    ["accept", "A", "accept: the prediction becomes a label, the label is confirmed", letter("a")],
    ["reject", "X", "reject the prediction, remove the label", letter("x")],
    ["class", "1 2 3 ...", "add an event of that class here; at the selected event: change its class",
      (e) => !control(e) && !e.altKey && !e.shiftKey && CLASS_KEYS.includes(e.key.toLowerCase())],
    ["earlier", ", .", "nudge the selected event one frame earlier, later", plain(",")],
    ["later", null, null, plain(".")],
    ["here", "M", "move the selected event to the frame on show", letter("m")],
    ["undo", "Ctrl + Z", "undo", (e) => e.key.toLowerCase() === "z" && control(e) && !e.shiftKey],
    ["redo", "Ctrl + Shift + Z", "redo", (e) => control(e) && (e.key.toLowerCase() === "y" || (e.key.toLowerCase() === "z" && e.shiftKey))],
  ],
  "See": [
    ["zoomIn", "+ −", "zoom the timeline in, out", (e) => (e.key === "+" || e.key === "=") && !control(e)],
    ["zoomOut", null, null, (e) => (e.key === "-" || e.key === "_") && !control(e)],
    ["pageOn", "Page up, down", "move the timeline", (e) => e.key === "PageDown"],
    ["pageBack", null, null, (e) => e.key === "PageUp"],
    ["lower", "↓ ↑", "lower, higher threshold", (e) => e.key === "ArrowDown" && !control(e)],
    ["higher", null, null, (e) => e.key === "ArrowUp" && !control(e)],
    ["help", "?", "these keys", plain("?")],
  ],
};

function control(event) { return event.ctrlKey || event.metaKey; }

function letter(name, shift = false) {
  return (event) => event.key.toLowerCase() === name && event.shiftKey === shift && !control(event) && !event.altKey;
}

function plain(name) { return (event) => event.key === name && !control(event) && !event.altKey; }

const HELD = new Set(["left", "right", "secondBack", "secondOn", "fiveBack", "fiveOn", "next", "previous", "nextWrong",
  "previousWrong", "earlier", "later", "zoomIn", "zoomOut", "pageOn", "pageBack", "lower", "higher", "undo", "redo"]);

/** Call the action a key stands for; keys that a focused control needs itself are left to it. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const on = event.target;
    const typing = on.tagName === "SELECT" || (on.tagName === "INPUT" && on.type !== "range");
    if (typing) return;
    if (on.tagName === "INPUT" && event.key.startsWith("Arrow")) return;
    if (["BUTTON", "A"].includes(on.tagName) && (event.key === " " || event.key === "Enter")) return;
    for (const [name, , , test] of Object.values(KEYS).flat()) {
      if (!test(event)) continue;
      event.preventDefault();
      if (!event.repeat || HELD.has(name)) actions[name](event);
      return;
    }
  });
}
