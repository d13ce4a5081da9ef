// The player page: asks the selector for a session, plays it with the browser's own HLS,
// shows which edge serves, and moves to another edge when that one is drained or fails.
//
//   api.js       the selector's API            playback.js  two videos, one seen
//   segments.js  what the browser fetched      moves.js     when to leave an edge (pure)
//   nodes.js     the list with its buttons     page.js      words and rows on the page
//   steering.js  what steered players are told beacon.js    what it tells the selector
//   player.js    this: ties them together
//
// What to play stands in the fragment, which no browser sends to a server:
//   /player#token=…&service=default&asset=/stream/demo/master.m3u8[&samples=1]
//   /player#url=…   (or /player?url=…)   a signed URL; no token, so no new sessions

import { Api } from "./api.js";
import { Beacon } from "./beacon.js";
import { assetOf, edgeAt, onEdge, originOf, pause, whyMove } from "./moves.js";
import { NodeList } from "./nodes.js";
import { at, copyUrl, log, rate, say, segmentRow, veil } from "./page.js";
import { Playback } from "./playback.js";
import { Segments } from "./segments.js";
import { Steering } from "./steering.js";

const POLL_MS = 2000;
const DRAW_MS = 500;
const TRIES = 6;
const SAMPLES = ["/stream/demo/master.m3u8", "/stream/demo-fmp4/master.m3u8", "/stream/track/master.m3u8"];

class Player {
  #api = new Api("");
  #steering = new Steering();
  #beacon = new Beacon();
  #session = null;
  #want = { service: "default", asset: "", url: "" };
  #nodes = null;
  #ranking = null;
  #missed = 0;
  #serving = null;
  #generation = 0;
  #leaving = false;
  #stuck = "";

