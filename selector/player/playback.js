// Two video elements, one seen: a move loads the new source in the hidden one, lets both
// meet at the same position, and changes places. Knows nothing of edges or of the API.
//
// Chromium's own HLS never retries: the first failed segment is a fatal error, seconds
// before the buffer is empty. A server that accepts and says nothing gives no error at
// all, and `stalled` also fires when nothing is wrong; so a watchdog looks at the clock.

const HLS = "application/vnd.apple.mpegurl";
const WATCH_MS = 500;
const FROZEN_MS = 4000;
const LOAD_MS = 10000;
const MEET_MS = 3000;
const LEAD_S = 0.8;

export class Playback extends EventTarget {
  #stage;
  #active;
  #spare;
  #wanted = false;
  #work = null;
  #stop = null;
  #seen = { position: 0, at: 0, decoded: 0, mark: 0 };
  #bitrate = null;

  /** @param {HTMLElement} stage holds exactly two video elements. */
  constructor(stage) {
    super();
    this.#stage = stage;
    [this.#active, this.#spare] = stage.querySelectorAll("video");
    for (const video of [this.#active, this.#spare]) this.#listen(video);
    setInterval(() => this.#watch(), WATCH_MS);
  }

  static supported() {
    return document.createElement("video").canPlayType(HLS) !== "";
  }

  get source() {
    return this.#active.currentSrc || this.#active.src;
  }

  get moving() {
    return this.#work !== null;
  }

  set repeat(on) {
    this.#active.loop = on;
    this.#spare.loop = on;
  }

  /** Plays a source from its start, in place of what was there. */
  async open(url) {
    this.#wanted = true;
    await this.#hold((stop) => this.#inPlace(url, 0, stop));
  }

  /** Goes on from another source at the same position. Throws when that source does not play. */
  async moveTo(url) {
    await this.#hold((stop) => {
      const shown = this.#active;
      const pinned = document.fullscreenElement === shown || document.pictureInPictureElement === shown;
      // A video that fills the screen cannot change places with another one.
      return pinned ? this.#inPlace(url, shown.currentTime, stop) : this.#besides(url, stop);
    });
  }

  /** What is to be seen now: seconds, pixels, bits per second. */
  stats() {
    const video = this.#active;
    return {
      position: video.currentTime,
      buffer: buffered(video),
      width: video.videoWidth,
      height: video.videoHeight,
      loaded: video.readyState >= HTMLMediaElement.HAVE_METADATA,
      playing: !video.paused && !video.ended && video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA,
      paused: video.paused,
      ended: video.ended,
      failed: video.error !== null,
      bitrate: this.#bitrate,
    };
  }

  // One change of source at a time; a newer one ends the older.
  async #hold(change) {
    this.#stop?.abort(new Error("was replaced"));
    await this.#work?.catch(() => {});
    const stop = new AbortController();
    const work = change(stop.signal);
    this.#stop = stop;
    this.#work = work;
    try {
      await work;
    } finally {
      if (this.#work === work) this.#work = null;
      this.#seen = { position: -1, at: performance.now(), decoded: 0, mark: 0 };
      this.#bitrate = null;
    }
  }

  async #inPlace(url, position, stop) {
    const video = this.#active;
    video.controls = true;
    video.src = url;
    await reached(video, HTMLMediaElement.HAVE_METADATA, stop);
    if (position > 0) video.currentTime = position;
    await reached(video, HTMLMediaElement.HAVE_FUTURE_DATA, stop);
    if (this.#wanted) await start(video);
  }

  async #besides(url, stop) {
    const from = this.#active;
    const to = this.#spare;
    try {
      to.muted = true;
      to.src = url;
      await reached(to, HTMLMediaElement.HAVE_METADATA, stop);
      await this.#meet(from, to, stop);
    } catch (reason) {
      empty(to);
      throw reason;
    }
    to.volume = from.volume;
    to.playbackRate = from.playbackRate;
    to.muted = from.muted;
    if (this.#wanted) await start(to);
    this.#changePlaces();
    empty(from);
  }

  // The new source is made ready a little ahead of the old one, which then plays up to it.
  async #meet(from, to, stop) {
    const alive = this.#wanted && !from.error && from.readyState > HTMLMediaElement.HAVE_CURRENT_DATA;
    const end = Number.isFinite(to.duration) ? to.duration - 0.1 : Infinity;
    to.currentTime = Math.min(from.currentTime + (alive ? LEAD_S : 0), end);
    await reached(to, HTMLMediaElement.HAVE_FUTURE_DATA, stop);
    if (!alive) return;
    const until = performance.now() + MEET_MS;
    while (from.currentTime < to.currentTime && !from.ended && !from.error && performance.now() < until) {
      stop.throwIfAborted();
      await sleep(15);
    }
    // Loading took longer than the lead: jump within what is buffered already.
    if (Math.abs(from.currentTime - to.currentTime) > 0.3) {
      to.currentTime = from.currentTime;
      await reached(to, HTMLMediaElement.HAVE_FUTURE_DATA, stop);
    }
  }

  #changePlaces() {
    [this.#active, this.#spare] = [this.#spare, this.#active];
    const [shown, gone] = [this.#active, this.#spare];
    shown.classList.add("active");
    shown.controls = true;
    shown.setAttribute("aria-label", "Asset being played");
    shown.removeAttribute("aria-hidden");
    shown.removeAttribute("tabindex");
    const focused = document.activeElement === gone;
    gone.classList.remove("active");
    gone.controls = false;
    gone.removeAttribute("aria-label");
    gone.setAttribute("aria-hidden", "true");
    gone.setAttribute("tabindex", "-1");
    if (focused) shown.focus();
  }

  #listen(video) {
    const shown = (act) => () => video === this.#active && act();
    video.addEventListener("play", shown(() => { this.#wanted = true; }));
    // An error and the end pause too; only the viewer's own pause is a wish.
    video.addEventListener("pause", shown(() => {
      if (!video.error && !video.ended && !this.moving) this.#wanted = false;
    }));
    video.addEventListener("error", shown(() => {
      if (!this.moving) this.#trouble("fails");
    }));
  }

  #watch() {
    if (this.moving) return;
    const video = this.#active;
    const now = performance.now();
    const moved = video.currentTime !== this.#seen.position;
    const idle = !this.#wanted || video.ended || video.paused || video.error;
    if (moved || idle) {
      this.#seen.position = video.currentTime;
      this.#seen.at = now;
    } else if (now - this.#seen.at > FROZEN_MS && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) {
      this.#seen.at = now;
      this.#trouble("sends nothing");
    }
    this.#measure(video, now);
  }

  // Bits decoded per second of play; WebKit and Chromium count them, others do not.
  #measure(video, now) {
    const decoded = (video.webkitVideoDecodedByteCount ?? 0) + (video.webkitAudioDecodedByteCount ?? 0);
    const since = (now - this.#seen.mark) / 1000;
    if (since < 2) return;
    const grown = decoded - this.#seen.decoded;
    if (this.#seen.mark > 0 && this.#seen.decoded > 0 && grown > 0 && !video.paused) {
      this.#bitrate = (grown * 8) / since;
    }
    this.#seen.decoded = decoded;
    this.#seen.mark = now;
  }

  #trouble(words) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: words }));
  }
}

async function start(video) {
  try {
    await video.play();
  } catch (reason) {
    // Without a click on the page, browsers let only silent videos begin.
    if (reason.name !== "NotAllowedError" || video.muted) throw reason;
    video.muted = true;
    await video.play();
  }
}

function empty(video) {
  video.pause();
  video.removeAttribute("src");
  video.load();
}

function buffered(video) {
  const { buffered: ranges, currentTime } = video;
  for (let i = 0; i < ranges.length; i += 1) {
    if (ranges.start(i) <= currentTime + 0.1 && currentTime <= ranges.end(i)) return ranges.end(i) - currentTime;
  }
  return 0;
}

// Waits until the video has that much at its position.
function reached(video, state, stop) {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const end = (settle, value) => {
      done.abort();
      clearTimeout(timer);
      settle(value);
    };
    const look = () => video.readyState >= state && !video.seeking && end(resolve);
    const fail = (reason) => end(reject, reason);
    const timer = setTimeout(() => fail(new Error("does not answer in time")), LOAD_MS);
    const options = { signal: done.signal };
    for (const event of ["loadedmetadata", "canplay", "seeked"]) video.addEventListener(event, look, options);
    video.addEventListener("error", () => fail(new Error("cannot be read")), options);
    stop.addEventListener("abort", () => fail(stop.reason), options);
    if (stop.aborted) fail(stop.reason);
    else look();
  });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
