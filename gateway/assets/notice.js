// Short messages at the top of the page, also read out by screen readers.

import { h } from "./dom.js";

const SHOWN_MS = 12000;

export class Notices {
  constructor(root) {
    this.root = root;
  }

  /** `kind`: info, good, bad. Bad ones stay until dismissed. */
  show(text, kind = "info") {
    for (const old of [...this.root.children]) if (old.dataset.text === text) old.remove();
    const close = h("button", { class: "notice-close", type: "button", "aria-label": "Dismiss", text: "×" });
    const node = h("div", { class: `notice notice-${kind}`, "data-text": text, role: kind === "bad" ? "alert" : "status" }, h("span", { text }), close);
    close.addEventListener("click", () => node.remove());
    this.root.append(node);
    while (this.root.children.length > 3) this.root.firstElementChild.remove();
    if (kind !== "bad") setTimeout(() => node.remove(), SHOWN_MS);
  }

  clear() {
    this.root.replaceChildren();
  }
}
