// The seat map of a small house as SVG: every seat is an element, reachable by pointer, keyboard and screen reader.

import { s } from "./dom.js";
import { money } from "./format.js";
import { DISPLAY, MARKS, STATUS_WORDS, tierClass } from "./seat_art.js";

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const MARGIN = 22;
const HEAD = 34;

export class SvgSeatMap {
  #seats = [];
  #display;
  #current = 0;

  constructor(plan, onSeat) {
    this.plan = plan;
    this.onSeat = onSeat;
    this.#display = new Uint8Array(plan.count).fill(255);
    const { left, top, right, bottom } = plan.box;
    const width = right - left + 2 * MARGIN;
    const height = bottom - top + HEAD + 8;
    this.svg = s("svg", {
      class: "seat-map-svg",
      viewBox: `${left - MARGIN} ${top - HEAD} ${width} ${height}`,
      role: "group",
      "aria-label": "Seat map. Arrow keys move, Enter chooses.",
    });
    // A seat is never smaller than a finger: narrow screens scroll the map sideways instead.
    this.svg.style.minWidth = `${Math.round(width * 2.5)}px`;
    this.svg.style.maxWidth = `${Math.round(width * 4.4)}px`;
    this.svg.append(this.#head(), ...this.#rowNames());
    for (let seat = 0; seat < plan.count; seat += 1) this.#seats.push(this.#seat(seat));
    this.svg.append(...this.#seats.map(({ node }) => node));
    this.svg.addEventListener("click", (event) => this.#clicked(event));
    this.svg.addEventListener("keydown", (event) => this.#pressed(event));
    this.#setCurrent(0);
    this.element = document.createElement("div");
    this.element.className = "seat-map-scroll";
    this.element.append(this.svg);
    // Where the map is wider than the screen, its middle is seen first.
    requestAnimationFrame(() => (this.element.scrollLeft = (this.element.scrollWidth - this.element.clientWidth) / 2));
  }

  #head() {
    const { left, top, right } = this.plan.box;
    const y = top - 12;
    const middle = (left + right) / 2;
    const half = (right - left) * 0.42;
    const name = this.plan.focus === "stage" ? "STAGE" : "SCREEN";
    return s(
      "g",
      { class: "focus", "aria-hidden": "true" },
      s("path", { d: `M${middle - half} ${y} Q${middle} ${y - 10} ${middle + half} ${y}`, class: "focus-line" }),
      s("path", { d: `M${middle - half} ${y} Q${middle} ${y - 10} ${middle + half} ${y} L${middle + half * 0.94} ${y + 8} L${middle - half * 0.94} ${y + 8} Z`, class: "focus-glow" }),
      s("text", { x: middle, y: y - 11, class: "focus-name", text: name }),
    );
  }

  #rowNames() {
    const { left, right } = this.plan.box;
    return this.plan.rows.flatMap((row) =>
      [left - 11, right + 11].map((x) => s("text", { x, y: row.y + 5, class: "row-name", "aria-hidden": "true", text: row.name })),
    );
  }

  #seat(seat) {
    const { plan } = this;
    const mark = s("path", { class: "mark", d: "" });
    const node = s(
      "g",
      {
        class: `seat ${tierClass(plan.tier[seat])}`,
        transform: `translate(${plan.x[seat]} ${plan.y[seat]})`,
        "data-seat": seat,
        "data-label": plan.label(seat),
        role: "checkbox",
        tabindex: -1,
      },
      s("rect", { class: "cell", x: 0, y: 0, width: 10, height: 10 }),
      s("rect", { class: "box", x: 0.8, y: 0.8, width: 8.4, height: 8.4, rx: 2.2 }),
      s("text", { class: "number", x: 5, y: 5.1, text: plan.number[seat] }),
      mark,
    );
    return { node, mark };
  }

  /** Draws what changed; `displays` is one code a seat. */
  update(displays) {
    for (let seat = 0; seat < this.plan.count; seat += 1) {
      if (this.#display[seat] !== displays[seat]) this.#set(seat, displays[seat]);
    }
  }

  #set(seat, code) {
    this.#display[seat] = code;
    const name = DISPLAY[code];
    const { node, mark } = this.#seats[seat];
    const { plan } = this;
    node.dataset.status = name;
    mark.setAttribute("d", MARKS[name]);
    node.setAttribute("aria-checked", name === "chosen" || name === "mine" ? "true" : "false");
    node.setAttribute("aria-disabled", name === "available" || name === "chosen" ? "false" : "true");
    const price = money(plan.price(seat), plan.currency);
    node.setAttribute("aria-label", `Seat ${plan.label(seat)}, ${plan.tierOf(seat)?.name ?? ""} ${price}, ${STATUS_WORDS[name]}`);
  }

  #clicked(event) {
    const seat = event.target.closest?.("[data-seat]")?.dataset.seat;
    if (seat === undefined) return;
    this.#setCurrent(Number(seat));
    this.onSeat(Number(seat));
  }

  #pressed(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onSeat(this.#current);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      this.#setCurrent(this.plan.neighbour(this.#current, KEYS[event.key]));
      this.#seats[this.#current].node.focus();
    }
  }

  /** One seat is in the tab order at a time; arrow keys move it. */
  #setCurrent(seat) {
    this.#seats[this.#current]?.node.setAttribute("tabindex", "-1");
    this.#current = seat;
    this.#seats[seat]?.node.setAttribute("tabindex", "0");
  }

  /** Brings seats into view. */
  reveal(seats) {
    this.#seats[seats[0]]?.node.scrollIntoView({ block: "nearest", inline: "center" });
  }

  destroy() {}
}
