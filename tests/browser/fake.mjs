// A stand-in for a selector and two edges, to work on the player page without a build:
//   node fake.mjs            prints the page's URL and serves until Ctrl-C
// Tests import start() and break an edge by `edges[0].mode = "503" | "hang" | "reset"`.
// It keeps to the shapes of the API that the page uses, and knows nothing else.

import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const TYPES = {
  ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".m4s": "video/mp4", ".mp4": "video/mp4",
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
};
// The policy the selector sends with the page: nothing from elsewhere but the media.
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
  + "media-src http: https:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export async function start({ token = "fake-token" } = {}) {
  const edges = await Promise.all(["edge-1", "edge-2"].map(startEdge));
  let sessions = 0;
  const usable = () => edges.filter((edge) => edge.state === "up");

  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://selector");
    const json = (status, body) => {
      response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
      response.end(JSON.stringify(body));
    };
    if (url.pathname.startsWith("/player")) {
      const name = url.pathname.slice("/player".length).replace(/^\//, "") || "index.html";
      return file(join(root, "selector/player", normalize(`/${name}`)), response, { "content-security-policy": POLICY });
    }
    if (url.pathname === "/v1/select") {
      return json(200, { edges: usable().map((edge) => ({ id: edge.id, url: edge.url, site: "local", utilisation: 0.1 })) });
    }
    if (request.headers.authorization !== `Bearer ${token}`) return json(401, { title: "No valid token", status: 401 });
    if (url.pathname === "/v1/nodes") return json(200, { items: [...edges.map(asNode), origin] });
    if (url.pathname === "/v1/playback-sessions") return read(request, ({ asset }) => {
      const [edge, ...others] = usable();
      if (!edge) return json(503, { title: "No edge is up", status: 503 });
      sessions += 1;
      const signed = (one) => `${one.url}/~t${sessions}${asset}`;
      return json(201, { session_id: `s${sessions}`, edge: edge.id, master_url: signed(edge), alternates: others.map(signed) });
    });
    const act = /^\/v1\/nodes\/([^/:]+):(drain|resume)$/.exec(url.pathname);
    const edge = edges.find((one) => one.id === act?.[1]);
    if (!edge) return json(404, { title: "Not found", status: 404 });
    edge.state = act[2] === "drain" ? "draining" : "up";
    return json(200, asNode(edge));
  });
  const url = await listen(server);
  return {
    edges,
    player: `${url}/player#token=${token}&service=default&asset=/stream/demo/master.m3u8&samples=1`,
    signed: (path) => `${edges[0].url}/~t0${path}`,
    url,
  };
}

async function startEdge(id) {
  const edge = { id, state: "up", mode: "ok", requests: 0 };
  const warm = new Set();
  const server = createServer((request, response) => {
    edge.requests += 1;
    if (edge.mode === "reset") return response.destroy();
    if (edge.mode === "hang") return undefined;
    if (edge.mode === "503") return response.writeHead(503).end();
    const path = new URL(request.url, "http://edge").pathname.replace(/^\/~[^/]+/, "");
    const hit = warm.has(path);
    warm.add(path);
    return file(join(root, "media", normalize(path)), response, {
      "access-control-allow-origin": "*",
      "timing-allow-origin": "*",
      "server-timing": `edge;desc="${id}", cache;desc="${hit ? "hit" : "miss"}"`,
      "cache-control": "public, max-age=31536000, immutable",
    });
  });
  edge.url = await listen(server);
  return edge;
}

const origin = {
  id: "origin", role: "origin", site: "local", state: "up", url: "http://127.0.0.1:9",
  load: { egress_bps: 310000, egress_limit_bps: 1e9, connections: 2, connections_limit: 16384, cpu: 0.02 },
};

function asNode(edge) {
  return {
    id: edge.id, role: "edge", site: "local", state: edge.state, url: edge.url, version: "0", feed_seq: 1,
    load: { egress_bps: edge.requests * 9e6, egress_limit_bps: 1e9, connections: edge.requests, connections_limit: 16384, cpu: 0.07 },
  };
}

function file(path, response, headers) {
  try {
    const { length } = readFileSync(path);
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream", "content-length": length, ...headers });
    createReadStream(path).pipe(response);
  } catch {
    response.writeHead(404, headers).end();
  }
}

function read(request, use) {
  let text = "";
  request.on("data", (chunk) => { text += chunk; });
  request.on("end", () => use(JSON.parse(text)));
}

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log((await start()).player);
