// Tells whether what the page shows is live, in the page's head.

import { setText } from "./dom.js";

const TEXTS = { connecting: "Connecting…", reconnecting: "Reconnecting…", closed: "Disconnected", live: "Live", stale: "Checking…" };
/** A reconnect that takes less is not worth a flicker; the map itself is marked at once. */
const CALM_MS = 200;

export class ConnectionBadge {
  #timer = 0;

  constructor(node, client) {
    this.node = node;
    this.client = client;
    client.on("state", () => this.#later());
    client.on("quiet", () => this.#later());
    this.#later();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#update(), CALM_MS);
  }

  #update() {
    const state = this.client.state === "live" && this.client.quiet ? "stale" : this.client.state;
    this.node.dataset.state = state;
    setText(this.node, TEXTS[state] ?? state);
  }
}
