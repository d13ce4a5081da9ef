// hls.js in Chromium against a signed URL over TLS: it plays, is told to switch quality,
// plays on with fragments of the other level, and everything came over HTTP/2.
//   node hlsjs.mjs SIGNED_MASTER_URL CERTIFICATE_PEM [PROTOCOL]      PROTOCOL: h2 unless told

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { run, until, usage } from "./browser.mjs";

const [url, pem, protocol = "h2"] = process.argv.slice(2);
if (!url?.startsWith("https://") || !pem) usage("node hlsjs.mjs https://…/master.m3u8 CERTIFICATE_PEM [PROTOCOL]");

const library = readFileSync(new URL("node_modules/hls.js/dist/hls.min.js", import.meta.url));
const html = `<!doctype html><title>hls.js</title><video muted playsinline></video>
<script src="/hls.js"></script><script src="/play.js"></script>`;

// What runs in the page: `facts` is all that the scenario looks at.
const script = `(${(source) => {
  const video = document.querySelector("video");
  const facts = (window.facts = { levels: [], switched: [], buffered: [], fatal: null, errors: [] });
  const hls = (window.hls = new Hls({ startLevel: 0, maxBufferLength: 8 }));
  hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
    facts.levels = levels.map((level) => ({ height: level.height, bitrate: level.bitrate }));
    hls.loadLevel = 0;
    video.play();
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => facts.switched.push(level));
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => facts.buffered.push({ level: frag.level, sn: frag.sn }));
  hls.on(Hls.Events.ERROR, (_, { fatal, details, response }) => {
    facts.errors.push(details);
    if (fatal) facts.fatal = `${details} ${response?.code ?? ""}`.trim();
  });
  hls.loadSource(source);
  hls.attachMedia(video);
  performance.setResourceTimingBufferSize(1000);
}})(${JSON.stringify(url)});`;

const files = { "/": ["text/html", html], "/hls.js": ["text/javascript", library], "/play.js": ["text/javascript", script] };
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? [];
  response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

await run("hls.js", 60_000, async (page) => {
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: 10_000 });
  const first = await until("hls.js plays the first level", 15_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position > 2 && now.switched.includes(0) };
  });
  if (first.levels.length < 2) throw new Error(`fewer than two levels: ${JSON.stringify(first.levels)}`);

  await page.evaluate(() => { window.hls.nextLevel = 1; });
  const second = await until("LEVEL_SWITCHED and fragments of the other level", 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.switched.at(-1) === 1 && now.buffered.some((frag) => frag.level === 1) };
  });
  const after = await until("it plays on after the switch", 15_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.position - second.position >= 2 && now.height === now.levels[1].height };
  });

  const others = after.protocols.filter((name) => name !== protocol);
  if (after.protocols.length === 0 || others.length > 0) {
    throw new Error(`expected only ${protocol}, saw ${JSON.stringify(after.protocols)} (empty: no Timing-Allow-Origin)`);
  }
  return {
    levels: after.levels,
    switched: after.switched,
    fragments: after.buffered.length,
    protocols: after.protocols,
    server_timing: after.timing,
    position: Math.round(after.position * 10) / 10,
    errors: after.errors,
  };
}, [`--ignore-certificate-errors-spki-list=${fingerprint(pem)}`]);

async function look(page) {
  const now = await page.evaluate((host) => {
    const video = document.querySelector("video");
    const entries = performance.getEntriesByType("resource").filter((entry) => new URL(entry.name).host === host);
    // What came out of the browser's own cache has no protocol.
    const fetched = entries.filter((entry) => entry.deliveryType !== "cache");
    return {
      ...window.facts,
      position: video.currentTime,
      height: video.videoHeight,
      protocols: [...new Set(fetched.map((entry) => entry.nextHopProtocol))],
      timing: Object.fromEntries(entries.at(-1)?.serverTiming.map((one) => [one.name, one.description]) ?? []),
    };
  }, new URL(url).host);
  if (now.fatal) throw new Error(`hls.js gave up: ${now.fatal}`);
  return now;
}

// Chromium trusts this one key and no other unknown one.
function fingerprint(path) {
  const key = new X509Certificate(readFileSync(path)).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}
