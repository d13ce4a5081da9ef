// What a page that plays with hls.js hands to it, so that a viewer leaves an edge that has fallen silent at the
// first request that gets no answer, and so that the selector hears of it:
//
//   import { Companion } from "https://selector.example/player/hlsjs.js";
//   const companion = new Companion();
//   const hls = new Hls({ ...companion.config });
//   companion.attach(hls);
//   hls.loadSource(session.master_url);
//
// Why it is needed (hls.js 1.7): a segment is waited for ten seconds and asked for five times. Then hls.js tries
// every other quality of the same pathway, each with three waits of ten seconds for its playlist, before it looks
// at another pathway at all: minutes, where an edge's packets vanish. Here the wait is shorter, nothing is
// asked for twice in vain as long as there is another pathway, and the pathway goes before the quality does.

import { Beacon } from "./beacon.js";

/** Longest wait for the first byte of a segment, and of a playlist, which may be held for a target duration. */
const SEGMENT_MS = 4000;
const PLAYLIST_MS = 6000;

/** A pathway that failed is not taken again for so long, if there is another; hls.js itself waits as long. */
const PENALTY_MS = 300_000;

/** How often an edge that serves well is told of. */
const SAMPLE_MS = 60_000;

/** Errors that tell of an edge, and what they are called in a beacon. */
const FAULTS = /^(frag|key|level|audioTrack|subtitleTrack)Load(Error|TimeOut)$/;

export class Companion {
  #hls = null;
  #beacon = new Beacon();
  #failed = new Map();
  #ways = new WeakMap();
  #sampled = new Map();
  #token = "";

  /** @param {{segmentMs?: number, playlistMs?: number}} waits where links are slow, or target durations long */
  constructor({ segmentMs = SEGMENT_MS, playlistMs = PLAYLIST_MS } = {}) {
    // Asked again only where there is nowhere else to go. It is what plays that fails, and this is asked before the
    // error is told of.
    const playing = () => this.#wayOfLevel(this.#hls?.loadLevel);
    const shouldRetry = (_retry, _count, _timeout, _response, would) => would && !this.#elsewhere(playing());
    const timeoutRetry = { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0, shouldRetry };
    const errorRetry = { maxNumRetry: 6, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry };
    const policy = (firstByteMs, wholeMs) => ({
      default: { maxTimeToFirstByteMs: firstByteMs, maxLoadTimeMs: wholeMs, timeoutRetry, errorRetry },
    });
    /** For the constructor of Hls; everything else of its configuration stays the page's own. */
    this.config = {
      fragLoadPolicy: policy(segmentMs, 60_000),
      keyLoadPolicy: policy(segmentMs, 20_000),
      playlistLoadPolicy: policy(playlistMs, 20_000),
    };
  }

  /** Stays with one instance of Hls, whatever it plays, until that is destroyed. */
  attach(hls) {
    this.#hls = hls;
    const { Events } = hls.constructor;
    hls.on(Events.MANIFEST_LOADING, (_, { url }) => {
      this.#token = /\/~([^/]+)\//.exec(url)?.[1] ?? "";
      this.#failed.clear();
    });
    hls.on(Events.STEERING_MANIFEST_LOADED, (_, { url, steeringManifest }) => {
      this.#beacon.from(this.#token, `${url.split("/steer/")[0]}/v1/beacon`);
      // hls.js takes up this very list when we return: what failed here does not come first again.
      this.#order(steeringManifest["PATHWAY-PRIORITY"] ?? []);
    });
    hls.on(Events.FRAG_LOADING, (_, { frag }) => this.#ways.set(frag, this.#wayOfLevel(frag.level)));
    hls.on(Events.FRAG_LOADED, (_, { frag }) => this.#served(frag));
    hls.on(Events.ERROR, (_, data) => this.#error(data));
  }

  /** Whether there is another pathway than `failing` that did not fail. */
  #elsewhere(failing) {
    const ways = this.#hls?.pathways ?? [];
    return ways.some((way) => way !== failing && !this.#isFailed(way));
  }

  #isFailed(way) {
    return performance.now() - (this.#failed.get(way) ?? -Infinity) < PENALTY_MS;
  }

  /** Puts what failed behind the rest, in place. */
  #order(ways) {
    return ways.sort((a, b) => this.#isFailed(a) - this.#isFailed(b));
  }

  #wayOfLevel(level) {
    return this.#hls?.levels?.[level]?.pathwayId;
  }

  #wayOf({ frag, context }) {
    if (frag && this.#ways.has(frag)) return this.#ways.get(frag);
    return context?.pathwayId ?? this.#wayOfLevel(context?.level ?? this.#hls.loadLevel);
  }

  #error(data) {
    const [, , how] = FAULTS.exec(data.details) ?? [];
    const status = data.response?.code ?? 0;
    // Nobody's fault: a token's end, a segment that no edge has, a held reload that brought no news.
    const news = status === 503 && data.context?.deliveryDirectives;
    if (!how || (status >= 400 && status < 500) || news) return;
    const way = this.#wayOf(data);
    if (!way) return;
    this.#beacon.fault(edgeOf(way), how === "TimeOut" ? "timeout" : status >= 500 ? "5xx" : "reset");
    this.#failed.set(way, performance.now());
    const ways = this.#hls.pathwayPriority ?? this.#hls.pathways;
    if (this.#elsewhere(way)) this.#hls.pathwayPriority = this.#order([...ways]);
  }

  /** One sample of each edge a minute. */
  #served(frag) {
    const way = this.#ways.get(frag);
    const now = performance.now();
    const { loading } = frag.stats;
    if (!way || !(loading.first > loading.start) || now - (this.#sampled.get(way) ?? -Infinity) < SAMPLE_MS) return;
    if (this.#beacon.served(edgeOf(way), frag.url)) this.#sampled.set(way, now);
  }
}

/** The edge in a pathway's id: what stands before its last dot. */
function edgeOf(way) {
  return way.slice(0, way.lastIndexOf("."));
}
