// hls.js in Chromium against a signed URL over TLS: it plays, is told to switch quality,
// plays on with fragments of the other level, and everything came over HTTP/2.
//   node hlsjs.mjs SIGNED_MASTER_URL CERTIFICATE_PEM [PROTOCOL]      PROTOCOL: h2 unless told

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { run, usage } from "./browser.mjs";
import { HLS_JS, open, seen, tenths } from "./player.mjs";

const [url, pem, protocol = "h2"] = process.argv.slice(2);
if (!url?.startsWith("https://") || !pem) usage("node hlsjs.mjs https://…/master.m3u8 CERTIFICATE_PEM [PROTOCOL]");

const play = (source) => {
  const hls = (window.hls = new Hls({ startLevel: 0, maxBufferLength: 8 }));
  const facts = watch(hls, source);
  Object.assign(facts, { levels: [], switched: [], buffered: [] });
  hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
    facts.levels = levels.map((level) => ({ height: level.height, bitrate: level.bitrate }));
    hls.loadLevel = 0;
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => facts.switched.push(level));
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => facts.buffered.push({ level: frag.level, sn: frag.sn }));
  performance.setResourceTimingBufferSize(1000);
};

await run("hls.js", 60_000, async (page) => {
  await open(page, HLS_JS(), play, [url]);
  const first = await seen(page, "hls.js plays the first level", 15_000, (now) =>
    now.position > 2 && now.switched.includes(0));
  if (first.levels.length < 2) throw new Error(`fewer than two levels: ${JSON.stringify(first.levels)}`);

  await page.evaluate(() => { window.hls.nextLevel = 1; });
  const second = await seen(page, "LEVEL_SWITCHED and fragments of the other level", 20_000, (now) =>
    now.switched.at(-1) === 1 && now.buffered.some((frag) => frag.level === 1));
  const after = await seen(page, "it plays on after the switch", 15_000, (now) =>
    now.position - second.position >= 2 && now.height === now.levels[1].height);

  const { protocols, timing } = await transfers(page);
  const others = protocols.filter((name) => name !== protocol);
  if (protocols.length === 0 || others.length > 0) {
    throw new Error(`expected only ${protocol}, saw ${JSON.stringify(protocols)} (empty: no Timing-Allow-Origin)`);
  }
  return {
    levels: after.levels,
    switched: after.switched,
    fragments: after.buffered.length,
    protocols,
    server_timing: timing,
    position: tenths(after.position),
    errors: after.errors,
  };
}, [`--ignore-certificate-errors-spki-list=${fingerprint(pem)}`]);

// How the media came.
function transfers(page) {
  return page.evaluate((host) => {
    const entries = performance.getEntriesByType("resource").filter((entry) => new URL(entry.name).host === host);
    // What came out of the browser's own cache has no protocol.
    const fetched = entries.filter((entry) => entry.deliveryType !== "cache");
    return {
      protocols: [...new Set(fetched.map((entry) => entry.nextHopProtocol))],
      timing: Object.fromEntries(entries.at(-1)?.serverTiming.map((one) => [one.name, one.description]) ?? []),
    };
  }, new URL(url).host);
}

// Chromium trusts this one key and no other unknown one.
function fingerprint(path) {
  const key = new X509Certificate(readFileSync(path)).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}
