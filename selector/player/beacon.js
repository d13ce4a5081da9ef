// What this page tells the selector: how far edges are that it does not play from, where
// the session asks for that, and what went wrong with the one it plays from.
//
// hlsjs.js uses it too. Each edge has a kilobyte at /~health that any page may time. Timing is read from resource
// timing, where the connection and the wait for the answer stand apart.

const SIZE_WAIT_MS = 5000;
const FAULTS_MAX = 8;

export class Beacon {
  #url = "/v1/beacon";
  #token = "";
  #faults = [];
  #timer = 0;

  /** @param {object} session the selector's answer to a new session */
  begin(session) {
    this.from(/\/~([^/]+)\//.exec(session.master_url)?.[1] ?? "", session.beacon?.url ?? "/v1/beacon");
  }

  /** Whom to tell, and for which session; without a token nothing is told. */
  from(token, url) {
    // A fault is often what the next session begins with: it is the one before that tells of it.
    if (token !== this.#token) this.#flush();
    this.#token = token;
    this.#url = url;
  }

  /** Once playback runs: measures what the session's plan names, one after the other. */
  async explore(session) {
    const samples = [];
    for (const target of session.beacon?.targets ?? []) {
      const sample = await measure(target);
      if (sample) samples.push(sample);
    }
    if (samples.length > 0) await this.#send({ samples });
  }

  /** Tells how an edge answered with what was fetched from it just now; false where nothing is known of that. */
  served(edge, url) {
    const sample = sampleOf(edge, url);
    if (!this.#token || !sample) return false;
    this.#send({ samples: [sample] });
    return true;
  }

  /** @param {string} edge @param {"timeout"|"5xx"|"reset"|"stall"} kind */
  fault(edge, kind) {
    if (!edge || this.#faults.length >= FAULTS_MAX) return;
    this.#faults.push({ edge, kind, at: performance.now() });
    // What goes wrong together is told together.
    this.#timer ||= setTimeout(() => this.#flush(), 500);
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#faults.length === 0) return;
    const now = performance.now();
    const errors = this.#faults.map(({ edge, kind, at }) => ({ edge, kind, ago_ms: Math.round(now - at) }));
    this.#faults = [];
    this.#send({ errors });
  }

  async #send(report) {
    if (!this.#token) return;
    const body = JSON.stringify({ token: this.#token, ...report });
    // Text, so that no preflight is needed; a report that is lost is lost.
    await fetch(this.#url, { method: "POST", body, keepalive: true, credentials: "omit" }).catch(() => null);
  }
}

async function measure({ edge, url }) {
  const fresh = `${url}?${Math.random().toString(36).slice(2)}`;
  let status = 0;
  try {
    const signal = AbortSignal.timeout(SIZE_WAIT_MS);
    const response = await fetch(fresh, { cache: "no-store", credentials: "omit", signal });
    status = response.status;
    await response.arrayBuffer();
  } catch {
    return null;
  }
  const sample = sampleOf(edge, fresh);
  return sample && { ...sample, status };
}

/** What resource timing says of the last fetch of a URL; null where the page may not know. */
function sampleOf(edge, url) {
  const timing = performance.getEntriesByName(new URL(url, location.href).href).at(-1);
  if (!timing?.requestStart) return null;
  const secure = timing.secureConnectionStart;
  const connect = (secure || timing.connectEnd) - timing.connectStart;
  const sample = { edge, ttfb_ms: round(timing.responseStart - timing.requestStart) };
  if (connect > 0) sample.connect_ms = round(connect);
  return sample;
}

function round(ms) {
  return Math.max(0, Math.round(ms * 10) / 10);
}
