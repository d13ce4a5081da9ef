// When the page leaves the edge that serves it. Pure: what is known goes in, words come out.

/** A ranking changes with every heartbeat; an edge that is merely no longer best is not left. */
const MISSED_RANKINGS = 3;

/**
 * Why the serving edge must be left, or null.
 * @param {string|null} serving id of the edge that serves now
 * @param {Array<{id:string,state:string}>|null} nodes the roster; null without a token
 * @param {number} missed how many rankings in a row did not name the serving edge
 */
export function whyMove(serving, nodes, missed) {
  if (!serving) return null;
  const node = nodes?.find((one) => one.id === serving);
  if (node?.state === "draining") return `${serving} is draining`;
  if (node?.state === "down") return `${serving} is down`;
  if (!nodes && missed >= MISSED_RANKINGS) return `the selector no longer offers ${serving}`;
  return null;
}

/** The edge of that origin (scheme, host, port), by what the selector said of its nodes. */
export function edgeAt(origin, nodes, ranking) {
  const all = [...(nodes ?? []), ...(ranking ?? [])];
  const found = all.find((one) => [one.url, one.tls_url].some((url) => url && originOf(url) === origin));
  return found?.id ?? null;
}

/** The same signed path on another edge: a token is good on every edge of its service. */
export function onEdge(signed, edgeUrl) {
  const url = new URL(signed);
  return new URL(url.pathname + url.search, edgeUrl).href;
}

/** The asset that a signed URL names: the path without its token. */
export function assetOf(signed) {
  return new URL(signed).pathname.replace(/^\/~[^/]+/, "");
}

/** "http://host:port" of a URL, or null for what is none. */
export function originOf(url) {
  try {
    return new URL(url).origin;
  } catch {
    return null;
  }
}

/** Milliseconds before try number `tries` (from 1): 0.5 s doubling to 8 s. */
export function pause(tries) {
  return Math.min(500 * 2 ** (tries - 1), 8000);
}
