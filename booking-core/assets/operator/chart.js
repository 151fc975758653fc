// Seats sold by minute, as bars in an SVG with a text beside it for those who don't see it.

import { count, h, setText, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 140;
const BASE = 120;

const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A round number at or above the highest bar, with a round half. */
function ceiling(highest) {
  const step = 10 ** Math.floor(Math.log10(Math.max(highest, 1)));
  return [2, 4, 10].map((times) => times * step).find((top) => top >= Math.max(highest, 4)) ?? 4;
}

export class SalesChart {
  #drawn = "";

  constructor(title) {
    this.picture = svg("svg", { class: "chart", "aria-hidden": "true" });
    this.text = h("p", { class: "muted small" });
    this.element = h("figure", { class: "card figure" }, h("figcaption", { text: title }), this.picture, this.text);
  }

  update(minutes) {
    // One unit is one pixel, so that words are as large on a phone as on a desk.
    const width = Math.round(this.picture.getBoundingClientRect().width) || WIDTH;
    const key = `${width} ${JSON.stringify(minutes)}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const highest = Math.max(0, ...minutes.map(({ seats }) => seats));
    const top = Math.max(ceiling(highest), 4);
    const step = width / Math.max(minutes.length, 1);
    const line = (value) => BASE - (value / top) * (BASE - 12);
    const grid = [0, top / 2, top].map((value) => [
      svg("line", { x1: 0, x2: width, y1: line(value), y2: line(value), class: value ? "grid" : "axis" }),
      value > 0 && svg("text", { x: 2, y: line(value) - 3, class: "tick", text: count(value) }),
    ]);
    const bars = minutes.map(({ at_ms: at, seats }, i) => {
      const height = seats ? Math.max(BASE - line(seats), 2) : 0;
      return svg("rect", { x: i * step + 1, y: BASE - height, width: Math.max(step - 2, 1), height, rx: 1.5, class: "bar" }, svg("title", { text: `${clock(at)}: ${count(seats)}` }));
    });
    const ends = minutes.length
      ? [svg("text", { x: 2, y: HEIGHT - 5, class: "tick", text: clock(minutes[0].at_ms) }), svg("text", { x: width - 2, y: HEIGHT - 5, class: "tick end", text: "now" })]
      : [];
    this.picture.replaceChildren(...grid.flat().filter(Boolean), ...bars, ...ends);
    const seats = minutes.reduce((sum, minute) => sum + minute.seats, 0);
    const bookings = minutes.reduce((sum, minute) => sum + minute.bookings, 0);
    const lately = minutes.slice(-5).reduce((sum, minute) => sum + minute.seats, 0);
    setText(this.text, `${count(seats)} seats in ${count(bookings)} bookings within the hour; ${count(lately)} in the last five minutes; most in a minute: ${count(highest)}.`);
  }
}
