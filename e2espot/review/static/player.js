// The video, picture by picture. Which picture is on screen is known from the media time that the browser
// reports. To show a picture, the player seeks to the middle of its time, so that no rounding reaches a neighbour.
import { lowerBound } from "/static/matching.js";

const MEDIA_TIME_TOLERANCE_S = 2e-4; // browsers report media times in microseconds

/** The browser cannot play a video. */
export class PlaybackError extends Error {}

export class Player {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    /** @type {(() => void)[]} */
    this.listeners = [];
    this.times = new Float64Array([0, 1]); // seconds at which each picture begins, then the end of the last
    this.frames = new Int32Array([0]); // the frame of each picture
    this.pictures = new Int32Array([0]); // the picture of each frame
    this.picture = 0; // on screen
    /** @type {number | null} */
    this.requested = null; // picture to show
    /** @type {number | null} */
    this.seeking = null; // picture that the browser is seeking; may be older than `requested`
    /** @type {number | null} */
    this.requestedFrame = null;
    /** @type {[number, number] | null} */
    this.loop = null; // first and last frame
    video.addEventListener("seeked", () => this.#onSeeked());
    video.addEventListener("play", () => this.#changed());
    video.addEventListener("pause", () => this.#onPause());
    this.#watch();
  }

  /**
   * Load a video and its tables.
   * @param {string} url
   * @param {Float64Array} times
   * @param {Int32Array} pictures
   * @param {Int32Array} frames
   * @returns {Promise<void>}
   */
  load(url, times, pictures, frames) {
    this.pause();
    const cleared = { picture: 0, requested: null, seeking: null, requestedFrame: null, loop: null };
    Object.assign(this, { times, pictures, frames, ...cleared });
    return new Promise((resolve, reject) => {
      const settled = new AbortController();
      const { signal } = settled;
      this.video.addEventListener("loadeddata", () => {
        settled.abort();
        resolve();
      }, { signal });
      this.video.addEventListener("error", () => {
        settled.abort();
        reject(new PlaybackError(this.video.error?.message ?? "unknown error"));
      }, { signal });
      this.video.src = url;
    });
  }

  /** The frame that was asked for while its picture is shown, else the frame that contains the picture's middle. */
  get frame() {
    const exact = this.requestedFrame !== null && this.pictures[this.requestedFrame] === this.target;
    return exact ? /** @type {number} */ (this.requestedFrame) : this.frames[this.target];
  }

  /** The picture on screen, or the one that soon will be. */
  get target() { return this.requested ?? this.picture; }

  get playing() { return !this.video.paused; }

  /** @param {number} seconds */
  pictureAt(seconds) {
    return this.#clamp(lowerBound(this.times, seconds + MEDIA_TIME_TOLERANCE_S) - 1);
  }

  /** @param {number} picture */
  middleOf(picture) { return (this.times[picture] + this.times[picture + 1]) / 2; }

  /**
   * Show a picture. If several are requested before the browser has found one, only the last is sought.
   * @param {number} picture
   */
  show(picture) {
    this.requested = this.#clamp(picture);
    if (this.seeking === null) this.#seek();
    this.#changed();
  }

  /** @param {number} frame */
  showFrame(frame) {
    this.requestedFrame = Math.max(0, Math.min(this.pictures.length - 1, frame));
    this.show(this.pictures[this.requestedFrame]);
  }

  /** @param {number} numPictures */
  step(numPictures) {
    this.pause();
    this.requestedFrame = null;
    this.show(this.target + numPictures);
  }

  /** @param {number} seconds */
  skip(seconds) {
    const from = this.middleOf(this.target);
    this.requestedFrame = null;
    this.show(this.pictureAt(Math.max(0, from + seconds)));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.requested = null;
    this.video.play().catch(() => {}); // refused by the browser, or paused again before it began
  }

  pause() {
    if (this.playing) this.video.pause();
  }

  /**
   * Play from one frame to another, again and again.
   * @param {number} first
   * @param {number} last
   */
  repeat(first, last) {
    this.loop = [first, last];
    this.showFrame(first);
    this.video.play().catch(() => {});
  }

  /** @param {number} picture */
  #clamp(picture) { return Math.max(0, Math.min(this.frames.length - 1, picture)); }

  #seek() {
    this.seeking = this.requested;
    if (this.seeking !== null) this.video.currentTime = this.middleOf(this.seeking);
  }

  #onSeeked() {
    if (this.seeking === null) return;
    const reached = this.seeking;
    this.seeking = null;
    if (this.requested !== null && this.requested !== reached) {
      this.#seek();
      return;
    }
    this.picture = reached;
    this.requested = null;
    this.#changed();
  }

  #onPause() {
    // The clock may be past the picture on screen: go back to that picture.
    if (this.requested === null) this.show(this.picture);
  }

  #watch() {
    /** @type {VideoFrameRequestCallback} */
    const onPicture = (_, metadata) => {
      if (this.seeking === null) {
        this.picture = this.pictureAt(metadata.mediaTime);
        const looped = this.playing && this.loop !== null && this.frames[this.picture] >= this.loop[1];
        if (looped && this.loop) this.showFrame(this.loop[0]);
        this.#changed();
      }
      this.video.requestVideoFrameCallback(onPicture);
    };
    this.video.requestVideoFrameCallback(onPicture);
  }

  #changed() {
    for (const listener of this.listeners) listener();
  }
}