  constructor() {
    this.playback = new Playback(at("stage"));
    this.segments = new Segments((origin) => edgeAt(origin, this.#nodes, this.#ranking), () => this.#drawSegments());
    this.list = new NodeList(at("nodes"), at("nodes-note"), (id, verb) => this.#setNode(id, verb));
    this.playback.addEventListener("trouble", (event) => {
      this.#beacon.fault(this.#serving, event.detail === "fails" ? "reset" : "stall");
      this.#move(`${this.#serving ?? "the edge"} ${event.detail}`, false);
    });
  }

  async run() {
    this.segments.start();
    at("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#fromForm();
    });
    at("repeat").addEventListener("change", () => { this.playback.repeat = at("repeat").checked; });
    at("elsewhere-copy").addEventListener("click", copyUrl);
    addEventListener("hashchange", () => this.#fromAddress());
    setInterval(() => this.#draw(), DRAW_MS);
    this.#fromAddress();
    for (;;) {
      await this.#poll();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  // ------------ What to play

  #fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const url = given.get("url") ?? new URLSearchParams(location.search).get("url") ?? "";
    at("token").value = given.get("token") ?? "";
    at("service").value = given.get("service") ?? "default";
    at("asset").value = url || (given.get("asset") ?? "");
    if (given.get("samples") === "1") {
      at("samples").replaceChildren(...SAMPLES.map((path) => new Option(path, path)));
      at("asset").setAttribute("list", "samples");
      // The samples are short: without this there is little time to see a move.
      at("repeat").checked = true;
      this.playback.repeat = true;
    }
    at("access").open = at("token").value === "" && url === "";
    this.#fromForm();
  }

  #fromForm() {
    const asset = at("asset").value.trim();
    const signed = /^https?:\/\//.test(asset);
    this.#api = new Api(at("token").value.trim());
    this.#want = {
      service: at("service").value.trim() || "default",
      asset: signed && originOf(asset) ? assetOf(asset) : asset,
      url: signed ? asset : "",
    };
    this.#nodes = null;
    this.#ranking = null;
    this.#missed = 0;
    if (!asset) return say("idle", "Nothing chosen");
    if (signed && !originOf(asset)) return say("bad", "That is not a URL");
    if (!signed && !this.#api.mayWrite) return say("bad", "An API token or a signed URL is needed");
    this.#begin();
  }

  async #begin() {
    const generation = ++this.#generation;
    say("idle", "Asking for a session");
    for (let tries = 1; generation === this.#generation; tries += 1) {
      try {
        const source = await this.#source();
        if (!Playback.supported()) return this.#elsewhere(source.url);
        veil("");
        this.#serving = source.edge;
        this.#stuck = "";
        await this.playback.open(source.url);
        if (generation === this.#generation) log(`playing ${this.#want.asset} from ${this.#name(source)}`);
        if (this.#session) this.#beacon.explore(this.#session);
        return;
      } catch (reason) {
        if (generation !== this.#generation) return;
        log(`start failed: ${reason.message}`);
        const hopeless = tries >= TRIES || (reason.status >= 400 && reason.status < 500 && reason.status !== 429);
        if (hopeless) {
          veil("This asset cannot be played now. The log says why.");
          return say("bad", "Not playing");
        }
        await new Promise((resolve) => setTimeout(resolve, pause(tries)));
      }
    }
  }

  /** A signed URL and the edge it leads to: the given one, or that of a new session. */
  async #source() {
    this.#session = null;
    if (this.#want.url) return { url: this.#want.url, edge: this.#edgeAt(this.#want.url) };
    const session = await this.#api.session(this.#want.service, this.#want.asset);
    this.#session = session;
    this.#beacon.begin(session);
    const { master_url: url, edge, alternates = [] } = session;
    this.#steering.follow(session.steering_url);
    return { url, edge: edge ?? this.#edgeAt(url), alternates };
  }

  /** The same for a viewer who is on the edge `from`. */
  async #sourceBeside(from, gentle) {
    if (this.#want.url) {
      const edges = await this.#api.select(this.#want.service, this.#want.asset);
      const other = edges.find((edge) => edge.id !== from) ?? edges[0];
      if (!other) throw new Error("the selector offers no edge");
      return { url: onEdge(this.#want.url, other.url), edge: other.id };
    }
    const source = await this.#source();
    // An edge can fail its viewers before the selector knows: then its second choice is taken.
    if (gentle || source.edge !== from) return source;
    const other = source.alternates.find((url) => originOf(url) !== originOf(source.url));
    return other ? { url: other, edge: this.#edgeAt(other) } : source;
  }

  #elsewhere(url) {
    at("elsewhere").hidden = false;
    at("elsewhere-url").value = url;
    veil("This browser does not play HLS by itself.");
    say("bad", "No HLS in this browser");
    log("this browser has no HLS of its own: the signed URL is shown");
  }

  // ------------ Moves

  // `gentle`: the old edge still sends, so there is time, and nothing is lost by staying.
  async #move(why, gentle) {
    if (this.#leaving || this.playback.moving) return;
    this.#leaving = true;
    try {
      await this.#leave(why, gentle);
    } finally {
      this.#leaving = false;
    }
  }

  async #leave(why, gentle) {
    const generation = this.#generation;
    const from = this.#serving;
    say("warn", "Moving to another edge");
    for (let tries = 1; generation === this.#generation; tries += 1) {
      try {
        const source = await this.#sourceBeside(from, gentle);
        if (gentle && source.edge === from) throw new Error("no other edge is offered");
        await this.playback.moveTo(source.url);
        this.#serving = source.edge;
        this.#missed = 0;
        this.#stuck = "";
        if (source.edge === from) log(`reloaded from ${from}: ${why}`);
        else log(`moved from ${from ?? "an edge"} to ${this.#name(source)}: ${why}`);
        return;
      } catch (reason) {
        if (generation !== this.#generation) return;
        if (gentle) return this.#stay(why, reason);
        log(`try ${tries} of ${TRIES} to move: ${reason.message}`);
        if (tries >= TRIES) {
          veil("No edge answers. Press Play beside the asset to try again.");
          return say("bad", "Not playing");
        }
        await new Promise((resolve) => setTimeout(resolve, pause(tries)));
      }
    }
  }

  // Said once per reason; the next poll tries again.
  #stay(why, reason) {
    const words = `${why}, but ${reason.message}: staying`;
    if (words !== this.#stuck) log(words);
    this.#stuck = words;
  }

  async #poll() {
    if (!this.#want.asset) {
      this.list.showTrouble("Waiting for an asset.");
      return;
    }
    const generation = this.#generation;
    await this.#steering.poll();
    const [nodes, ranking] = await Promise.allSettled([
      this.#api.mayWrite ? this.#api.nodes() : Promise.resolve(null),
      this.#api.select(this.#want.service, this.#want.asset),
    ]);
    if (generation !== this.#generation) return;
    if (ranking.status === "fulfilled") {
      this.#ranking = ranking.value;
      this.#missed = ranking.value.some((edge) => edge.id === this.#serving) ? 0 : this.#missed + 1;
    }
    if (nodes.status === "fulfilled" && nodes.value) {
      this.#nodes = nodes.value;
      this.list.showNodes(nodes.value, this.#serving);
    } else if (nodes.status === "rejected") {
      this.list.showTrouble(`The nodes are not known: ${nodes.reason.message}.`);
    } else if (this.#ranking) {
      this.list.showRanking(this.#ranking, this.#serving);
    } else {
      this.list.showTrouble(`The edges are not known: ${ranking.reason.message}.`);
    }
    const why = this.#playing() ? whyMove(this.#serving, this.#nodes, this.#missed) : null;
    if (why) await this.#move(why, true);
  }

  #playing() {
    const { loaded, failed } = this.playback.stats();
    return loaded && !failed;
  }

  async #setNode(id, verb) {
    try {
      await this.#api.setNode(id, verb);
      log(verb === "drain" ? `asked ${id} to drain: it takes no new viewers` : `${id} takes viewers again`);
      await this.#poll();
    } catch (reason) {
      log(`${verb} ${id} failed: ${reason.message}`);
    }
  }

  #edgeAt(url) {
    return edgeAt(originOf(url), this.#nodes, this.#ranking);
  }

  #name(source) {
    return source.edge ?? new URL(source.url).host;
  }

  // ------------ What is shown

  #draw() {
    const now = this.playback.stats();
    const row = this.segments.latest(originOf(this.playback.source));
    at("steering").textContent = this.#steering.words;
    // What the edge says of itself is worth more than what was planned.
    if (row && !this.playback.moving) this.#serving = row.edge;
    at("edge").textContent = this.#serving ?? "none yet";
    if (now.loaded) {
      const size = now.width ? `${now.width} × ${now.height}` : "sound only";
      at("rendition").textContent = row ? `${row.rendition}, ${size}` : size;
      veil(now.width ? "" : "Sound only");
    }
    at("bitrate").textContent = now.bitrate ? rate(now.bitrate) : now.loaded ? "measuring" : "none yet";
    at("buffer").textContent = `${now.buffer.toFixed(1)} s`;
    if (this.#leaving || this.playback.moving || now.failed || !now.loaded) return;
    if (now.ended) say("idle", "Ended");
    else if (now.paused) say("idle", "Paused");
    else if (now.playing) say("good", `Playing from ${this.#serving ?? "an edge"}`);
    else say("warn", "Waiting for data");
    if (now.position > 5 && this.segments.rows.length === 0) {
      at("segments-note").textContent = "This browser does not list what its HLS player fetches.";
    }
  }

  #drawSegments() {
    at("segments-note").textContent = "";
    at("segments").tBodies[0].replaceChildren(...this.segments.rows.map(segmentRow));
  }
}

new Player().run();
