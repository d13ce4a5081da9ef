// The player page tells the selector what it sees: it is asked to measure two edges; then this browser, and nobody
// else, gets nothing more from the one it plays from, and it goes on from another. It says what was told, and what the
// selector answered.
//   node beacon.mjs PLAYER_URL

import { run, until, usage } from "./browser.mjs";

const [url] = process.argv.slice(2);
if (!url) usage("node beacon.mjs PLAYER_URL");

await run("beacon", 60_000, async (page) => {
  let master = "";
  const facts = { beacons: [], statuses: [] };
  page.on("response", async (response) => {
    const request = response.request();
    const { pathname } = new URL(response.url());
    if (pathname === "/v1/beacon" && request.method() === "POST") {
      const { samples = [], errors = [] } = JSON.parse(request.postData());
      facts.beacons.push({ samples, errors });
      facts.statuses.push(response.status());
    }
    // The session that plays when the edge fails is the first one.
    if (pathname === "/v1/playback-sessions" && !master) master = (await response.json()).master_url;
  });
  await page.goto(url, { timeout: 10_000 });
  const state = () => page.evaluate(() => ({
    edge: document.getElementById("edge").textContent,
    status: document.getElementById("status").textContent,
    log: [...document.querySelectorAll("#log li")].map((line) => line.lastChild.textContent),
  }));
  const first = await until("the page plays", 20_000, async () => {
    const now = await state();
    return { ...now, ok: now.status.startsWith("Playing from edge-") };
  });
  await until("what was measured has been told", 10_000, () => facts.beacons.some(({ samples }) => samples.length > 0));
  const { origin } = new URL(master);
  await page.route((url) => url.origin === origin, (route) => route.abort("connectionreset"));
  const moved = await until("it plays from another edge", 40_000, async () => {
    const now = await state();
    return { ...now, ok: now.status.startsWith("Playing from edge-") && now.edge !== first.edge };
  });
  await until("what went wrong has been told", 10_000, () => facts.beacons.some(({ errors }) => errors.length > 0));
  return { ...facts, first: first.edge, then: moved.edge, log: moved.log };
});
