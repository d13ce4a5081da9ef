// hls.js and content steering: it plays from one edge, that edge is drained, and at its next look at the
// steering document it takes another, with no fatal error and no segment missing.
//   node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, selector, token] = process.argv.slice(2);
if (!url || !selector || !token) usage("node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN");

const library = readFileSync(new URL("node_modules/hls.js/dist/hls.min.js", import.meta.url));

// What runs in the page: `facts` is all that the scenario looks at.
const script = `(${(source) => {
  const video = document.querySelector("video");
  const facts = (window.facts = { documents: [], loaded: [], fatal: null, errors: [] });
  const hls = new Hls({ startLevel: 0, maxBufferLength: 3, maxMaxBufferLength: 3 });
  hls.on(Hls.Events.MANIFEST_PARSED, () => { hls.loadLevel = 0; video.play(); });
  hls.on(Hls.Events.STEERING_MANIFEST_LOADED, (_, { steeringManifest }) => facts.documents.push(steeringManifest));
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => facts.loaded.push(frag.url));
  hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
    // A stutter of a busy machine is an error to hls.js, too; what is asked here is what could not be loaded.
    if (fatal || type === Hls.ErrorTypes.NETWORK_ERROR) facts.errors.push(details);
    if (fatal) facts.fatal = `${details} ${response?.code ?? ""}`.trim();
  });
  hls.loadSource(source);
  hls.attachMedia(video);
}})(${JSON.stringify(url)});`;

const html = `<!doctype html><title>hls.js</title><video muted playsinline></video>
<script src="/library.js"></script><script src="/play.js"></script>`;
const files = {
  "/": ["text/html", html],
  "/library.js": ["text/javascript", library],
  "/play.js": ["text/javascript", script],
};
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? [];
  response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

async function ask(path, method = "GET") {
  const answer = await fetch(new URL(path, selector), { method, headers: { authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

await run("steering", 75_000, async (page) => {
  const nodes = (await ask("/v1/nodes")).items.filter((node) => node.role === "edge");
  const edgeOf = (segment) => {
    const { origin } = new URL(segment);
    return nodes.find((node) => new URL(node.url).origin === origin)?.id ?? origin;
  };

  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
  const before = await until("it plays and knows its steering document", 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position > 1 && now.loaded.length > 0 && now.documents.length > 0 };
  });
  const first = edgeOf(before.loaded.at(-1));
  await ask(`/v1/nodes/${first}:drain`, "POST");

  const moved = await until("a segment comes from another edge", 30_000, async () => {
    const now = await look(page);
    return { ...now, ok: edgeOf(now.loaded.at(-1)) !== first };
  });
  const after = await until("it plays on from there", 30_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ended || now.position - moved.position >= 6 };
  });
  await ask(`/v1/nodes/${first}:resume`, "POST");

  // Each folder is a rendition; its segments are numbered from 0.
  const numbers = new Map();
  for (const segment of after.loaded) {
    const [, folder, number] = new URL(segment).pathname.match(/([^/]+)\/(\d+)\.\w+$/);
    numbers.set(folder, (numbers.get(folder) ?? new Set()).add(Number(number)));
  }
  for (const [folder, loaded] of numbers) {
    const sorted = [...loaded].sort((a, b) => a - b);
    if (sorted.some((number, at) => number !== at)) throw new Error(`${folder}: segments are missing: ${sorted}`);
  }
  // Once a rendition has moved, nothing more of it comes from the drained edge.
  for (const folder of numbers.keys()) {
    const own = after.loaded.filter((segment) => new URL(segment).pathname.includes(`/${folder}/`)).map(edgeOf);
    const at = own.findIndex((edge) => edge !== first);
    if (at >= 0 && own.slice(at).includes(first)) throw new Error(`${folder} went back to the drained edge: ${own}`);
  }
  const edges = {};
  for (const segment of after.loaded) edges[edgeOf(segment)] = (edges[edgeOf(segment)] ?? 0) + 1;
  return {
    first, edges, documents: after.documents.length, ttl: after.documents.at(-1).TTL,
    priority: after.documents.at(-1)["PATHWAY-PRIORITY"], errors: after.errors,
    position: Math.round(after.position * 10) / 10,
  };
});

async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    return { ...window.facts, position: video.currentTime, ended: video.ended };
  });
  if (now.fatal) throw new Error(`the player gave up: ${now.fatal}`);
  now.loaded = now.loaded.filter((segment) => /\/\d+\.(ts|m4s)$/.test(new URL(segment).pathname));
  return now;
}
