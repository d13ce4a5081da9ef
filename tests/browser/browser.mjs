// Starts Debian's Chromium headless with a profile of its own, and ends it whatever happens.
//
// A scenario is `run(name, limitMs, async (context) => facts)`: it prints one line of JSON
// and exits 0, or prints {"ok":false,"error":…} and exits 1. Nothing is left behind.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

// Without these flags Chromium looks for hosts of its maker's, in vain on a closed network.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
];

export async function launch(extra = []) {
  const profile = mkdtempSync(join(tmpdir(), "kromka-chromium-"));
  const remove = () => rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  try {
    const context = await chromium.launchPersistentContext(profile, {
      headless: true,
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: [...FLAGS, ...extra],
      viewport: { width: 1280, height: 900 },
      timeout: 20_000,
    });
    return { context, close: async () => { await context.close().catch(() => {}); remove(); } };
  } catch (reason) {
    remove();
    throw reason;
  }
}

export async function run(name, limitMs, scenario, extraFlags = []) {
  const began = Date.now();
  const said = [];
  let browser;
  let timer;
  let result;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${limitMs / 1000} s`)), limitMs);
    });
    const work = (async () => {
      browser = await launch(extraFlags);
      const page = await browser.context.newPage();
      page.on("console", (message) => message.type() === "error" && said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      return scenario(page, said);
    })();
    work.catch(() => {});
    result = { ok: true, ...(await Promise.race([work, late])) };
  } catch (reason) {
    result = { ok: false, error: reason.message.split("\n")[0], console: said.slice(-5) };
  }
  clearTimeout(timer);
  await browser?.close();
  console.log(JSON.stringify({ test: name, ...result, ms: Date.now() - began }));
  process.exit(result.ok ? 0 : 1);
}

/** Asks until `probe` answers something true; the error says what was awaited and last seen. */
export async function until(what, limitMs, probe) {
  const end = Date.now() + limitMs;
  let seen;
  for (;;) {
    seen = await probe();
    if (seen?.ok ?? seen) return seen;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s; last seen ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export function usage(text) {
  console.error(`usage: ${text}`);
  process.exit(2);
}
