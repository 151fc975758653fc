// Paints seats on a canvas: colours from the style sheet, marks as in the SVG map when there is room for them.

import { DISPLAY, MARKS, TIER_COLOURS } from "./seat_art.js";

const MARK_FROM_SCALE = 0.9;
const NUMBER_FROM_SCALE = 1.7;
const BOX_FROM_SCALE = 0.8;

export class SeatPainter {
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
    this.tierFill = [];
    this.tierLine = [];
    for (let tier = 0; tier < TIER_COLOURS; tier += 1) {
      this.tierFill.push(read(`--tier-${tier}-fill`));
      this.tierLine.push(read(`--tier-${tier}`));
    }
    this.fill = [null, read("--held-fill"), read("--booked-fill"), read("--map-ground"), read("--mine"), read("--chosen")];
    this.line = [null, read("--held"), read("--booked"), read("--blocked"), read("--mine"), read("--chosen")];
    this.mark = [null, read("--held"), read("--booked"), read("--blocked"), "#fff", "#fff"];
  }

  /** Fill and line of a seat. */
  #colours(seat, code) {
    if (code !== 0) return [this.fill[code], this.line[code]];
    const tier = this.plan.tier[seat] % TIER_COLOURS;
    return [this.tierFill[tier], this.tierLine[tier]];
  }

  /** Paints one seat; the context is already in the plan's unit. */
  paint(context, seat, code, scale) {
    const [fill, line] = this.#colours(seat, code);
    const x = this.plan.x[seat];
    const y = this.plan.y[seat];
    if (scale < BOX_FROM_SCALE) {
      // From afar a seat is one block of its line colour; what is not free recedes.
      context.fillStyle = code === 0 ? line : code === 3 ? this.fill[2] : code === 1 || code === 2 ? fill : line;
      context.fillRect(x + 0.8, y + 0.8, 8.4, 8.4);
      return;
    }
    context.save();
    context.translate(x, y);
    context.fillStyle = fill;
    context.strokeStyle = line;
    context.lineWidth = 0.8;
    if (code !== 3) {
      context.fill(this.box);
      context.stroke(this.box);
    }
    const mark = this.marks[code];
    if (mark && scale >= MARK_FROM_SCALE) {
      context.strokeStyle = this.mark[code];
      context.lineWidth = code === 4 ? 1.4 : 0.9;
      context.lineCap = "round";
      context.stroke(mark);
    } else if ((code === 0 || code === 5) && scale >= NUMBER_FROM_SCALE) {
      context.fillStyle = code === 5 ? "#fff" : this.ink;
      context.font = "600 4px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(String(this.plan.number[seat]), 5, 5.2);
    }
    context.restore();
  }

  /** Wipes a seat's cell before it is painted again. */
  wipe(context, seat) {
    context.fillStyle = this.ground;
    context.fillRect(this.plan.x[seat], this.plan.y[seat], 10, 10);
  }
}
