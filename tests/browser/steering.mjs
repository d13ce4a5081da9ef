// hls.js and content steering: it plays from one edge, that edge is drained, and at its next look at the
// steering document it takes another, with no fatal error and no segment missing.
//   node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN

import { run, usage } from "./browser.mjs";
import { HLS_JS, leavesADrainedEdge, open } from "./player.mjs";

const [url, selector, token] = process.argv.slice(2);
if (!url || !selector || !token) usage("node steering.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN");

const play = (source) => {
  const hls = new Hls({ startLevel: 0, maxBufferLength: 3, maxMaxBufferLength: 3 });
  hls.on(Hls.Events.MANIFEST_PARSED, () => { hls.loadLevel = 0; });
  watch(hls, source);
};

await run("steering", 75_000, async (page) => {
  await open(page, HLS_JS(), play, [url]);
  const { facts, own } = await leavesADrainedEdge(page, selector, token, 30_000, (now, moved) =>
    now.ended || now.position - moved.position >= 6);
  // Once a rendition has moved, nothing more of it comes from the drained edge.
  for (const [folder, edges] of Object.entries(own)) {
    const at = edges.findIndex((edge) => edge !== facts.first);
    if (at >= 0 && edges.slice(at).includes(facts.first)) {
      throw new Error(`${folder} went back to the drained edge: ${edges}`);
    }
  }
  return facts;
});
