// Shaka Player and content steering: it plays from one edge, that edge is drained, and after its next look at the
// steering document it takes another, with no segment missing. Only pathways that the playlist has in full are taken.
//   node shaka.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, selector, token] = process.argv.slice(2);
if (!url || !selector || !token) usage("node shaka.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN");

const library = readFileSync(new URL("node_modules/shaka-player/dist/shaka-player.compiled.js", import.meta.url));

// What runs in the page: `facts` is all that the scenario looks at.
const script = `(${async (source) => {
  const video = document.querySelector("video");
  const facts = (window.facts = { documents: [], loaded: [], errors: [], fatal: null });
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(video);
  player.configure({ abr: { enabled: false }, streaming: { bufferingGoal: 4, rebufferingGoal: 1 } });
  player.addEventListener("error", ({ detail }) => {
    facts.errors.push(`${detail.category}/${detail.code}`);
    if (detail.severity === shaka.util.Error.Severity.CRITICAL) facts.fatal = detail.code;
  });
  const { RequestType } = shaka.net.NetworkingEngine;
  player.getNetworkingEngine().registerResponseFilter((type, response) => {
    if (type === RequestType.CONTENT_STEERING) {
      facts.documents.push(JSON.parse(new TextDecoder().decode(response.data)));
    }
    if (type === RequestType.SEGMENT) facts.loaded.push(response.uri);
  });
  await player.load(source).catch((error) => { facts.fatal = error.code; });
  video.play();
}})(${JSON.stringify(url)});`;

const html = `<!doctype html><title>Shaka</title><video muted playsinline></video>
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

await run("shaka", 80_000, async (page) => {
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
  await until("a segment comes from another edge", 30_000, async () => {
    const now = await look(page);
    return { ...now, ok: edgeOf(now.loaded.at(-1)) !== first };
  });
  const after = await until("it plays to the end", 40_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ended };
  });
  await ask(`/v1/nodes/${first}:resume`, "POST");

  // Each folder is a rendition; its segments are numbered from 0.
  const numbers = new Map();
  const edges = {};
  for (const segment of after.loaded) {
    const [, folder, number] = new URL(segment).pathname.match(/([^/]+)\/(\d+)\.\w+$/);
    numbers.set(folder, (numbers.get(folder) ?? new Set()).add(Number(number)));
    edges[edgeOf(segment)] = (edges[edgeOf(segment)] ?? 0) + 1;
  }
  for (const [folder, loaded] of numbers) {
    const sorted = [...loaded].sort((a, b) => a - b);
    if (sorted.some((number, at) => number !== at)) throw new Error(`${folder}: segments are missing: ${sorted}`);
  }
  return {
    first, edges, documents: after.documents.length, priority: after.documents.at(-1)["PATHWAY-PRIORITY"],
    errors: after.errors, position: Math.round(after.position * 10) / 10,
  };
});

async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    return { ...window.facts, position: video.currentTime, ended: video.ended };
  });
  if (now.fatal) throw new Error(`the player gave up: ${now.fatal} ${now.errors}`);
  now.loaded = now.loaded.filter((segment) => /\/\d+\.(ts|m4s)$/.test(new URL(segment).pathname));
  return now;
}
