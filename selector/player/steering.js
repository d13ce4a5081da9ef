// The session's steering document, for show: what players that follow one are told now. The browser's own HLS
// follows none, so this page moves by itself (moves.js).

export class Steering {
  #url = null;
  #due = 0;
  #words = "none";

  /** Begins anew with the address of a session's document, or with none. */
  follow(url) {
    this.#url = url ?? null;
    this.#due = 0;
    this.#words = url ? "asking" : "none";
  }

  /** Looks again when the document says so. */
  async poll(now = Date.now()) {
    const url = this.#url;
    if (!url || now < this.#due) return;
    this.#due = now + 10_000;
    try {
      const answer = await fetch(url);
      const document = await answer.json();
      if (url !== this.#url) return;
      if (!answer.ok) throw new Error(document.title ?? answer.status);
      this.#due = now + document.TTL * 1000;
      this.#url = new URL(document["RELOAD-URI"] ?? url, url).href;
      this.#words = document["PATHWAY-PRIORITY"].map(edgeOf).join(", ");
    } catch (reason) {
      if (url === this.#url) this.#words = `not known: ${reason.message}`;
    }
  }

  /** The edges in the document's order, in words. */
  get words() {
    return this.#words;
  }
}

/** The edge that a pathway names: its id without the mark of its address. */
export function edgeOf(pathway) {
  return pathway.replace(/\.[0-9a-f]{6}$/, "");
}
