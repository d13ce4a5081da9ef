// hls.js and content steering: it plays from one edge, that edge is drained, and at its next look at the steering
// document it takes another, with no fatal error and no segment missing.
//   node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, selector, token] = process.argv.slice(2);
if (!url || !selector || !token) usage("node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN");

const library = readFileSync(new URL("node_modules/hls.js/dist/hls.min.js", import.meta.url));
const html = `<!doctype html><title>hls.js</title><video muted playsinline></video>
<script src="/hls.js"></script><script src="/play.js"></script>`;

// What runs in the page: `facts` is all that the scenario looks at.
const script = `(${(source) => {
  const video = document.querySelector("video");
  const facts = (window.facts = { documents: [], loaded: [], fatal: null, errors: [], pathways: [] });
  const hls = (window.hls = new Hls({ startLevel: 0, maxBufferLength: 3, maxMaxBufferLength: 3, capLevelToPlayerSize: false }));
  hls.on(Hls.Events.MANIFEST_PARSED, () => { hls.loadLevel = 0; video.play(); });
  hls.on(Hls.Events.STEERING_MANIFEST_LOADED, (_, { steeringManifest }) => facts.documents.push(steeringManifest));
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => facts.loaded.push({ sn: frag.sn, origin: new URL(frag.url).origin }));
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => facts.pathways.push(hls.levels[level].pathwayId));
  hls.on(Hls.Events.ERROR, (_, { fatal, details, response }) => {
    facts.errors.push(details);
    if (fatal) facts.fatal = `${details} ${response?.code ?? ""}`.trim();
  });
  hls.loadSource(source);
  hls.attachMedia(video);
}})(${JSON.stringify(url)});`;

const files = { "/": ["text/html", html], "/hls.js": ["text/javascript", library], "/play.js": ["text/javascript", script] };
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
  const nameOf = (origin) => nodes.find((node) => new URL(node.url).origin === origin)?.id ?? origin;

  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
  const before = await until("it plays and knows its steering document", 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position > 1 && now.loaded.length > 0 && now.documents.length > 0 };
  });
  const first = nameOf(before.loaded.at(-1).origin);
  await ask(`/v1/nodes/${first}:drain`, "POST");

  const moved = await until("a segment comes from another edge", 30_000, async () => {
    const now = await look(page);
    return { ...now, ok: nameOf(now.loaded.at(-1).origin) !== first };
  });
  const after = await until("it plays to the end of what it loads there", 30_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ended || now.position - moved.position >= 6 };
  });
  await ask(`/v1/nodes/${first}:resume`, "POST");

  const numbers = [...new Set(after.loaded.map((one) => one.sn))].sort((a, b) => a - b);
  const missing = numbers.filter((sn, at) => at > 0 && sn !== numbers[at - 1] + 1);
  if (numbers[0] !== 0 || missing.length > 0) throw new Error(`segments are missing before ${missing}: ${numbers}`);
  const edges = {};
  for (const one of after.loaded) edges[nameOf(one.origin)] = (edges[nameOf(one.origin)] ?? 0) + 1;
  // Once it has moved, nothing more comes from the drained edge.
  const at = after.loaded.findIndex((one) => nameOf(one.origin) !== first);
  if (after.loaded.slice(at).some((one) => nameOf(one.origin) === first)) throw new Error("it went back to the drained edge");
  return {
    first, edges, segments: numbers.length, documents: after.documents.length, ttl: after.documents.at(-1).TTL,
    priority: after.documents.at(-1)["PATHWAY-PRIORITY"], pathways: after.pathways, errors: after.errors,
    position: Math.round(after.position * 10) / 10,
  };
});

async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    return { ...window.facts, position: video.currentTime, ended: video.ended };
  });
  if (now.fatal) throw new Error(`hls.js gave up: ${now.fatal}`);
  return now;
}
