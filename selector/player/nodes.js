// The list of nodes. Rows are kept and changed in place, so that a button under the
// pointer or under the keyboard's focus stays the same button.

import { rate } from "./page.js";

export class NodeList {
  #list;
  #note;
  #act;
  #rows = new Map();

  /** @param {(id: string, verb: "drain"|"resume") => Promise<void>} act */
  constructor(list, note, act) {
    this.#list = list;
    this.#note = note;
    this.#act = act;
  }

  /** Nodes as the control API lists them; edges first. */
  showNodes(nodes, serving) {
    const order = [...nodes].sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
    this.#sync(order.map((node) => ({
      id: node.id,
      state: node.state,
      place: `${node.role} in ${node.site}`,
      share: share(node.load),
      words: words(node.load),
      serving: node.id === serving,
      verb: node.role !== "edge" ? null : node.state === "draining" ? "resume" : "drain",
    })));
    this.#note.textContent = nodes.length ? "" : "The selector knows no node yet.";
  }

  /** Edges as the selector ranks them: all that a page without a token can see. */
  showRanking(edges, serving) {
    this.#sync(edges.map((edge, i) => ({
      id: edge.id,
      state: i === 0 ? "best" : "offered",
      place: `edge in ${edge.site}`,
      share: edge.utilisation ?? null,
      words: edge.utilisation == null ? "" : `${percent(edge.utilisation)} used`,
      serving: edge.id === serving,
      verb: null,
    })));
    this.#note.textContent = "With an API token this list shows every node and can drain edges.";
  }

  showTrouble(text) {
    this.#note.textContent = text;
  }

  #sync(wanted) {
    const ids = new Set(wanted.map((node) => node.id));
    for (const [id, row] of this.#rows) {
      if (!ids.has(id)) {
        row.item.remove();
        this.#rows.delete(id);
      }
    }
    wanted.forEach((node, i) => {
      const row = this.#rows.get(node.id) ?? this.#make(node.id);
      fill(row, node);
      if (this.#list.children[i] !== row.item) this.#list.insertBefore(row.item, this.#list.children[i] ?? null);
    });
  }

  #make(id) {
    const item = document.createElement("li");
    item.dataset.node = id;
    const row = {
      item,
      name: add(item, "span", "name"),
      state: add(item, "span", "badge"),
      button: add(item, "button", ""),
      place: add(item, "span", "place"),
      meter: add(item, "meter", ""),
      load: add(item, "span", "load"),
    };
    row.button.type = "button";
    row.meter.min = 0;
    row.meter.max = 1;
    row.meter.high = 0.85;
    row.button.addEventListener("click", async () => {
      // Not `disabled`: that would take the keyboard's focus away.
      if (row.button.ariaBusy === "true") return;
      row.button.ariaBusy = "true";
      await this.#act(id, row.button.dataset.verb);
      row.button.ariaBusy = "false";
    });
    this.#rows.set(id, row);
    return row;
  }
}

function fill(row, node) {
  row.item.classList.toggle("serving", node.serving);
  row.name.textContent = node.id;
  row.state.textContent = node.state;
  row.state.dataset.tone = { up: "good", best: "good", offered: "idle", draining: "warn", suspect: "warn", down: "bad" }[node.state] ?? "idle";
  row.place.textContent = node.serving ? `${node.place}, serves this page` : node.place;
  row.load.textContent = node.words;
  row.meter.hidden = node.share === null;
  row.meter.value = node.share ?? 0;
  row.meter.setAttribute("aria-label", `Load of ${node.id}`);
  row.button.hidden = node.verb === null;
  if (node.verb && row.button.dataset.verb !== node.verb) {
    row.button.dataset.verb = node.verb;
    row.button.textContent = node.verb === "drain" ? "Drain" : "Resume";
    row.button.setAttribute("aria-label", `${row.button.textContent} ${node.id}`);
  }
}

function add(parent, tag, name) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  parent.append(element);
  return element;
}

function rank(node) {
  return node.role === "edge" ? 0 : 1;
}

// The largest of the shares the node reports: what would run out first.
function share(load) {
  if (!load) return null;
  const parts = [
    load.egress_limit_bps ? load.egress_bps / load.egress_limit_bps : 0,
    load.connections_limit ? load.connections / load.connections_limit : 0,
    load.cpu ?? 0,
  ];
  return Math.min(Math.max(...parts), 1);
}

function words(load) {
  if (!load) return "";
  const parts = [rate(load.egress_bps ?? 0)];
  if (load.connections != null) parts.push(`${load.connections} connection${load.connections === 1 ? "" : "s"}`);
  if (load.cpu != null) parts.push(`CPU ${percent(load.cpu)}`);
  return parts.join(", ");
}

function percent(part) {
  return `${Math.round(part * 100)} %`;
}
