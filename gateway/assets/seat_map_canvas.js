// The seat map of a large house on a canvas: pan, zoom, minimap, hit testing, a keyboard cursor that is read out.
//
// A changed seat is painted alone, where it stands. A move copies tiles that were painted before; those still missing
// are painted a few a frame, and until then a small picture of the whole house stands in for them. Words and the cursor
// have a canvas of their own above the seats.

import { h, setText } from "./dom.js";
import { money } from "./format.js";
import { HousePicture } from "./house_picture.js";
import { MapTools } from "./map_tools.js";
import { Minimap } from "./minimap.js";
import { DISPLAY, STATUS_WORDS } from "./seat_art.js";
import { SeatGrid } from "./seat_grid.js";
import { drawFocus, drawRowNames, drawSectionNames } from "./seat_map_words.js";
import { SeatPainter } from "./seat_painter.js";
import { SeatTiles } from "./seat_tiles.js";
import { Viewport } from "./viewport.js";

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const NEAR_SCALE = 2;
const SCALE_MAX = 4.5;
/** Nearer than this the click of a mouse means a seat. */
const AIM_SCALE = 0.8;
/** Kept free at the right of the whole house, for the buttons. */
const TOOLS_PX = 56;
/** What a frame may spend on pictures that are still missing. */
const FILL_MS = 2;
/** A zoom that rested so long is over: sharp tiles are painted for it. */
const SETTLED_MS = 90;
/** More changes than this at once are a new map. */
const CHANGES_MAX = 2000;

export class CanvasSeatMap {
  #codes;
  #changed;
  #changes = 0;
  #cursor = null;
  #frame = 0;
  #settled = 0;
  #moved = true;
  #observer;
  #scheme = matchMedia("(prefers-color-scheme: dark)");
  /** @type {import("./seat_painter.js").Place} */
  #place = { left: 0, top: 0, unit: 1, scale: 1 };

  constructor(plan, onSeat) {
    this.plan = plan;
    this.onSeat = onSeat;
    this.#codes = new Uint8Array(plan.count).fill(3);
    this.#changed = new Uint32Array(plan.count);
    this.grid = new SeatGrid(plan);
    this.painter = new SeatPainter(plan);
    this.canvas = h("canvas", {
      class: "seat-canvas",
      tabindex: 0,
      role: "application",
      "aria-label": "Seat map. Arrow keys move between seats, Enter chooses, plus and minus zoom. Every seat is in the list too.",
    });
    this.words = h("canvas", { class: "seat-words", "aria-hidden": "true" });
    this.tip = h("div", { class: "seat-tip", hidden: true, "aria-hidden": "true" });
    this.spoken = h("div", { class: "visually-hidden", "aria-live": "polite" });
    const { left, top, right, bottom } = plan.box;
    const box = { left: left - 30, top: top - 90, right: right + 30, bottom: bottom + 30 };
    const focus = (context, ...sight) => drawFocus(context, plan, this.painter, ...sight);
    this.house = new HousePicture(plan, this.painter, this.#codes, focus, box);
    this.tiles = new SeatTiles(this.grid, this.painter, this.#codes, (context, ...sight) => {
      focus(context, ...sight);
      drawRowNames(context, plan, this.painter, this.tiles.scale, ...sight);
    });
    this.minimap = new Minimap(this.house, (x, y) => this.view.centre(x, y, this.view.scale));
    this.view = new Viewport(this.canvas, box, {
      changed: () => this.#move(),
      clicked: (x, y, byTouch) => this.#clicked(x, y, byTouch),
      hovered: (x, y) => this.#hovered(x, y),
      scaleMax: SCALE_MAX,
      roomPx: TOOLS_PX,
    });
    this.tools = new MapTools(this.view);
    this.element = h("div", { class: "seat-map-canvas" }, this.canvas, this.words, this.minimap.element, this.tip, this.spoken, this.tools.hint, this.tools.element);
    this.element.style.setProperty("--aspect", String((box.right - box.left) / (box.bottom - box.top)));
    this.canvas.addEventListener("keydown", (event) => this.#pressed(event));
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(this.canvas);
    this.#scheme.addEventListener("change", this.#recolour);
  }

  #recolour = () => {
    this.painter.readColours();
    this.#renew();
  };

