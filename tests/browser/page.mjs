// The player page against the stand-in of fake.mjs: what is hard to bring about with real
// roles. An edge that fails its viewers three ways while the selector still believes in it,
// the last edge drained, a signed URL without a token, a browser without HLS.
//   node page.mjs

import { run, until } from "./browser.mjs";
import { start } from "./fake.mjs";

await run("page", 90_000, async (page, said) => {
  const fleet = await start();
  const [one, two] = fleet.edges;
  const facts = {};
  const open = async (url) => {
    for (const edge of fleet.edges) Object.assign(edge, { mode: "ok", state: "up" });
    await page.goto("about:blank");
    await page.goto(url);
  };
  const state = () => page.evaluate(() => ({
    status: document.getElementById("status").textContent,
    edge: document.getElementById("edge").textContent,
    position: document.querySelector("#stage video.active").currentTime,
    log: [...document.querySelectorAll("#log li")].map((line) => line.lastChild.textContent),
  }));
  const seen = (what, limitMs, test) => until(what, limitMs, async () => {
    const now = await state();
    return { ...now, ok: test(now) };
  });
  const playing = (edge, limitMs) =>
    seen(`it plays from ${edge}`, limitMs, (now) => now.status === `Playing from ${edge}` && now.position > 0.5);

  // Chromium's player holds about ten seconds, so a silent edge is felt only then.
  for (const [mode, limitMs] of [["503", 15_000], ["reset", 15_000], ["hang", 25_000]]) {
    await open(fleet.player);
    await playing("edge-1", 10_000);
    one.mode = mode;
    const before = await state();
    const after = await playing("edge-2", limitMs);
    if (after.position < before.position) throw new Error(`${mode}: went back from ${before.position} to ${after.position}`);
    facts[`edge_${mode}`] = after.log[0];
  }

  await open(fleet.player);
  await playing("edge-1", 10_000);
  two.state = "draining";
  await page.click('#nodes li[data-node="edge-1"] button[data-verb="drain"]');
  facts.last = (await seen("it stays on the last edge and says so", 10_000, (now) => now.log.some((line) => line.endsWith("staying")))).log[0];
  await playing("edge-1", 5000);
  two.state = "up";
  await playing("edge-2", 10_000);

  await open(`${fleet.url}/player?url=${encodeURIComponent(fleet.signed("/stream/track/master.m3u8"))}`);
  await playing("edge-1", 10_000);
  one.state = "draining";
  await playing("edge-2", 15_000);
  facts.signed = (await state()).log[0];

  const refused = said.filter((line) => line.includes("Content Security Policy"));
  if (refused.length > 0) throw new Error(refused[0]);

  await page.addInitScript(() => { HTMLMediaElement.prototype.canPlayType = () => ""; });
  await open(fleet.player);
  facts.none = await until("the URL is shown to a browser without HLS", 10_000, () =>
    page.evaluate(() => !document.getElementById("elsewhere").hidden && document.getElementById("elsewhere-url").value));
  return facts;
});
