// What the browser's own HLS player fetched, read from resource timing.
//
// Edges send `Timing-Allow-Origin: *` and `Server-Timing: edge;desc="…", cache;desc="…"`.
// Server-Timing is visible only where the page is a secure context (HTTPS or loopback);
// elsewhere the edge is known by its host and the cache status is not.

const KEEP = 12;
const MEDIA = /\.(ts|m4s|m4a|m4v|mp4|aac|mp3|ac3|ec3)$/i;

export class Segments {
  #nameOf;
  #onChange;
  rows = [];

  /**
   * @param {(origin: string) => string|null} nameOf the edge at an origin
   * @param {() => void} onChange rows were added
   */
  constructor(nameOf, onChange) {
    this.#nameOf = nameOf;
    this.#onChange = onChange;
  }

  start() {
    const observer = new PerformanceObserver((list) => this.#take(list.getEntries()));
    observer.observe({ type: "resource", buffered: true });
    // The observer goes on when the buffer is full, but only if somebody empties it.
    performance.addEventListener("resourcetimingbufferfull", () => performance.clearResourceTimings());
  }

  /** The newest row of a source's origin. */
  latest(origin) {
    return this.rows.find((row) => row.origin === origin) ?? null;
  }

  #take(entries) {
    const fresh = entries.map((entry) => this.#row(entry)).filter(Boolean);
    if (fresh.length === 0) return;
    this.rows = [...fresh.reverse(), ...this.rows].slice(0, KEEP);
    this.#onChange();
  }

  #row(entry) {
    const url = new URL(entry.name);
    if (!MEDIA.test(url.pathname)) return null;
    const timing = Object.fromEntries(entry.serverTiming?.map((one) => [one.name, one.description]) ?? []);
    const kept = entry.deliveryType === "cache" || (entry.transferSize === 0 && entry.encodedBodySize > 0);
    const parts = url.pathname.split("/");
    return {
      origin: url.origin,
      rendition: parts.at(-2),
      name: parts.slice(-2).join("/"),
      edge: timing.edge || this.#nameOf(url.origin) || url.host,
      cache: kept ? "browser" : timing.cache || "unknown",
      bytes: entry.encodedBodySize,
      ms: entry.responseEnd - (entry.requestStart || entry.startTime),
      protocol: entry.nextHopProtocol,
    };
  }
}
