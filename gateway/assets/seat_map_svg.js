// The seat map of a small house as SVG: every seat is an element, reachable by pointer, keyboard and screen reader. The whole
// house is in sight at first; a zoom is another viewBox.

import { h, s } from "./dom.js";
import { money } from "./format.js";
import { MapTools } from "./map_tools.js";
import { DISPLAY, MARKS, STATUS_WORDS, tierClass } from "./seat_art.js";
import { SeatGrid } from "./seat_grid.js";
import { Viewport } from "./viewport.js";

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const MARGIN = 22;
const HEAD = 34;
const FOOT = 12;
const SCALE_MAX = 6;
/** A seat of the whole house is no larger than this on a large screen. */
const FIT_MAX = 4.4;
/** From here on the numbers of seats can be read. */
const NUMBERS_FROM_SCALE = 1.8;
/** Rows' names are at least so large on the screen. */
const ROW_NAME_PX = 9;
/** A click so near to a seat means it. */
const SLACK_PX = 3;

export class SvgSeatMap {
  #seats = [];
  #display;
  #current = 0;
  #frame = 0;
  #observer;

  constructor(plan, onSeat) {
    this.plan = plan;
    this.onSeat = onSeat;
    this.#display = new Uint8Array(plan.count).fill(255);
    const { left, top, right, bottom } = plan.box;
    const box = { left: left - MARGIN, top: top - HEAD, right: right + MARGIN, bottom: bottom + FOOT };
    this.grid = new SeatGrid(plan);
    this.svg = s("svg", {
      class: "seat-map-svg",
      viewBox: `${box.left} ${box.top} ${box.right - box.left} ${box.bottom - box.top}`,
      role: "group",
      "aria-label": "Seat map. Arrow keys move, Enter chooses, plus and minus zoom.",
    });
    this.svg.style.setProperty("--aspect", String((box.right - box.left) / (box.bottom - box.top)));
    this.svg.append(this.#head(), ...this.#rowNames());
    for (let seat = 0; seat < plan.count; seat += 1) this.#seats.push(this.#seat(seat));
    this.svg.append(...this.#seats.map(({ node }) => node));
    this.view = new Viewport(this.svg, box, {
      changed: () => this.#schedule(),
      clicked: (x, y, byTouch) => this.#clicked(x, y, byTouch),
      scaleMax: SCALE_MAX,
      fitMax: FIT_MAX,
      calmWheel: true,
    });
    this.tools = new MapTools(this.view);
    // Clicks of pointers are the viewport's; one of no pointer comes from an assistive technology.
    this.svg.addEventListener("click", (event) => event.detail === 0 && this.#choose(event.target.closest?.("[data-seat]")?.dataset.seat));
    this.svg.addEventListener("keydown", (event) => this.#pressed(event));
    this.#setCurrent(0);
    this.element = h("div", { class: "seat-map-frame" }, this.svg, h("div", { class: "tools-row" }, this.tools.hint, this.tools.element));
    this.#observer = new ResizeObserver(([{ contentRect }]) => contentRect.width > 0 && this.view.resize(contentRect.width, contentRect.height));
    this.#observer.observe(this.svg);
  }

  #schedule() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#look());
  }

  /** Shows what the viewport says. */
  #look() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { left, top, width, height, scale } = this.view;
    this.svg.setAttribute("viewBox", `${left} ${top} ${width / scale} ${height / scale}`);
    this.svg.style.setProperty("--row-name", `${Math.max(4.4, ROW_NAME_PX / scale)}px`);
    this.svg.classList.toggle("without-numbers", scale < NUMBERS_FROM_SCALE);
    this.svg.classList.toggle("can-pan", !this.view.isWhole);
    this.tools.moved();
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

  #clicked(x, y, byTouch) {
    if (this.tools.cameCloser(x, y, byTouch)) return;
    this.#choose(this.grid.at(x, y, SLACK_PX / this.view.scale));
  }

  #choose(seat) {
    if (seat === undefined || seat === null) return;
    this.#setCurrent(Number(seat));
    // Arrow keys go on from here.
    this.#seats[this.#current].node.focus({ preventScroll: true });
    this.onSeat(this.#current);
  }

  #pressed(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onSeat(this.#current);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      this.#setCurrent(this.plan.neighbour(this.#current, KEYS[event.key]));
      this.reveal([this.#current]);
      this.#seats[this.#current].node.focus();
    } else this.tools.pressed(event);
  }

  /** One seat is in the tab order at a time; arrow keys move it. */
  #setCurrent(seat) {
    this.#seats[this.#current]?.node.setAttribute("tabindex", "-1");
    this.#current = seat;
    this.#seats[seat]?.node.setAttribute("tabindex", "0");
  }

  /** Brings seats into sight, within the map. */
  reveal(seats) {
    const [seat] = seats;
    if (seat === undefined) return;
    const x = this.plan.x[seat];
    const y = this.plan.y[seat];
    if (this.view.shows(x - 5, y - 5, x + 15, y + 15)) return;
    this.view.centre(x + 5, y + 5, this.view.scale);
    this.#look();
  }

  destroy() {
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
  }
}
