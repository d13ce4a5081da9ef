// The selector's API, as far as this page needs it. Same origin, so no CORS; every
// call is bounded in time, and a failure carries the words of the problem document.

const TIMEOUT_MS = 6000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  #token;

  /** @param {string} token bearer token, or "" for a page that may only look. */
  constructor(token) {
    this.#token = token;
  }

  get mayWrite() {
    return this.#token !== "";
  }

  /** A new right to play `asset`; the selector chooses the edge. */
  session(service, asset) {
    return this.#call("POST", "/v1/playback-sessions", { service, asset, subject: "player-page" });
  }

  /** Every node with its state and load. */
  async nodes() {
    return (await this.#call("GET", "/v1/nodes?limit=200")).items;
  }

  /** @param {"drain"|"resume"} verb */
  setNode(id, verb) {
    return this.#call("POST", `/v1/nodes/${encodeURIComponent(id)}:${verb}`);
  }

  /** The edges the selector would choose now, best first; needs no token. */
  async select(service, path) {
    const query = new URLSearchParams({ path, service });
    return (await this.#call("GET", `/v1/select?${query}`)).edges;
  }

  async #call(method, path, body) {
    const headers = { accept: "application/json" };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    if (method === "POST") {
      headers["idempotency-key"] = freshKey();
      headers["content-type"] = "application/json";
    }
    const request = {
      method,
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    };
    if (method === "POST") request.body = JSON.stringify(body ?? {});

    let response;
    try {
      response = await fetch(path, request);
    } catch {
      throw new ApiError(0, "the selector does not answer");
    }
    const text = await response.text().catch(() => "");
    const answer = parse(text);
    if (response.ok) return answer ?? {};
    const words = answer?.detail || answer?.title || response.statusText || "no reason given";
    throw new ApiError(response.status, `${words} (${response.status})`);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// crypto.randomUUID exists only in secure contexts; this page may be opened over plain HTTP.
function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
