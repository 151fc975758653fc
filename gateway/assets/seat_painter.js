// Paints seats on a canvas: colours from the style sheet, marks as in the SVG map when there is room for them.

import { DISPLAY, MARKS, TIER_COLOURS } from "./seat_art.js";

const MARK_FROM_SCALE = 0.9;
const NUMBER_FROM_SCALE = 1.7;
const BOX_FROM_SCALE = 0.8;
/** A look is what is painted alike: a free seat of each tier, then each other code. */
const LOOKS = TIER_COLOURS + DISPLAY.length;

/**
 * Where seats are painted: plan unit `left`, `top` stands at pixel 0, 0; a plan unit is `unit` pixels of the canvas and
 * `scale` pixels of the screen, which decides how much of a seat is shown.
 * @typedef {{ left: number, top: number, unit: number, scale: number }} Place
 */

export class SeatPainter {
  #byLook = Array.from({ length: LOOKS }, () => /** @type {number[]} */ ([]));

  constructor(plan) {
    this.plan = plan;
    this.marks = DISPLAY.map((name) => (MARKS[name] ? new Path2D(MARKS[name]) : null));
    this.box = new Path2D();
    this.box.roundRect(0.8, 0.8, 8.4, 8.4, 2.2);
    this.readColours();
  }

  /** Reads the colours anew, after a change of the colour scheme. */
  readColours() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    this.ground = read("--map-ground");
    this.ink = read("--seat-ink");
    this.quiet = read("--booked-fill");
    const tiers = Array.from({ length: TIER_COLOURS }, (_, tier) => tier);
    const codes = ["held", "booked", "blocked", "mine", "chosen", "asking"];
    const fills = ["--held-fill", "--booked-fill", "--map-ground", "--mine", "--chosen", "--asking-fill"].map(read);
    const lines = codes.map((name) => read(`--${name}`));
    this.fill = [...tiers.map((tier) => read(`--tier-${tier}-fill`)), "", ...fills];
    this.line = [...tiers.map((tier) => read(`--tier-${tier}`)), "", ...lines];
    this.mark = [...tiers.map(() => ""), "", lines[0], lines[1], lines[2], "#fff", "#fff", lines[5]];
    // From afar a seat is one block of its line colour; what is not free recedes.
    this.block = [...tiers.map((tier) => this.line[tier]), "", fills[0], fills[1], this.quiet, lines[3], lines[4], lines[5]];
  }

  #look(seat, code) {
    return code === 0 ? this.plan.tier[seat] % TIER_COLOURS : TIER_COLOURS + code;
  }

  /** Paints one seat. @param {Place} place */
  paint(context, seat, code, place) {
    const look = this.#look(seat, code);
    this.#pick(context, look, code, place.scale);
    this.#paint(context, seat, code, look, place);
  }

  /** Paints many seats, those of one look together: a change of colours costs more than a seat. @param {Place} place */
  paintAll(context, seats, codes, place) {
    for (const seat of seats) this.#byLook[this.#look(seat, codes[seat])].push(seat);
    for (let look = 0; look < LOOKS; look += 1) {
      const alike = this.#byLook[look];
      if (alike.length === 0) continue;
      const code = look < TIER_COLOURS ? 0 : look - TIER_COLOURS;
      this.#pick(context, look, code, place.scale);
      for (const seat of alike) this.#paint(context, seat, code, look, place);
      alike.length = 0;
    }
  }

  /** Sets the colours of a look. */
  #pick(context, look, code, scale) {
    if (scale < BOX_FROM_SCALE) {
      context.fillStyle = this.block[look];
      return;
    }
    context.fillStyle = this.fill[look];
    context.strokeStyle = this.line[look];
    context.lineWidth = 0.8;
    if (scale < NUMBER_FROM_SCALE || (code !== 0 && code !== 5)) return;
    context.font = "600 4px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
  }

  #paint(context, seat, code, look, { left, top, unit, scale }) {
    const x = (this.plan.x[seat] - left) * unit;
    const y = (this.plan.y[seat] - top) * unit;
    context.setTransform(unit, 0, 0, unit, x, y);
    if (scale < BOX_FROM_SCALE) {
      context.fillRect(0.8, 0.8, 8.4, 8.4);
      return;
    }
    if (code !== 3) {
      context.fill(this.box);
      context.stroke(this.box);
    }
    const mark = this.marks[code];
    if (mark && scale >= MARK_FROM_SCALE) {
      context.strokeStyle = this.mark[look];
      context.lineWidth = code === 4 ? 1.4 : 0.9;
      context.lineCap = "round";
      context.stroke(mark);
      context.strokeStyle = this.line[look];
      context.lineWidth = 0.8;
    } else if ((code === 0 || code === 5) && scale >= NUMBER_FROM_SCALE) {
      context.fillStyle = code === 5 ? "#fff" : this.ink;
      context.fillText(String(this.plan.number[seat]), 5, 5.2);
      context.fillStyle = this.fill[look];
    }
  }

  /** Wipes a seat's cell before it is painted again. @param {Place} place */
  wipe(context, seat, { left, top, unit }) {
    context.setTransform(unit, 0, 0, unit, (this.plan.x[seat] - left) * unit, (this.plan.y[seat] - top) * unit);
    context.fillStyle = this.ground;
    context.fillRect(0.2, 0.2, 9.6, 9.6);
  }
}
