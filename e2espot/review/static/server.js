// The connection to the server: reading, sending changes, and receiving the changes of all tabs.

/**
 * @typedef {object} Session Games, videos, classes and settings of the review.
 * @property {{name: string, target: string}[]} games
 * @property {{game: number, half: number, name: string, scores: boolean}[]} videos
 * @property {string[]} classes
 * @property {number} fps frames per second of the grid
 * @property {"uncertain" | "disagree" | null} queue
 * @property {number} threshold
 */
/** @typedef {import("./player.js").MediaFile} MediaFile */
/**
 * @typedef {object} VideoData One video; predictions are columns, their classes indexes into `names`.
 * @property {number} half
 * @property {number} num_frames
 * @property {MediaFile[]} files
 * @property {number} fragment_pictures pictures of a fragment of an encoded file
 * @property {string[]} names
 * @property {{frame: number[], name: number[], score: number[]}} predictions
 * @property {{classes: string[], fps: number} | null} scores
 */
/** @typedef {{id: number, half: number, frame: number, label: string}} LabelData */
/** @typedef {Record<string, [number, number][]>} AnnotatedHalves half -> annotated stretches, ms; full if not listed */
/**
 * @typedef {object} Snapshot All labels and verdicts of a game.
 * @property {number} revision
 * @property {LabelData[]} labels
 * @property {Record<string, string>} verdicts
 * @property {number} hidden number of rows that cannot be shown
 * @property {AnnotatedHalves} annotated
 */
/**
 * @typedef {{kind: "label", key: string, after: LabelData | null}
 *   | {kind: "verdict", key: string, after: string | null}
 *   | {kind: "field", key: string, after: AnnotatedHalves}} Change
 */
/**
 * @typedef {object} Update Changes that were made together.
 * @property {number} revision
 * @property {Change[]} changes
 * @property {string} name description for the user
 * @property {string} tab
 */
/** @typedef {Update & {game: number, reload?: boolean}} GameUpdate */
/**
 * @typedef {object} ChangeRequest
 * @property {string} kind
 * @property {number} [id]
 * @property {number} [frame]
 * @property {string} [label]
 * @property {number} [of_frame]
 * @property {string} [of_label]
 * @property {string} [shift]
 * @property {string} [rate]
 * @property {number} [to_frame]
 * @property {boolean} [complete]
 */
/**
 * @typedef {object} Question
 * @property {number} video
 * @property {number} frame
 * @property {string} label
 * @property {number} score
 * @property {"prediction" | "label"} kind
 */
/** @typedef {"ready" | "saved" | "disconnected" | "retrying"} SaveState */

const RETRY_MS = 700;

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function fetchJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await errorText(response));
  return response.json();
}

/** @param {string} path */
export async function fetchBytes(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await errorText(response));
  return response.arrayBuffer();
}

/**
 * @param {Response} response
 * @returns {Promise<string>}
 */
async function errorText(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text || `the server answered ${response.status}`;
  }
}

/** The server refused a change; nothing was changed. */
export class RefusedError extends Error {}

/** The id of this tab. It survives a reload, so that the tab's earlier changes can still be undone. */
function tabId() {
  const makeId = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  try {
    const id = sessionStorage.getItem("e2espot-tab") ?? makeId();
    sessionStorage.setItem("e2espot-tab", id);
    return id;
  } catch {
    return makeId(); // storage may be switched off
  }
}

export class Changes {
  /**
   * @param {(update: GameUpdate) => void} onChange called with every change, those of this tab included
   * @param {() => void} onConnected called when the event stream is open: changes may have been missed
   * @param {(state: SaveState) => void} onState
   */
  constructor(onChange, onConnected, onState) {
    this.tab = tabId();
    this.onChange = onChange;
    this.onConnected = onConnected;
    this.onState = onState;
    this.offline = false; // a decision was sent and the server does not answer
    this.numSent = 0;
    /** @type {EventSource | null} */
    this.source = null;
    this.#listen();
    // Browsers open few connections to one server, so hidden tabs close theirs.
    document.addEventListener("visibilitychange", () => this.#listen());
  }

  #listen() {
    if (document.hidden) {
      this.source?.close();
      this.source = null;
      return;
    }
    if (this.source) return;
    this.source = new EventSource(`/api/changes/${this.tab}`);
    this.source.addEventListener("message", (event) => this.onChange(JSON.parse(event.data)));
    this.source.addEventListener("open", () => this.onConnected());
    this.source.addEventListener("error", () => this.onState("disconnected"));
  }

  /**
   * Send a change and wait until it is on disk. While the server does not answer, the change is sent again and
   * again; its operation id makes sure that it is applied once.
   * @param {number} game
   * @param {ChangeRequest & {seen: number, half: number}} request
   * @returns {Promise<Update>}
   */
  async send(game, request) {
    const op = `${this.tab}-${Date.now()}-${this.numSent++}`;
    const body = JSON.stringify({ tab: this.tab, op, ...request });
    const options = { method: "POST", body, headers: { "content-type": "application/json" } };
    try {
      for (;;) {
        let response;
        try {
          response = await fetch(`/api/games/${game}/change`, options);
        } catch {
          this.offline = true;
          this.onState("retrying");
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          continue;
        }
        this.offline = false;
        if (!response.ok) throw new RefusedError(await errorText(response));
        this.onState("saved");
        return await response.json();
      }
    } finally {
      this.offline = false;
    }
  }
}
