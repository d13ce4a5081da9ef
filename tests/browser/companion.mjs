// What the companion of hls.js decides, with a stand-in for hls.js and no browser: asked again is only where there is no
// other pathway, and what fails now is none.
//   node companion.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const source = (name) => readFileSync(new URL(`../../selector/player/${name}`, import.meta.url), "utf8");
const module = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
const beacon = module(source("beacon.js"));
const { Companion } = await import(module(source("hlsjs.js").replace("./beacon.js", beacon)));

class Fake {
  static Events = new Proxy({}, { get: (_, name) => name });
  levels = [];
  loadLevel = 0;
  pathwayPriority = null;
  #heard = new Map();
  constructor(...ways) {
    this.pathways = ways.map((way) => `${way}.1`);
    this.levels = this.pathways.map((pathwayId) => ({ pathwayId }));
  }
  on(event, hear) { this.#heard.set(event, hear); }
  plays(way) { this.loadLevel = this.pathways.indexOf(`${way}.1`); }
  fails(way) {
    const context = { pathwayId: `${way}.1` };
    this.#heard.get("ERROR")("ERROR", { details: "fragLoadTimeOut", context });
  }
}

function at(...ways) {
  const companion = new Companion();
  const hls = new Fake(...ways);
  const { timeoutRetry } = companion.config.fragLoadPolicy.default;
  const again = (would = true) => timeoutRetry.shouldRetry(timeoutRetry, 0, true, undefined, would);
  assert.equal(again(), true, "before it is attached it knows of nowhere else");
  companion.attach(hls);
  return { hls, again };
}

const alone = at("a");
assert.equal(alone.again(), true, "nowhere to go");
assert.equal(alone.again(false), false, "hls.js has had enough");

const two = at("a", "b");
assert.equal(two.again(), false, "b has not failed");
two.hls.fails("a");
assert.deepEqual(two.hls.pathwayPriority, ["b.1", "a.1"]);
two.hls.plays("b");
assert.equal(two.again(), true, "a has failed, and b is what fails now");
two.hls.fails("b");
assert.equal(two.again(), true, "both have");

const three = at("a", "b", "c");
three.hls.fails("a");
three.hls.plays("b");
assert.equal(three.again(), false, "c has not");
three.hls.fails("b");
assert.equal(three.hls.pathwayPriority[0], "c.1");
three.hls.plays("c");
assert.equal(three.again(), true);

console.log(JSON.stringify({ result: "passed" }));
process.exit(0);
