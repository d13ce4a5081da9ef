// hls.js on a live stream, for so many seconds of play: which segments and parts it loaded, which versions of the
// playlist it was shown, what it asked reloads for. Nothing may be missing, and no version older than one before.
//   node live.mjs SIGNED_PLAYLIST_URL SECONDS

import { readFileSync } from "node:fs";

import { run, usage } from "./browser.mjs";
import { HLS_JS, open, seen, tenths } from "./player.mjs";

const [url, seconds] = process.argv.slice(2);
if (!url || !(Number(seconds) > 0)) usage("node live.mjs SIGNED_PLAYLIST_URL SECONDS");

const play = (source, Companion) => {
  // Its shorter waits must leave room for reloads that are held.
  const companion = new Companion();
  const hls = new Hls({ ...companion.config, lowLatencyMode: true });
  companion.attach(hls);
  const facts = watch(hls, source);
  Object.assign(facts, { versions: [], blocked: 0, latency: null });
  hls.on(Hls.Events.LEVEL_LOADING, (_, { deliveryDirectives }) => {
    if (deliveryDirectives) facts.blocked += 1;
  });
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
    facts.versions.push({ first: details.startSN, last: details.lastPartSn, part: details.lastPartIndex });
  });
  setInterval(() => { facts.latency = Math.round(hls.latency * 10) / 10; }, 50);
};

const ours = (name) => readFileSync(new URL(`../../selector/player/${name}`, import.meta.url));
const companion = {
  imports: { Companion: "/hlsjs.js" },
  files: { "/hlsjs.js": ours("hlsjs.js"), "/beacon.js": ours("beacon.js") },
};

await run("live", 75_000, async (page) => {
  await open(page, HLS_JS(), play, [url], companion);
  const began = await seen(page, "it plays", 20_000, (now) =>
    now.position > 0 && now.ready >= 3 && now.loaded.length > 0);
  const after = await seen(page, `${seconds} s are played`, 50_000, (now) =>
    now.position - began.position >= Number(seconds));
  const { versions } = after;
  const place = ({ last, part }) => last * 1000 + part;
  const back = versions.filter((one, at) => at > 0 && place(one) < place(versions[at - 1]));
  const loaded = after.loaded.filter(({ sn }) => sn !== "initSegment");
  return {
    loaded,
    missing: missing(loaded),
    versions: new Set(versions.map(place)).size,
    back,
    blocked: after.blocked,
    parts: loaded.filter(({ part }) => part !== null).length,
    played: tenths(after.position - began.position),
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
