// A player in a page that has nothing else. What runs in the page writes down in `window.facts` what it sees, and
// a scenario looks at that and at the video. Beside it what scenarios ask of more than one player: that it leaves
// an edge that is drained, and that no segment is missing.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { until } from "./browser.mjs";

const packaged = (path) => readFileSync(new URL(`node_modules/${path}`, import.meta.url));

export const HLS_JS = () => packaged("hls.js/dist/hls.min.js");
export const SHAKA = () => packaged("shaka-player/dist/shaka-player.compiled.js");

/**
 * Opens a page with a video and a player's `library`, and has it run `play(...args, ...imports)`: `imports` are
 * names by the module they are of, `files` further scripts of the page by their path.
 */
export async function open(page, library, play, args, { imports = {}, files = {} } = {}) {
  const words = [...args.map((value) => JSON.stringify(value ?? null)), ...Object.keys(imports)];
  const script = [
    ...Object.entries(imports).map(([name, from]) => `import { ${name} } from ${JSON.stringify(from)};`),
    watch,
    `(${play})(${words.join(", ")});`,
  ].join("\n");
  const html = `<!doctype html><title>player</title><video muted playsinline></video>
<script src="/library.js"></script><script type="module" src="/play.js"></script>`;
  const served = { "/": html, "/library.js": library, "/play.js": script, ...files };
  const server = createServer((request, response) => {
    const body = served[request.url];
    const type = request.url === "/" ? "text/html" : "text/javascript";
    response.writeHead(body ? 200 : 404, { "content-type": body ? type : "text/plain" }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
}

/** Runs in the page: has hls.js play `source`, and writes down what it loads and what it could not load. */
function watch(hls, source) {
  const video = document.querySelector("video");
  const began = performance.now();
  const at = () => Math.round(performance.now() - began);
  const facts = (window.facts = { documents: [], loaded: [], errors: [], fatal: null, stood: 0 });
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  hls.on(Hls.Events.STEERING_MANIFEST_LOADED, (_, { steeringManifest }) => facts.documents.push(steeringManifest));
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
    facts.loaded.push({ url: frag.url, sn: frag.sn, part: part ? part.index : null, at: at() });
  });
  hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
    const words = `${details} ${response?.code ?? ""}`.trim();
    // A stutter of a busy machine is an error to hls.js, too; what is asked here is what could not be loaded.
    if (fatal || type === Hls.ErrorTypes.NETWORK_ERROR) facts.errors.push({ details: words, at: at() });
    if (fatal) facts.fatal = words;
  });
  // Moments, of twenty a second, at which playback stood still for want of data.
  setInterval(() => { facts.stood += Number(facts.loaded.length > 0 && !video.ended && video.readyState < 3); }, 50);
  hls.loadSource(source);
  hls.attachMedia(video);
  return facts;
}

/** What is to be seen now; an error once the player has given up. */
export async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    const { currentTime: position, ended, readyState: ready, videoHeight: height } = video;
    return { ...window.facts, position, ended, ready, height };
  });
  if (now.fatal) throw new Error(`the player gave up: ${now.fatal}: ${JSON.stringify(now.errors)}`);
  return now;
}

/** Looks until what is to be seen passes `test`. */
export function seen(page, what, limitMs, test) {
  return until(what, limitMs, async () => {
    const now = await look(page);
    return { ...now, ok: test(now) };
  });
}

/** Waits until it plays and has been shown where it could play from instead. */
export function playsAndIsSteered(page) {
  return seen(page, "it plays and knows its steering document", 20_000, (now) =>
    now.position > 1 && media(now).length > 0 && now.documents.length > 0);
}

/** What was loaded of the media themselves: their files are numbers. */
export function media({ loaded }) {
  return loaded.filter(({ url }) => /\/\d+\.(ts|m4s)$/.test(new URL(url).pathname));
}

/** Seconds, to a tenth. */
export function tenths(seconds) {
  return Math.round(seconds * 10) / 10;
}

/**
 * The edge that a player plays from is drained, and it takes another at its next look at the steering document;
 * it plays on until `enough(now, moved)`, and nothing is missing. What came of it, and `own`: by folder, which
 * edge each of its segments came from.
 */
export async function leavesADrainedEdge(page, selector, token, limitMs, enough) {
  const ask = async (path, method = "GET") => {
    const answer = await fetch(new URL(path, selector), { method, headers: { authorization: `Bearer ${token}` } });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const nodes = (await ask("/v1/nodes")).items.filter((node) => node.role === "edge");
  const edgeOf = ({ url }) => {
    const { origin } = new URL(url);
    return nodes.find((node) => new URL(node.url).origin === origin)?.id ?? origin;
  };
  const first = edgeOf(media(await playsAndIsSteered(page)).at(-1));
  await ask(`/v1/nodes/${first}:drain`, "POST");
  const moved = await seen(page, "a segment comes from another edge", 30_000, (now) =>
    edgeOf(media(now).at(-1)) !== first);
  const after = await seen(page, "it plays on from there", limitMs, (now) => enough(now, moved));
  await ask(`/v1/nodes/${first}:resume`, "POST");

  // Each folder is a rendition; its segments are numbered from 0.
  const numbers = new Map();
  const [edges, own] = [{}, {}];
  for (const segment of media(after)) {
    const [, folder, number] = new URL(segment.url).pathname.match(/([^/]+)\/(\d+)\.\w+$/);
    const edge = edgeOf(segment);
    numbers.set(folder, (numbers.get(folder) ?? new Set()).add(Number(number)));
    (own[folder] ??= []).push(edge);
    edges[edge] = (edges[edge] ?? 0) + 1;
  }
  for (const [folder, loaded] of numbers) {
    const sorted = [...loaded].sort((a, b) => a - b);
    if (sorted.some((number, at) => number !== at)) throw new Error(`${folder}: segments are missing: ${sorted}`);
  }
  const { documents, errors, position } = after;
  const { TTL: ttl, "PATHWAY-PRIORITY": priority } = documents.at(-1);
  const facts = { first, edges, documents: documents.length, ttl, priority, errors, position: tenths(position) };
  return { facts, own };
}
