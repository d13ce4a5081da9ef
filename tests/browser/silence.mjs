// hls.js behind an edge whose packets vanish: somebody cuts the way while it plays, and it has to find out by
// itself. It says what it waited for, which edges served, and whether a segment is missing.
//   node silence.mjs SIGNED_MASTER_URL SELECTOR_URL [plain]      plain: hls.js as it comes, to see what that is worth

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, selector, plain] = process.argv.slice(2);
if (!url || !selector) usage("node silence.mjs SIGNED_MASTER_URL SELECTOR_URL [plain]");

const library = readFileSync(new URL("node_modules/hls.js/dist/hls.min.js", import.meta.url));

// What runs in the page: `facts` is all that the scenario looks at.
const script = `import { Companion } from ${JSON.stringify(`${selector}/player/hlsjs.js`)};
(${(source, plain, Companion) => {
  const video = document.querySelector("video");
  const began = performance.now();
  const facts = (window.facts = { documents: 0, loaded: [], fatal: null, errors: [], stood: 0 });
  const companion = plain ? null : new Companion();
  const hls = new Hls({ ...companion?.config, startLevel: 0, maxBufferLength: 8, maxMaxBufferLength: 8 });
  companion?.attach(hls);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  hls.on(Hls.Events.STEERING_MANIFEST_LOADED, () => { facts.documents += 1; });
  hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => facts.loaded.push({ url: frag.url, at: Math.round(performance.now() - began) }));
  hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
    const at = Math.round(performance.now() - began);
    if (fatal || type === Hls.ErrorTypes.NETWORK_ERROR) facts.errors.push({ details, at });
    if (fatal) facts.fatal = `${details} ${response?.code ?? ""}`.trim();
  });
  // Moments, of twenty a second, at which playback stood still for want of data.
  setInterval(() => { facts.stood += Number(facts.loaded.length > 0 && !video.ended && video.readyState < 3); }, 50);
  hls.loadSource(source);
  hls.attachMedia(video);
}})(${JSON.stringify(url)}, ${Boolean(plain)}, Companion);`;

const html = `<!doctype html><title>hls.js</title><video muted playsinline></video>
<script src="/library.js"></script><script type="module" src="/play.js"></script>`;
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

await run("silence", 85_000, async (page) => {
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
  const first = new URL(url).origin;
  await until("it plays and knows its steering document", 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position > 1 && now.loaded.length > 0 && now.documents > 0 };
  });
  const moved = await until("a segment comes from another edge", 60_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.loaded.length > 0 && new URL(now.loaded.at(-1).url).origin !== first };
  });
  const after = await until("it plays to the end", 40_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ended };
  });
  // Segments are numbered from 0; the quality may change on the way.
  const numbers = after.loaded.map(({ url }) => Number(new URL(url).pathname.match(/(\d+)\.\w+$/)[1]));
  const all = [...new Set(numbers)].sort((a, b) => a - b);
  const at = moved.loaded.findIndex(({ url }) => new URL(url).origin !== first);
  return {
    numbers: all,
    missing: all.filter((number, place) => number !== place),
    back: after.loaded.slice(at).filter(({ url }) => new URL(url).origin === first).length,
    before: at,
    waited_ms: moved.loaded[at].at - (moved.loaded[at - 1]?.at ?? 0),
    stood: after.stood,
    errors: after.errors,
    position: Math.round(after.position * 10) / 10,
  };
});

async function look(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    return { ...window.facts, position: video.currentTime, ended: video.ended };
  });
  if (now.fatal) throw new Error(`the player gave up: ${now.fatal}: ${JSON.stringify(now.errors)}`);
  now.loaded = now.loaded.filter(({ url }) => /\/\d+\.(ts|m4s)$/.test(new URL(url).pathname));
  return now;
}
