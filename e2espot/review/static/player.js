// The video, picture by picture. Which picture is on screen is known from the media time that the browser
// reports when it has painted one. "seeked" comes earlier on a busy machine: until the paint, the picture of the
// previous seek is on screen, and the player is not settled.
import { lowerBound } from "/static/matching.js";
import { FragmentFeed } from "/static/fragments.js";

const MEDIA_TIME_TOLERANCE_S = 2e-4; // browsers report media times in microseconds
const MAX_SEEK_ERROR_S = 0.5; // farther off, the browser has not found the picture
const SEEK_TIMEOUT_MS = 10_000;
const SAME_POSITION_S = 1e-5; // browsers round positions to microseconds

// Where in the time of a picture the browser is sent: late, since it judges where the previous picture ends by
// durations that are wrong at a variable rate, but before the middle: it rounds to ticks of the file, of which the
// picture may have one only.
const SEEK_SHARE = 0.45;
const RETRY_SHARE = 0.48; // a seek to where it already is would paint nothing
const LATE_SHARE = 0.9; // where it shows the previous picture all the same
const EARLY_SHARE = 0.1; // or the next one
const MAX_MISSES = 2;

/** The browser cannot play a video. */
export class PlaybackError extends Error {}

/**
 * A match may have several files; times run on from one to the next. The browser has one of them open.
 * An encoded one is opened in fragments, since the browser cannot play the file itself.
 * @typedef {{name: string, first: number, start_s: number, encoded: boolean}} MediaFile number of its first picture,
 *   and when that begins
 */

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
    this.seekBegan_ms = 0; // clock of the page; what was painted before says nothing about this seek
    /** @type {number | null} */
    this.painted = null; // picture that the browser has painted since
    this.numMisses = 0; // times that another picture was painted than the requested one
    /** @type {number | null} */
    this.requestedFrame = null;
    /** @type {[number, number] | null} */
    this.loop = null; // first and last frame
    this.url = "";
    /** @type {MediaFile[]} */
    this.files = [{ name: "", first: 0, start_s: 0, encoded: false }];
    this.fragmentPictures = 1; // pictures of a fragment
    /** @type {FragmentFeed | null} */
    this.feed = null; // of the open file, if it is encoded
    this.file = 0; // the one that the browser has open
    this.opening = false; // another file
    this.failed = false; // the browser has given up, and shows nothing until a file is opened
    this.resume = false; // play once the picture is on screen
    this.runs = false; // was played and not paused since; the end of a file is also reached by seeking to it
    this.seekTimer = 0;
    /** Called with a picture that is not shown, and what the browser says, or null once a picture is shown again.
     * @type {(picture: number, reason: string | null) => void} */
    this.onTrouble = () => {};
    /** Called if the browser cannot play the video that is being loaded.
     * @type {((reason: string) => void) | null} */
    this.onLoadError = null;
    video.addEventListener("seeked", () => this.#onSeeked());
    video.addEventListener("play", () => this.#changed());
    video.addEventListener("pause", () => this.#onPause());
    video.addEventListener("ended", () => this.#onEnded());
    video.addEventListener("error", () => this.#onError(this.#reason()));
    video.addEventListener("loadeddata", () => this.#onLoaded());
    this.#watch();
  }

  /**
   * Load a video and its tables.
   * @param {string} url of its files, without their number
   * @param {MediaFile[]} files
   * @param {number} fragmentPictures
   * @param {Float64Array} times
   * @param {Int32Array} pictures
   * @param {Int32Array} frames
   * @returns {Promise<void>}
   */
  load(url, files, fragmentPictures, times, pictures, frames) {
    this.pause();
    clearTimeout(this.seekTimer);
    const cleared = { picture: 0, requested: null, seeking: null, requestedFrame: null, loop: null, numMisses: 0 };
    Object.assign(this, { url, files, fragmentPictures, times, pictures, frames }, cleared);
    Object.assign(this, { file: 0, opening: false, failed: false });
    return new Promise((resolve, reject) => {
      const settled = new AbortController();
      const { signal } = settled;
      this.video.addEventListener("loadeddata", () => {
        settled.abort();
        this.onLoadError = null;
        resolve();
      }, { signal });
      this.onLoadError = (reason) => {
        settled.abort();
        this.onLoadError = null;
        reject(new PlaybackError(reason));
      };
      this.#open(0, 0);
    });
  }

  /**
   * Give the browser a file.
   * @param {number} file
   * @param {number} picture that is shown first
   */
  #open(file, picture) {
    this.feed?.close();
    this.feed = null;
    if (!this.files[file].encoded) {
      this.video.src = `${this.url}/${file}`;
      return;
    }
    const { first, start_s } = this.files[file];
    const end = this.files[file + 1]?.first ?? this.frames.length;
    const starts = [];
    for (let start = first; start < end; start += this.fragmentPictures) starts.push(this.times[start] - start_s);
    starts.push(this.times[end] - start_s);
    this.feed = new FragmentFeed(
      this.video, `${this.url}/${file}/fragment`, starts, this.#positionOf(picture),
      (reason) => this.#onError(reason),
    );
  }

  /** Open the file of a picture again after an error, and show the picture.
   * @param {number} picture */
  reopen(picture) {
    this.requested = this.seeking = this.#clamp(picture);
    this.numMisses = 0;
    this.#openFile(this.fileOf(this.requested));
  }

  /** The frame that was asked for while its picture is shown, else the frame that contains the picture's middle. */
  get frame() {
    const exact = this.requestedFrame !== null && this.pictures[this.requestedFrame] === this.target;
    return exact ? /** @type {number} */ (this.requestedFrame) : this.frames[this.target];
  }

  /** The picture on screen, or the one that soon will be. */
  get target() { return this.requested ?? this.picture; }

  /** Whether the picture on screen is the requested one. */
  get settled() { return this.requested === null && this.seeking === null; }

  get playing() { return !this.video.paused || this.resume; }

  /** @param {number} seconds from the start of the first file */
  pictureAt(seconds) {
    return this.#clamp(lowerBound(this.times, seconds + MEDIA_TIME_TOLERANCE_S) - 1);
  }

  /** Seconds from the start of the first file.
   * @param {number} picture */
  middleOf(picture) { return (this.times[picture] + this.times[picture + 1]) / 2; }

  /**
   * Seconds of its file at which the browser is to show a picture.
   * @param {number} picture
   * @param {number} [share] of its time that is over then
   */
  #positionOf(picture, share = SEEK_SHARE) {
    const file = this.files[this.fileOf(picture)];
    const begins_s = this.times[picture];
    let length_s = this.times[picture + 1] - begins_s;
    // The last picture of a file may be held until the next one begins, longer than the file itself lasts.
    if (this.fileOf(picture + 1) > this.fileOf(picture) && picture > file.first) {
      length_s = Math.min(length_s, begins_s - this.times[picture - 1]);
    }
    return begins_s + share * length_s - file.start_s;
  }

  /**
   * Show a picture. If several are requested before the browser has found one, only the last is sought.
   * @param {number} picture
   */
  show(picture) {
    this.requested = this.#clamp(picture);
    this.numMisses = 0;
    if (this.failed) this.reopen(this.requested);
    else if (this.seeking === null && !this.opening) this.#seek();
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
    if (this.opening) {
      this.resume = true;
      return;
    }
    this.requested = null;
    this.#play();
  }

  pause() {
    this.resume = this.runs = false;
    if (!this.video.paused) this.video.pause();
  }

  /**
   * Play from one frame to another, again and again.
   * @param {number} first
   * @param {number} last
   */
  repeat(first, last) {
    this.loop = [first, last];
    this.showFrame(first);
    if (this.opening) this.resume = true;
    else this.#play();
  }

  #play() {
    this.runs = true;
    this.video.play().catch(() => {}); // refused by the browser, or paused again before it began
  }

  /** @param {number} picture */
  #clamp(picture) { return Math.max(0, Math.min(this.frames.length - 1, picture)); }

  /** @param {number} picture */
  fileOf(picture) { return Math.max(0, this.files.findLastIndex((file) => file.first <= picture)); }

  #reason() { return this.video.error?.message || "unknown error"; }

  /** @param {number} [share] see `#positionOf` */
  #seek(share) {
    this.seeking = this.requested;
    if (this.seeking === null) return;
    const file = this.fileOf(this.seeking);
    if (file !== this.file) {
      this.resume = this.playing;
      this.#openFile(file);
      return;
    }
    const before_s = this.video.currentTime, now_ms = performance.now(); // it may paint before this function ends
    // Chromium goes on to the end of a file once it has painted the last picture, and does not paint it again.
    const isThere = this.video.ended && this.painted === this.seeking;
    this.video.currentTime = this.#positionOf(this.seeking, share);
    // Where the browser already is, it paints nothing more; it never goes beyond the end.
    if (!isThere && Math.abs(this.video.currentTime - before_s) > SAME_POSITION_S) this.#forget(now_ms);
    this.#startTimer();
  }

  /**
   * Forget what was painted so far.
   * @param {number} now_ms
   */
  #forget(now_ms) {
    this.painted = null;
    this.seekBegan_ms = now_ms;
  }

  /** @param {number} file */
  #openFile(file) {
    this.file = file;
    this.opening = true;
    this.failed = false;
    this.#forget(performance.now());
    this.#startTimer();
    this.#open(file, this.seeking ?? this.files[file].first); // which pauses
  }

  #onLoaded() {
    if (!this.opening) return;
    this.opening = false;
    this.requested ??= this.seeking;
    this.#seek();
  }

  #startTimer() {
    clearTimeout(this.seekTimer);
    this.seekTimer = window.setTimeout(() => this.#onSlow(), SEEK_TIMEOUT_MS);
  }

  #onSlow() {
    if (this.seeking !== null) this.onTrouble(this.seeking, "it has been looking for it for 10 seconds");
    else if (this.requested !== null && !document.hidden) {
      this.onTrouble(this.requested, "it has not painted it for 10 seconds");
      this.#seek(RETRY_SHARE); // a busy browser may drop a picture, and then paints nothing more by itself
    }
  }

  /** @param {string} reason */
  #onError(reason) {
    clearTimeout(this.seekTimer);
    this.feed?.close();
    this.feed = null;
    // Chromium names the packet at which it stopped, in microseconds of the file.
    const stopped = /timestamp=(\d+)/.exec(reason);
    const picture = stopped ? this.pictureAt(Number(stopped[1]) / 1e6 + this.files[this.file].start_s) : 0;
    const wanted = Math.max(picture, this.seeking ?? this.picture);
    this.picture = this.requested ?? this.seeking ?? this.picture; // so that keys move on from what was asked for
    this.failed = true;
    this.opening = this.resume = false;
    this.requested = this.seeking = null;
    if (this.onLoadError) this.onLoadError(reason);
    else this.onTrouble(wanted, reason);
    this.#changed();
  }

  #onEnded() {
    const goesOn = this.runs && this.file + 1 < this.files.length;
    this.runs = goesOn;
    if (!goesOn) return;
    this.resume = true;
    this.show(this.files[this.file + 1].first);
  }

  #onSeeked() {
    if (this.seeking === null || this.opening) return;
    const reached = this.seeking;
    this.seeking = null;
    if (this.requested !== null && this.requested !== reached) this.#seek();
    else if (this.requested === null || this.playing) this.#settle(reached, reached);
    else if (this.painted !== null) this.#onPainted(this.painted); // which may come first
    else this.#startTimer();
  }

  /**
   * The browser has painted a picture.
   * @param {number} picture
   */
  #onPainted(picture) {
    this.painted = picture;
    if (this.seeking !== null) return;
    const { requested } = this;
    if (requested === null) {
      this.picture = picture;
      const looped = this.playing && this.loop !== null && this.frames[picture] >= this.loop[1];
      if (looped && this.loop) this.showFrame(this.loop[0]);
      this.#changed();
    } else if (picture === requested || this.numMisses === MAX_MISSES) this.#settle(requested, picture);
    else {
      // Painted late, of an earlier seek: of those nothing can be left after another seek. Else the browser missed it.
      this.numMisses += 1;
      if (this.numMisses < MAX_MISSES) this.#seek(RETRY_SHARE);
      else this.#seek(picture < requested ? LATE_SHARE : EARLY_SHARE);
    }
  }

  /**
   * End a seek.
   * @param {number} wanted picture
   * @param {number} shown the one in its place on screen
   */
  #settle(wanted, shown) {
    clearTimeout(this.seekTimer);
    this.picture = shown;
    this.requested = null;
    const missed_s = this.#positionOf(wanted) - this.video.currentTime;
    if (missed_s > MAX_SEEK_ERROR_S) this.onTrouble(wanted, `it stops ${missed_s.toFixed(1)} s before`);
    else this.onTrouble(wanted, shown === wanted ? null : `it shows picture ${shown} in its place`);
    if (this.resume) {
      this.resume = false;
      this.#play();
    }
    this.#changed();
  }

  #onPause() {
    // The clock may be past the picture on screen: go back to that picture.
    if (this.requested === null && !this.video.error && !this.opening) this.show(this.picture);
  }

  #watch() {
    /** @type {VideoFrameRequestCallback} */
    const onPaint = (_, { mediaTime, presentationTime }) => {
      if (presentationTime >= this.seekBegan_ms) this.#onPainted(this.#pictureOnScreen(mediaTime));
      this.video.requestVideoFrameCallback(onPaint);
    };
    this.video.requestVideoFrameCallback(onPaint);
    document.addEventListener("visibilitychange", () => {
      // A hidden page is not painted.
      if (!document.hidden && this.requested !== null && this.seeking === null && !this.opening) this.#seek();
    });
  }

  /** @param {number} mediaTime seconds from the start of the open file */
  #pictureOnScreen(mediaTime) {
    const { first, start_s } = this.files[this.file];
    const end = this.files[this.file + 1]?.first ?? this.frames.length;
    return Math.max(first, Math.min(end - 1, this.pictureAt(mediaTime + start_s)));
  }

  #changed() {
    for (const listener of this.listeners) listener();
  }
}
