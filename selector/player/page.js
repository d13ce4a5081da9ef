// The words, rows and tones on the page. Text only ever goes in as text, never as markup.

const LOG_LINES = 50;
const CACHE_TONES = { hit: "good", revalidated: "good", miss: "warn", collapsed: "warn", stale: "warn" };

export const at = (id) => document.getElementById(id);

/** A table row for one fetched segment. */
export function segmentRow(row) {
  const line = document.createElement("tr");
  const cell = (text, name = "") => {
    const field = line.insertCell();
    field.className = name;
    field.textContent = text;
    return field;
  };
  cell(row.name, "mono");
  cell(row.edge);
  const badge = document.createElement("span");
  badge.className = "badge";
  badge.textContent = row.cache;
  badge.dataset.tone = CACHE_TONES[row.cache] ?? "idle";
  cell("").append(badge);
  cell(row.bytes ? `${(row.bytes / 1000).toFixed(1)} kB` : "", "number");
  cell(`${row.ms < 10 ? row.ms.toFixed(1) : Math.round(row.ms)} ms`, "number");
  cell(row.protocol || "", "mono");
  return line;
}

/** The one line that tells how things stand. */
export function say(tone, text) {
  const status = at("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.tone = tone;
}

/** Words over the picture; "" takes them away. */
export function veil(text) {
  at("veil").textContent = text;
  at("veil").hidden = text === "";
}

/** One more line in the log, newest first. */
export function log(text) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  const now = new Date();
  time.dateTime = now.toISOString();
  time.textContent = now.toLocaleTimeString([], { hour12: false });
  line.append(time, text);
  at("log").prepend(line);
  while (at("log").children.length > LOG_LINES) at("log").lastChild.remove();
}

/** Puts the signed URL on the clipboard. */
export async function copyUrl() {
  at("elsewhere-url").select();
  try {
    await navigator.clipboard.writeText(at("elsewhere-url").value);
    at("elsewhere-copy").textContent = "Copied";
  } catch {
    // No clipboard outside secure contexts: the text is selected, Ctrl-C works.
    at("elsewhere-copy").textContent = "Press Ctrl-C";
  }
}

/** Bits per second in words. */
export function rate(bps) {
  if (bps >= 1e9) return `${(bps / 1e9).toFixed(2)} Gbit/s`;
  if (bps >= 1e6) return `${(bps / 1e6).toFixed(2)} Mbit/s`;
  return `${Math.round(bps / 1e3)} kbit/s`;
}
