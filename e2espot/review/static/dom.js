// Helpers for elements. Text is always inserted as text, never as markup.

/**
 * The element with an id; it must exist and be of the class given.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new (...args: any[]) => T} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof (type ?? HTMLElement))) throw new Error(`no element #${id} of this kind`);
  return /** @type {T} */ (element);
}

/**
 * A new element. Attribute values are strings; children that are strings become text.
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Replace all children; if a button had the focus, the button at its index gets it.
 * @param {HTMLElement} parent
 * @param {...(Node | string)} children
 */
export function refill(parent, ...children) {
  const focused = [...parent.querySelectorAll("button")].findIndex((button) => button === document.activeElement);
  parent.replaceChildren(...children);
  if (focused >= 0) parent.querySelectorAll("button")[focused]?.focus();
}

/**
 * The closest ancestor of an event's target that matches, or the target itself.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function closest(event, selector) {
  const element = event.target instanceof Element ? event.target.closest(selector) : null;
  return element instanceof HTMLElement ? element : null;
}

/**
 * A time as minutes and seconds, rounded down: `clock(63.456)` is "01:03.45".
 * @param {number} seconds
 * @param {number} [decimals]
 */
export function clock(seconds, decimals = 2) {
  const minutes = Math.floor(seconds / 60 + 1e-9);
  const rest = Math.floor((seconds - 60 * minutes) * 10 ** decimals + 1e-6) / 10 ** decimals;
  return `${String(minutes).padStart(2, "0")}:${rest.toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0")}`;
}
