// What both seat maps have to come closer: buttons, keys, and the first tap of a finger on seats too small to aim at.

import { h } from "./dom.js";

const STEP = 1.6;
/** The least that a finger can aim at (WCAG 2.2, 2.5.8), by the width of a seat: 10 units. */
const FINGER_SCALE = 2.4;
/** Where the first tap leads. */
const NEAR_SCALE = 2.8;

export class MapTools {
  /** @param {import("./viewport.js").Viewport} view */
  constructor(view) {
    this.view = view;
    const tool = (id, label, text, act) => h("button", { id, type: "button", class: "tool", "aria-label": label, title: label, onclick: act }, text);
    this.element = h(
      "div",
      { class: "tools" },
      tool("zoom-in", "Zoom in", "+", () => view.zoom(STEP)),
      tool("zoom-out", "Zoom out", "−", () => view.zoom(1 / STEP)),
      tool("zoom-fit", "Whole house", "⤢", () => view.fit()),
    );
    this.hint = h("p", { class: "tap-hint", "aria-hidden": "true", text: "Tap to zoom in" });
  }

  /** To be called after each move. */
  moved() {
    this.hint.hidden = this.view.scale >= FINGER_SCALE;
  }

  /** A finger came down at (x, y) of the drawing: whether it was too far away to aim, and the map came closer instead. */
  cameCloser(x, y, byTouch) {
    if (!byTouch || this.view.scale >= FINGER_SCALE) return false;
    this.view.centre(x, y, NEAR_SCALE);
    return true;
  }

  /** A key was pressed on the map; with Ctrl it is the browser's own zoom. */
  pressed({ key, ctrlKey, metaKey }) {
    if (ctrlKey || metaKey) return;
    if (key === "+" || key === "=") this.view.zoom(STEP);
    else if (key === "-") this.view.zoom(1 / STEP);
    else if (key === "0") this.view.fit();
  }
}
