// Shaka Player and content steering: it plays from one edge, that edge is drained, and after its next look at the
// steering document it takes another, with no segment missing. Only pathways that the playlist has in full are taken.
//   node shaka.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN

import { run, usage } from "./browser.mjs";
import { leavesADrainedEdge, open, SHAKA } from "./player.mjs";

const [url, selector, token] = process.argv.slice(2);
if (!url || !selector || !token) usage("node shaka.mjs SIGNED_MASTER_URL SELECTOR_URL API_TOKEN");

const play = async (source) => {
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
    if (type === RequestType.SEGMENT) facts.loaded.push({ url: response.uri });
  });
  await player.load(source).catch((error) => { facts.fatal = error.code; });
  video.play();
};

await run("shaka", 80_000, async (page) => {
  await open(page, SHAKA(), play, [url]);
  return (await leavesADrainedEdge(page, selector, token, 40_000, (now) => now.ended)).facts;
});
