// The seat map of a large house on a canvas: pan, zoom, hit testing, a keyboard cursor that is read out.
// A change of some seats repaints only these; a move repaints what is in sight, at most once a frame.

import { h, setText } from "./dom.js";
import { money } from "./format.js";
import { DISPLAY, STATUS_WORDS } from "./seat_art.js";
import { SeatGrid } from "./seat_grid.js";
import { SeatPainter } from "./seat_painter.js";
import { Viewport } from "./viewport.js";

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const NEAR_SCALE = 2;
const ROW_NAMES_FROM_SCALE = 0.9;
const SECTION_NAMES_ABOVE_FROM_SCALE = 0.8;

export class CanvasSeatMap {
  #display;
  #cursor = null;
  #dirty = new Set();
  #frame = 0;
  #full = true;
  #observer;
  #scheme = matchMedia("(prefers-color-scheme: dark)");

  constructor(plan, onSeat) {
    this.plan = plan;
    this.onSeat = onSeat;
    this.#display = new Uint8Array(plan.count);
    this.grid = new SeatGrid(plan);
    this.painter = new SeatPainter(plan);
    this.canvas = h("canvas", {
      class: "seat-canvas",
      tabindex: 0,
      role: "application",
      "aria-label": "Seat map. Arrow keys move between seats, Enter chooses, plus and minus zoom.",
    });
    this.tip = h("div", { class: "seat-tip", hidden: true });
    this.spoken = h("div", { class: "visually-hidden", "aria-live": "polite" });
    const tool = (id, label, text, act) => h("button", { id, type: "button", class: "tool", "aria-label": label, title: label, onclick: act }, text);
    this.element = h(
      "div",
      { class: "seat-map-canvas" },
      this.canvas,
      this.tip,
      this.spoken,
      h(
        "div",
        { class: "tools" },
        tool("zoom-in", "Zoom in", "+", () => this.view.zoom(1.6)),
        tool("zoom-out", "Zoom out", "−", () => this.view.zoom(1 / 1.6)),
        tool("zoom-fit", "Whole house", "⤢", () => this.view.fit()),
      ),
    );
    const { left, top, right, bottom } = plan.box;
    const box = { left: left - 30, top: top - 90, right: right + 30, bottom: bottom + 30 };
    this.element.style.setProperty("--aspect", String((box.right - box.left) / (box.bottom - box.top)));
    this.view = new Viewport(this.canvas, box, {
      changed: () => this.#repaint(),
      clicked: (x, y) => this.#clicked(x, y),
      hovered: (x, y) => this.#hovered(x, y),
    });
    this.canvas.addEventListener("keydown", (event) => this.#pressed(event));
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(this.canvas);
    this.#scheme.addEventListener("change", this.#recolour);
  }

  #recolour = () => {
    this.painter.readColours();
    this.#repaint();
  };

