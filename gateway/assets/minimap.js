// Where in a large house the map stands: a small picture with a frame around the part in sight. Press or drag to go
// elsewhere. For pointers only: the keyboard moves from seat to seat, and the list names every section.

import { h } from "./dom.js";

const WIDTH_PX = 148;
const WIDTH_ON_PHONE_PX = 104;
/** The picture follows the seats at this pace: it tells where, not which. */
const PACE_MS = 500;
/** So little out of sight, in the plan's unit, is not worth a map of it. */
const NOTHING = 12;

export class Minimap {
  #timer = 0;

  /** `goTo(x, y)` is called with the place in the house, in the plan's unit. */
  constructor(picture, goTo) {
    this.picture = picture;
    this.goTo = goTo;
    const { box } = picture;
    const width = matchMedia("(max-width: 560px)").matches ? WIDTH_ON_PHONE_PX : WIDTH_PX;
    this.ratio = width / (box.right - box.left);
    const height = Math.round((box.bottom - box.top) * this.ratio);
    this.canvas = h("canvas", { width: width * 2, height: height * 2 });
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.frame = h("div", { class: "minimap-frame" });
    this.element = h("div", { class: "minimap", id: "minimap", "aria-hidden": "true", hidden: true }, this.canvas, this.frame);
    this.element.addEventListener("pointerdown", (event) => this.#pressed(event));
    this.element.addEventListener("pointermove", (event) => event.buttons > 0 && this.#go(event));
  }

  #pressed(event) {
    event.preventDefault();
    this.element.setPointerCapture?.(event.pointerId);
    this.#go(event);
  }

  #go(event) {
    const rect = this.canvas.getBoundingClientRect();
    const { left, top } = this.picture.box;
    this.goTo(left + (event.clientX - rect.left) / this.ratio, top + (event.clientY - rect.top) / this.ratio);
  }

  /** The part in sight, in the plan's unit. Of no use while everything is in sight. */
  sees(left, top, right, bottom) {
    const { box } = this.picture;
    const hidden = left - box.left < NOTHING && top - box.top < NOTHING && box.right - right < NOTHING && box.bottom - bottom < NOTHING;
    if (this.element.hidden !== hidden) {
      this.element.hidden = hidden;
      this.changed();
    }
    if (hidden) return;
    const x = Math.max(left, box.left);
    const y = Math.max(top, box.top);
    const { style } = this.frame;
    style.transform = `translate(${(x - box.left) * this.ratio}px, ${(y - box.top) * this.ratio}px)`;
    style.width = `${(Math.min(right, box.right) - x) * this.ratio}px`;
    style.height = `${(Math.min(bottom, box.bottom) - y) * this.ratio}px`;
  }

  /** The picture changed. */
  changed() {
    if (this.#timer || this.element.hidden) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, this.drawn ? PACE_MS : 0);
  }

  #draw() {
    this.drawn = this.picture.complete;
    const context = this.canvas.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "medium";
    context.drawImage(this.picture.canvas, 0, 0, this.canvas.width, this.canvas.height);
  }

  destroy() {
    clearTimeout(this.#timer);
  }
}