  #resized() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.ratio = Math.min(2, devicePixelRatio || 1);
    for (const canvas of [this.canvas, this.words]) {
      canvas.width = Math.round(clientWidth * this.ratio);
      canvas.height = Math.round(clientHeight * this.ratio);
    }
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.view.resize(clientWidth, clientHeight);
    this.#draw();
  }

  /** Draws what changed; `codes` is one code a seat. */
  update(codes) {
    for (let seat = 0; seat < codes.length; seat += 1) {
      if (this.#codes[seat] === codes[seat]) continue;
      this.#codes[seat] = codes[seat];
      this.#changed[this.#changes] = seat;
      this.#changes += 1;
    }
    if (this.#changes > CHANGES_MAX) this.#renew();
    // At once: whoever calls this is in a frame already.
    else if (this.#changes > 0) this.#draw();
  }

  /** Every picture is painted again. */
  #renew() {
    this.#changes = 0;
    this.tiles.clear();
    this.house.clear();
    this.#schedule();
  }

  #move() {
    this.#moved = true;
    this.tip.hidden = true;
    this.tools.moved();
    this.#settled = performance.now() + SETTLED_MS;
    this.#schedule();
  }

  #schedule() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.ratio) return;
    const now = performance.now();
    const { scale, left, top } = this.view;
    const unit = scale * this.ratio;
    const place = this.#place;
    // On whole pixels, so that tiles are copied as they are.
    place.left = Math.round(left * unit) / unit;
    place.top = Math.round(top * unit) / unit;
    place.unit = unit;
    place.scale = scale;
    this.#paintChanges();
    if (this.#moved) this.#compose();
    const settled = now >= this.#settled;
    if (this.tiles.unit !== unit && (settled || this.tiles.unit === 0)) this.tiles.resize(unit, scale);
    const sharp = this.tiles.unit === unit && this.tiles.fill(this.context, place, now + FILL_MS);
    if (sharp && !this.house.complete) {
      this.house.fill(now + FILL_MS);
      this.minimap.changed();
    }
    const drawn = sharp ? "true" : "false";
    if (this.element.dataset.drawn !== drawn) this.element.dataset.drawn = drawn;
    if (!sharp || !this.house.complete) this.#schedule();
  }

  #paintChanges() {
    const count = this.#changes;
    if (count === 0) return;
    this.#changes = 0;
    for (let at = 0; at < count; at += 1) {
      const seat = this.#changed[at];
      this.tiles.repaint(seat);
      this.house.repaint(seat);
      if (this.#moved || !this.#inSight(seat)) continue;
      this.painter.wipe(this.context, seat, this.#place);
      this.painter.paint(this.context, seat, this.#codes[seat], this.#place);
    }
    this.minimap.changed();
  }

  #inSight(seat) {
    const { left, top, width, height, scale } = this.view;
    const x = this.plan.x[seat];
    const y = this.plan.y[seat];
    return x + 10 > left && y + 10 > top && x < left + width / scale && y < top + height / scale;
  }

  /** The picture at a new place, from what was painted before. */
  #compose() {
    this.#moved = false;
    const { context } = this;
    const place = this.#place;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.painter.ground;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    // Stretched only until the zoom rests; smooth would take twice as long.
    context.imageSmoothingEnabled = this.tiles.unit === place.unit;
    if (this.house.complete && !this.tiles.covers(place, this.canvas.width, this.canvas.height)) this.house.copy(context, place);
    this.tiles.copy(context, place);
    const { left, top, width, height, scale } = this.view;
    this.minimap.sees(left, top, left + width / scale, top + height / scale);
    this.#drawWords();
  }

  #drawWords() {
    if (!this.ratio) return;
    const { left, top, unit, scale } = this.#place;
    const context = this.words.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.words.width, this.words.height);
    context.setTransform(unit, 0, 0, unit, -left * unit, -top * unit);
    drawSectionNames(context, this.plan, this.painter, scale, left, top, left + this.words.width / unit, top + this.words.height / unit);
    if (this.#cursor === null) return;
    context.strokeStyle = this.painter.ink;
    context.lineWidth = Math.max(1.4, 2 / scale);
    context.strokeRect(this.plan.x[this.#cursor] - 0.4, this.plan.y[this.#cursor] - 0.4, 10.8, 10.8);
  }

  #clicked(x, y, byTouch) {
    if (this.tools.cameCloser(x, y, byTouch)) return;
    if (this.view.scale < AIM_SCALE) {
      // Too far away to aim at one seat: the first tap comes closer.
      this.view.centre(x, y, NEAR_SCALE);
      return;
    }
    const seat = this.grid.at(x, y, 3 / this.view.scale);
    if (seat === null) return;
    this.#setCursor(seat);
    this.onSeat(seat);
  }

  #hovered(x, y) {
    const seat = x === null || this.view.scale < AIM_SCALE ? null : this.grid.at(x, y);
    this.canvas.classList.toggle("over-seat", seat !== null && this.#codes[seat] === 0);
    this.tip.hidden = seat === null;
    if (seat === null) return;
    setText(this.tip, this.describe(seat));
    this.tip.style.left = `${Math.round((this.plan.x[seat] + 5 - this.view.left) * this.view.scale)}px`;
    this.tip.style.top = `${Math.round((this.plan.y[seat] - this.view.top) * this.view.scale)}px`;
  }

  describe(seat) {
    const { plan } = this;
    const price = money(plan.price(seat), plan.currency);
    return `${plan.label(seat)} · ${plan.tierOf(seat)?.name ?? ""} ${price} · ${STATUS_WORDS[DISPLAY[this.#codes[seat]]]}`;
  }

  #pressed(event) {
    const direction = KEYS[event.key];
    if (direction) {
      event.preventDefault();
      this.#setCursor(this.#cursor === null ? this.#middleSeat() : this.plan.neighbour(this.#cursor, direction));
      this.reveal([this.#cursor]);
    } else if ((event.key === "Enter" || event.key === " ") && this.#cursor !== null) {
      event.preventDefault();
      this.onSeat(this.#cursor);
      // What became of it is known when the map is drawn.
      requestAnimationFrame(() => setText(this.spoken, this.describe(this.#cursor)));
    } else this.tools.pressed(event);
  }

  #middleSeat() {
    const { x, y } = this.view.toDrawing(this.view.width / 2, this.view.height / 2);
    return this.grid.at(x, y, 200) ?? 0;
  }

  #setCursor(seat) {
    this.#cursor = seat;
    setText(this.spoken, this.describe(seat));
    this.#drawWords();
  }

  /** Brings seats into view, near enough to read their numbers. */
  reveal(seats) {
    const [seat] = seats;
    if (seat === undefined) return;
    const { left, top, width, height, scale } = this.view;
    const x = this.plan.x[seat];
    const y = this.plan.y[seat];
    const inside = x > left + 20 && y > top + 20 && x < left + width / scale - 30 && y < top + height / scale - 30;
    if (!inside || scale < 1) this.view.centre(x + 5, y + 5, Math.max(scale, NEAR_SCALE));
  }

  destroy() {
    cancelAnimationFrame(this.#frame);
    this.minimap.destroy();
    this.#observer.disconnect();
    this.#scheme.removeEventListener("change", this.#recolour);
  }
}