  #resized() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.ratio = Math.min(2, devicePixelRatio || 1);
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.view.resize(clientWidth, clientHeight);
    this.#repaint();
  }

  /** Draws what changed; `displays` is one code a seat. */
  update(displays) {
    for (let seat = 0; seat < displays.length; seat += 1) {
      if (this.#display[seat] === displays[seat]) continue;
      this.#display[seat] = displays[seat];
      this.#dirty.add(seat);
    }
    if (this.#dirty.size > 2000) this.#full = true;
    if (this.#dirty.size > 0) this.#schedule();
  }

  #repaint() {
    this.#full = true;
    this.#schedule();
  }

  #schedule() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (!this.ratio) return;
    const context = this.canvas.getContext("2d", { alpha: false });
    const { scale, left, top, width, height } = this.view;
    const unit = scale * this.ratio;
    context.setTransform(unit, 0, 0, unit, -left * unit, -top * unit);
    if (this.#full) {
      context.fillStyle = this.painter.ground;
      context.fillRect(left, top, width / scale, height / scale);
      this.#drawFocus(context);
      if (scale >= ROW_NAMES_FROM_SCALE) this.#drawRowNames(context);
      this.grid.within(left, top, left + width / scale, top + height / scale, (seat) =>
        this.painter.paint(context, seat, this.#display[seat], scale),
      );
    } else {
      for (const seat of this.#dirty) {
        this.painter.wipe(context, seat);
        this.painter.paint(context, seat, this.#display[seat], scale);
      }
    }
    this.#drawSectionNames(context, scale);
    this.#drawCursor(context);
    this.#dirty.clear();
    this.#full = false;
  }

  #drawFocus(context) {
    const { left, top, right } = this.plan.box;
    const middle = (left + right) / 2;
    context.fillStyle = this.painter.fill[2];
    context.beginPath();
    context.roundRect(middle - 160, top - 70, 320, 44, 8);
    context.fill();
    write(context, this.painter.ink, 34);
    context.fillText(this.plan.focus === "stage" ? "STAGE" : "SCREEN", middle, top - 47);
  }

  #drawRowNames(context) {
    write(context, this.painter.ink, 6);
    for (const row of this.plan.rows) context.fillText(row.name, this.plan.x[row.first] - 7, row.y + 5);
  }

  /** From afar the name stands on its section, near by above it. */
  #drawSectionNames(context, scale) {
    const far = scale < SECTION_NAMES_ABOVE_FROM_SCALE;
    const size = far ? Math.min(90, 13 / scale) : 12;
    write(context, this.painter.ink, size);
    context.strokeStyle = this.painter.ground;
    context.lineJoin = "round";
    context.lineWidth = size / 3;
    for (const { name, box } of this.plan.sections) {
      const x = (box.left + box.right) / 2;
      const y = far ? (box.top + box.bottom) / 2 : box.top - 9;
      context.strokeText(name, x, y);
      context.fillText(name, x, y);
    }
  }

  #drawCursor(context) {
    if (this.#cursor === null) return;
    context.strokeStyle = this.painter.ink;
    context.lineWidth = 1.4;
    context.strokeRect(this.plan.x[this.#cursor] - 0.4, this.plan.y[this.#cursor] - 0.4, 10.8, 10.8);
  }

  #clicked(x, y) {
    if (this.view.scale < 0.8) {
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
    const seat = x === null || this.view.scale < 0.8 ? null : this.grid.at(x, y);
    this.canvas.classList.toggle("over-seat", seat !== null && this.#display[seat] === 0);
    this.tip.hidden = seat === null;
    if (seat === null) return;
    setText(this.tip, this.describe(seat));
    this.tip.style.left = `${Math.round((this.plan.x[seat] + 5 - this.view.left) * this.view.scale)}px`;
    this.tip.style.top = `${Math.round((this.plan.y[seat] - this.view.top) * this.view.scale)}px`;
  }

  describe(seat) {
    const { plan } = this;
    const price = money(plan.price(seat), plan.currency);
    return `${plan.label(seat)} · ${plan.tierOf(seat)?.name ?? ""} ${price} · ${STATUS_WORDS[DISPLAY[this.#display[seat]]]}`;
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
      setText(this.spoken, this.describe(this.#cursor));
    } else if (event.key === "+" || event.key === "=") this.view.zoom(1.6);
    else if (event.key === "-") this.view.zoom(1 / 1.6);
    else if (event.key === "0") this.view.fit();
  }

  #middleSeat() {
    const { x, y } = this.view.toDrawing(this.view.width / 2, this.view.height / 2);
    return this.grid.at(x, y, 200) ?? 0;
  }

  #setCursor(seat) {
    this.#cursor = seat;
    setText(this.spoken, this.describe(seat));
    this.#repaint();
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
    this.#observer.disconnect();
    this.#scheme.removeEventListener("change", this.#recolour);
  }
}

/** Sets a context up for words. */
function write(context, colour, size) {
  context.fillStyle = colour;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `600 ${size}px system-ui, sans-serif`;
}
