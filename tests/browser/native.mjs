// The player page in Chromium, with the browser's own HLS: it plays, shows the edge and its
// segments; then the serving edge is drained by its button, and the page moves and goes on.
//   node native.mjs PLAYER_URL [SECONDS]      SECONDS to play before and after (default 4)

import { run, until, usage } from "./browser.mjs";

const [url, seconds = "4"] = process.argv.slice(2);
if (!url || !(Number(seconds) > 0)) usage("node native.mjs PLAYER_URL [SECONDS]");

await run("native", 60_000, async (page) => {
  await page.goto(url, { timeout: 10_000 });
  const began = await until("the page plays", 15_000, () => look(page));
  // Positions may wrap where the page repeats a short asset; played time may not.
  const played = await until(`${seconds} s are played`, 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ok && now.played - began.played >= Number(seconds) && now.segments.length > 0 && now.edge !== "none yet" };
  });
  const first = played.edge;
  const named = played.segments.find((row) => row.edge === first);
  if (!named) throw new Error(`no segment row names ${first}: ${JSON.stringify(played.segments)}`);

  await page.locator(`#nodes li[data-node="${first}"] button[data-verb="drain"]`).click({ timeout: 10_000 });
  const moved = await until(`the page leaves ${first}`, 20_000, async () => {
    const now = await look(page);
    const row = now.segments.find((one) => one.edge === now.edge);
    return { ...now, ok: now.edge !== first && now.log.some((line) => line.startsWith(`moved from ${first} to `)) && row !== undefined };
  });
  const after = await until(`${seconds} s more are played`, 20_000, async () => {
    const now = await look(page);
    return { ...now, ok: now.ok && now.played - moved.played >= Number(seconds) };
  });

  // A source that began anew would jump back to its start; sampling alone may lag a little.
  if (after.jump > 3) throw new Error(`the position jumped by ${round(after.jump)} s`);

  await page.locator(`#nodes li[data-node="${first}"] button[data-verb="resume"]`).click({ timeout: 10_000 });
  await until(`${first} is resumed`, 10_000, () => page.locator(`#nodes li[data-node="${first}"] button[data-verb="drain"]`).count());
  return {
    first_edge: first,
    then_edge: after.edge,
    jump_s: round(after.jump),
    rendition: after.rendition,
    cache: [...new Set(after.segments.map((row) => row.cache))],
    move: moved.log.find((line) => line.startsWith("moved")),
  };
});

// What a viewer sees. `played` counts media time that went by, and `jump` the largest step of it.
function look(page) {
  return page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const video = document.querySelector("#stage video.active");
    const memory = (window.seen ??= { played: 0, jump: 0, at: null, watch: 0 });
    if (!memory.watch) {
      memory.watch = setInterval(() => {
        const shown = document.querySelector("#stage video.active");
        const step = shown.currentTime - (memory.at ?? shown.currentTime);
        if (step > 0) memory.played += Math.min(step, 1);
        // A repeat goes from the end to the start; that is no jump.
        const wrapped = step < 0 && (memory.at ?? 0) > shown.duration - 2;
        if (!wrapped) memory.jump = Math.max(memory.jump, Math.abs(step));
        memory.at = shown.currentTime;
      }, 50);
    }
    return {
      ok: !video.paused && video.readyState >= 3 && video.error === null,
      played: memory.played,
      jump: memory.jump,
      edge: text("edge"),
      rendition: text("rendition"),
      status: text("status"),
      segments: [...document.querySelectorAll("#segments tbody tr")].map((row) => ({
        name: row.cells[0].textContent, edge: row.cells[1].textContent, cache: row.cells[2].textContent,
      })),
      log: [...document.querySelectorAll("#log li")].map((line) => line.lastChild.textContent),
    };
  });
}

function round(seconds) {
  return Math.round(seconds * 100) / 100;
}
