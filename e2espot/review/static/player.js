// The video, picture by picture. A picture is known by the media time the browser reports for it;
// to show one, the middle of its time is sought, so that no rounding reaches a neighbour.
import { lowerBound } from "/static/matching.js";

const EARLY_S = 2e-4; // browsers report media times in microseconds

export class Player {
  constructor(video) {
    this.video = video;
    this.picture = 0;
    this.listeners = [];
    this.loop = null;
    this.times = new Float64Array([0, 1]);
    this.frames = new Int32Array([0]);
    this.pictures = new Int32Array([0]);
    this.asked = null;
    this.wanted = null;
    this.sought = null;
    video.addEventListener("seeked", () => this.#arrived());
    video.addEventListener("play", () => this.#changed());
    video.addEventListener("pause", () => this.#paused());
    this.#watch();
  }

  /** Tables of the server: when each picture begins, the picture of each frame, the frame of each picture. */
  load(url, times, pictures, frames) {
    this.pause();
    Object.assign(this, { times, pictures, frames, picture: 0, asked: null, wanted: null, sought: null, loop: null });
    return new Promise((resolve, reject) => {
      const done = new AbortController();
      const settle = (how, value) => { done.abort(); how(value); };
      this.video.addEventListener("loadeddata", () => settle(resolve), { signal: done.signal });
      this.video.addEventListener("error", () => settle(reject, new Error(this.video.error?.message ?? "unknown")), { signal: done.signal });
      this.video.src = url;
    });
  }

  /** The frame asked for while its picture is on show, else the one that holds the picture's middle. */
  get frame() { return this.asked !== null && this.pictures[this.asked] === this.target ? this.asked : this.frames[this.target]; }
  get target() { return this.wanted ?? this.picture; }
  get playing() { return !this.video.paused; }

  pictureAt(seconds) {
    return Math.max(0, Math.min(this.frames.length - 1, lowerBound(this.times, seconds + EARLY_S) - 1));
  }

  middle(picture) { return (this.times[picture] + this.times[picture + 1]) / 2; }

  /** Show a picture; where several are asked for before one is there, only the last is sought. */
  show(picture) {
    this.wanted = Math.max(0, Math.min(this.frames.length - 1, picture));
    if (this.sought === null) this.#seek();
    this.#changed();
  }

  showFrame(frame) {
    this.asked = Math.max(0, Math.min(this.pictures.length - 1, frame));
    this.show(this.pictures[this.asked]);
  }

  step(count) {
    this.pause();
    this.asked = null;
    this.show(this.target + count);
  }

  skip(seconds) {
    const from = this.middle(this.target);
    this.asked = null;
    this.show(this.pictureAt(Math.max(0, from + seconds)));
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() { this.wanted = null; this.video.play().catch(() => {}); }

  pause() { if (this.playing) this.video.pause(); }

  /** Play from one frame to another, over and over. */
  repeat(first, last) {
    this.loop = [first, last];
    this.showFrame(first);
    this.video.play().catch(() => {});
  }

  #seek() {
    this.sought = this.wanted;
    this.video.currentTime = this.middle(this.sought);
  }

  #arrived() {
    if (this.sought === null) return;
    const there = this.sought;
    this.sought = null;
    if (this.wanted !== null && this.wanted !== there) { this.#seek(); return; }
    this.picture = there;
    this.wanted = null;
    this.#changed();
  }

  #paused() {
    // The clock may have run past the picture on show: stand on that picture.
    if (this.wanted === null) this.show(this.picture);
  }

  #watch() {
    const told = (_, data) => {
      if (this.sought === null) {
        this.picture = this.pictureAt(data.mediaTime);
        if (this.playing && this.loop && this.frames[this.picture] >= this.loop[1]) this.showFrame(this.loop[0]);
        this.#changed();
      } else {
        this.presented = this.pictureAt(data.mediaTime);
      }
      this.video.requestVideoFrameCallback(told);
    };
    this.video.requestVideoFrameCallback(told);
  }

  #changed() { for (const listener of this.listeners) listener(); }
}
