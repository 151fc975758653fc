// Short messages at the top of the page, also read out by screen readers.

import { h } from "./dom.js";

const SHOWN_MS = 12000;

export class Notices {
  constructor(root) {
    this.root = root;
  }

  /**
   * `kind`: info, good, bad. Bad ones, and those with something to press, stay until dismissed.
   * @param {{ label: string, run: () => void } | null} [act] what to do about it
   * @param {string} [topic] an older message about the same goes away
   */
  show(text, kind = "info", act = null, topic = text) {
    for (const old of [...this.root.children]) if (old.dataset.topic === topic) old.remove();
    const close = h("button", { class: "notice-close", type: "button", "aria-label": "Dismiss", text: "×" });
    const node = h("div", { class: `notice notice-${kind}`, "data-topic": topic, role: kind === "bad" ? "alert" : "status" }, h("span", { class: "notice-text", text }), act && h("button", { class: "button notice-act", type: "button", text: act.label }), close);
    close.addEventListener("click", () => node.remove());
    node.querySelector(".notice-act")?.addEventListener("click", () => {
      node.remove();
      act.run();
    });
    this.root.append(node);
    while (this.root.children.length > 3) this.root.firstElementChild.remove();
    if (kind !== "bad" && !act) setTimeout(() => node.remove(), SHOWN_MS);
  }

  clear() {
    this.root.replaceChildren();
  }
}
