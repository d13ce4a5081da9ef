// hls.js on a live stream, for so many seconds of play: which segments and parts it loaded, which versions of the
// playlist it was shown, what it asked reloads for. Nothing may be missing, and no version older than one before.
//   node live.mjs SIGNED_PLAYLIST_URL SECONDS

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, seconds] = process.argv.slice(2);
if (!url || !(Number(seconds) > 0)) usage("node live.mjs SIGNED_PLAYLIST_URL SECONDS");

const library = readFileSync(new URL("node_modules/hls.js/dist/hls.min.js", import.meta.url));

// What runs in the page: `facts` is all that the scenario looks at.
const script = `import { Companion } from "/hlsjs.js";
(${(source, Companion) => {
  const video = document.querySelector("video");
  const facts = (window.facts = { loaded: [], versions: [], blocked: 0, fatal: null, errors: [], stood: 0, latency: null });
  // Its shorter waits must leave room for reloads that are held.
  const companion = new Companion();
  const hls = new Hls({ ...companion.config, lowLatencyMode: true });
  companion.attach(hls);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  hls.on(Hls.Events.LEVEL_LOADING, (_, { deliveryDirectives }) => {
    if (deliveryDirectives) facts.blocked += 1;
  });
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
    facts.versions.push({ first: details.startSN, last: details.lastPartSn, part: details.lastPartIndex });
  });
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
    if (frag.sn !== "initSegment") facts.loaded.push({ sn: frag.sn, part: part ? part.index : null });
  });
  hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
    if (fatal || type === Hls.ErrorTypes.NETWORK_ERROR) facts.errors.push(`${details} ${response?.code ?? ""}`.trim());
    if (fatal) facts.fatal = details;
  });
  setInterval(() => {
    if (video.currentTime > 0 && video.readyState < 3) facts.stood += 1;
    facts.latency = Math.round(hls.latency * 10) / 10;
  }, 50);
  hls.loadSource(source);
  hls.attachMedia(video);
}})(${JSON.stringify(url)}, Companion);`;

const html = `<!doctype html><title>hls.js</title><video muted playsinline></video>
<script src="/library.js"></script><script type="module" src="/play.js"></script>`;
const ours = (name) => readFileSync(new URL(`../../selector/player/${name}`, import.meta.url));
const files = {
  "/": ["text/html", html],
  "/library.js": ["text/javascript", library],
  "/play.js": ["text/javascript", script],
  "/hlsjs.js": ["text/javascript", ours("hlsjs.js")],
  "/beacon.js": ["text/javascript", ours("beacon.js")],
};
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? [];
  response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

await run("live", 75_000, async (page) => {
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
  const began = await until("it plays", 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position > 0 && now.ready >= 3 && now.loaded.length > 0 };
  });
  const after = await until(`${seconds} s are played`, 50_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position - began.position >= Number(seconds) };
  });
  const { versions } = after;
  const place = ({ last, part }) => last * 1000 + part;
  const back = versions.filter((one, at) => at > 0 && place(one) < place(versions[at - 1]));
  return {
    loaded: after.loaded,
    missing: missing(after.loaded),
    versions: new Set(versions.map(place)).size,
    back,
    blocked: after.blocked,
    parts: after.loaded.filter(({ part }) => part !== null).length,
    played: Math.round((after.position - began.position) * 10) / 10,
    latency: after.latency,
    stood: after.stood,
    errors: after.errors,
  };
});

// Every segment from the first that was loaded on has come: whole, or in parts without a hole. Of the first and the last
// one some parts are enough.
function missing(loaded) {
  const parts = new Map();
  for (const { sn, part } of loaded) parts.set(sn, (parts.get(sn) ?? new Set()).add(part));
  const [first, last] = [Math.min(...parts.keys()), Math.max(...parts.keys())];
  const most = Math.max(...loaded.map(({ part }) => part ?? 0));
  const holes = [];
  for (let sn = first; sn <= last; sn += 1) {
    const got = parts.get(sn);
    if (got?.has(null)) continue;
    const from = sn === first && got ? Math.min(...got) : 0;
    const to = sn === last && got ? Math.max(...got) : most;
    for (let part = from; part <= to; part += 1) if (!got?.has(part)) holes.push(`${sn}.${part}`);
  }
  return holes;
}

async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    return { ...window.facts, position: video.currentTime, ready: video.readyState };
  });
  if (now.fatal) throw new Error(`the player gave up: ${now.errors}`);
  return now;
}
