// hls.js behind an edge whose packets vanish: somebody cuts the way while it plays, and it has to find out by
// itself. It says what it waited for, which edges served, and whether a segment is missing.
//   node silence.mjs SIGNED_MASTER_URL SELECTOR_URL [plain]      plain: hls.js as it comes, to see what that is worth

import { run, usage } from "./browser.mjs";
import { HLS_JS, media, open, playsAndIsSteered, seen, tenths } from "./player.mjs";

const [url, selector, plain] = process.argv.slice(2);
if (!url || !selector) usage("node silence.mjs SIGNED_MASTER_URL SELECTOR_URL [plain]");

const play = (source, plain, Companion) => {
  const companion = plain ? null : new Companion();
  const hls = new Hls({ ...companion?.config, startLevel: 0, maxBufferLength: 8, maxMaxBufferLength: 8 });
  companion?.attach(hls);
  watch(hls, source);
};

await run("silence", 85_000, async (page) => {
  await open(page, HLS_JS(), play, [url, Boolean(plain)], { imports: { Companion: `${selector}/player/hlsjs.js` } });
  const first = new URL(url).origin;
  const elsewhere = (segment) => new URL(segment.url).origin !== first;
  await playsAndIsSteered(page);
  const moved = media(await seen(page, "a segment comes from another edge", 60_000, (now) =>
    media(now).length > 0 && elsewhere(media(now).at(-1))));
  const after = await seen(page, "it plays to the end", 40_000, (now) => now.ended);
  const loaded = media(after);
  // Segments are numbered from 0; the quality may change on the way.
  const numbers = loaded.map(({ url }) => Number(new URL(url).pathname.match(/(\d+)\.\w+$/)[1]));
  const all = [...new Set(numbers)].sort((a, b) => a - b);
  const at = moved.findIndex(elsewhere);
  return {
    numbers: all,
    missing: all.filter((number, place) => number !== place),
    back: loaded.slice(at).filter((segment) => !elsewhere(segment)).length,
    before: at,
    waited_ms: moved[at].at - (moved[at - 1]?.at ?? 0),
    stood: after.stood,
    errors: after.errors,
    position: tenths(after.position),
  };
});
