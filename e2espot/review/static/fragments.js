// Feeds the browser a file that it cannot play itself: the server decodes the pictures and encodes them again, in
// fragments that are asked for around the position on show.
import { lowerBound } from "/static/matching.js";

const TYPE = 'video/mp4; codecs="avc1.42C028"';
const NUM_AHEAD = 3; // fragments asked for before they are shown
const MAX_LOADED = 40;
const TOLERANCE_S = 2e-4; // browsers round times to microseconds, the encoder to ticks of 1/90000 s
const STALL_S = 0.1; // how far before a missing fragment the browser stops

export class FragmentFeed {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} url of the fragments, without their number
   * @param {number[]} starts seconds of the file at which each fragment begins, then the end of the last
   * @param {number} position seconds of the file that are shown first
   * @param {(reason: string) => void} onFailure called if a fragment that is to be shown cannot be had
   */
  constructor(video, url, starts, position, onFailure) {
    this.video = video;
    this.url = url;
    this.starts = starts;
    this.onFailure = onFailure;
    /** @type {Set<number>} */
    this.loaded = new Set();
    /** @type {Map<number, string>} */
    this.failures = new Map(); // fragments that cannot be had, and why
    /** @type {number | null} */
    this.fetching = null;
    this.fetch = new AbortController();
    this.isBusy = false;
    this.closed = new AbortController();
    const { signal } = this.closed;
    this.source = new MediaSource();
    /** @type {SourceBuffer | null} */
    this.buffer = null;
    this.source.addEventListener("sourceopen", () => this.#onOpen(), { once: true, signal });
    for (const name of ["seeking", "timeupdate"]) video.addEventListener(name, () => this.#advance(), { signal });
    video.addEventListener("waiting", () => this.#onWaiting(), { signal });
    this.address = URL.createObjectURL(this.source);
    video.src = this.address;
    video.currentTime = position; // where it begins
  }

  close() {
    this.closed.abort();
    this.fetch.abort();
    URL.revokeObjectURL(this.address);
  }

  get #isClosed() { return this.closed.signal.aborted; }

  get #count() { return this.starts.length - 1; }

  #onOpen() {
    this.buffer = this.source.addSourceBuffer(TYPE);
    this.source.duration = this.starts[this.#count];
    this.#advance();
  }

  #onWaiting() {
    this.#advance();
    this.#checkFailure(this.#fragmentAt(this.video.currentTime + STALL_S));
  }

  /** @param {number} position in seconds */
  #fragmentAt(position) {
    return Math.max(0, Math.min(this.#count - 1, lowerBound(this.starts, position + TOLERANCE_S) - 1));
  }

  /** Fragments to load, the most urgent first. */
  #window() {
    const current = this.#fragmentAt(this.video.currentTime);
    const offsets = [0, 1, -1];
    for (let ahead = 2; ahead <= NUM_AHEAD; ahead += 1) offsets.push(ahead);
    return offsets.map((offset) => current + offset).filter((fragment) => fragment >= 0 && fragment < this.#count);
  }

  /** @param {number} fragment */
  #checkFailure(fragment) {
    const reason = this.failures.get(fragment);
    if (reason === undefined || this.#isClosed) return;
    this.failures.delete(fragment); // tried again if it is asked for again
    this.onFailure(reason);
  }

  async #advance() {
    if (this.isBusy) {
      if (this.fetching !== null && !this.#window().includes(this.fetching)) this.fetch.abort();
      return;
    }
    this.isBusy = true;
    while (!this.#isClosed) {
      this.#checkFailure(this.#fragmentAt(this.video.currentTime));
      const next = this.#window().find((fragment) => !this.loaded.has(fragment) && !this.failures.has(fragment));
      if (next === undefined) break;
      await this.#add(next);
    }
    this.isBusy = false;
  }

  /** @param {number} fragment */
  async #add(fragment) {
    this.fetching = fragment;
    this.fetch = new AbortController();
    const { signal } = this.fetch;
    try {
      const response = await fetch(`${this.url}/${fragment}`, { signal });
      if (!response.ok) throw new Error(await response.text());
      const bytes = await response.arrayBuffer();
      this.fetching = null; // too late to abort
      if (!this.#isClosed) await this.#append(fragment, bytes);
    } catch (error) {
      if (!signal.aborted) this.failures.set(fragment, /** @type {Error} */ (error).message);
    }
    this.fetching = null;
  }

  /**
   * @param {number} fragment
   * @param {ArrayBuffer} bytes
   */
  async #append(fragment, bytes) {
    const { buffer } = this;
    if (buffer === null) return;
    await this.#makeRoom(buffer, fragment);
    buffer.timestampOffset = this.starts[fragment];
    await this.#done(buffer, () => buffer.appendBuffer(bytes));
    this.loaded.add(fragment);
    // Without the end being declared, the browser waits at the last picture for more.
    if (this.loaded.has(this.#count - 1) && this.source.readyState === "open") this.source.endOfStream();
  }

  /**
   * Remove the fragments farthest from one that is to be added.
   * @param {SourceBuffer} buffer
   * @param {number} fragment
   */
  async #makeRoom(buffer, fragment) {
    while (this.loaded.size >= MAX_LOADED && !this.#isClosed) {
      const farthest = [...this.loaded].reduce((far, other) =>
        (Math.abs(other - fragment) > Math.abs(far - fragment) ? other : far));
      this.loaded.delete(farthest);
      const [start, end] = this.starts.slice(farthest, farthest + 2);
      await this.#done(buffer, () => buffer.remove(Math.max(0, start - TOLERANCE_S), end - TOLERANCE_S));
    }
  }

  /**
   * Wait until the buffer has done something.
   * @param {SourceBuffer} buffer
   * @param {() => void} begin
   */
  #done(buffer, begin) {
    return new Promise((resolve) => {
      buffer.addEventListener("updateend", resolve, { once: true });
      begin();
    });
  }
}
