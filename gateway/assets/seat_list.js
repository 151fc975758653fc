// The seats as a list: section, row, then one button a seat, with price and state in words. A way to every seat without
// the map; only the chosen row is in the page, whatever the size of the house.

import { h, setText } from "./dom.js";
import { money, plural } from "./format.js";
import { ASKING, CHOSEN, DISPLAY, MINE, STATUS_WORDS, tierClass } from "./seat_art.js";

const COUNT_EVERY_MS = 1000;

export class SeatList {
  #codes;
  #buttons = new Map();
  #timer = 0;
  #section = 0;
  #row = 0;

  constructor(plan, onSeat) {
    this.plan = plan;
    this.#codes = new Uint8Array(plan.count).fill(3);
    this.onSeat = onSeat;
    const named = plan.sections.length > 1;
    this.sections = h("select", { id: "list-section", onchange: () => this.#toSection(Number(this.sections.value)) }, plan.sections.map(({ name }, index) => h("option", { value: index, text: name })));
    this.rows = h("select", { id: "list-row", onchange: () => this.#toRow(Number(this.rows.value)) });
    this.free = h("input", { id: "list-free", type: "checkbox", onchange: () => this.#fill() });
    this.title = h("h3", { id: "list-title" });
    this.note = h("p", { class: "muted", id: "list-note" });
    this.seats = h("ul", { class: "seat-buttons", "aria-labelledby": "list-title" });
    this.element = h(
      "section",
      { class: "seat-list", id: "seat-list", "aria-labelledby": "list-heading" },
      h("h2", { id: "list-heading" }, "Seats by row"),
      h(
        "div",
        { class: "list-filters" },
        h("label", { hidden: !named }, h("span", { text: "Section" }), this.sections),
        h("label", {}, h("span", { text: "Row" }), this.rows),
        h("label", { class: "check" }, this.free, h("span", { text: "Free seats only" })),
      ),
      this.title,
      this.note,
      this.seats,
    );
    this.seats.addEventListener("click", (event) => {
      const seat = event.target.closest?.("[data-seat]")?.dataset.seat;
      if (seat !== undefined) this.onSeat(Number(seat));
    });
    this.#toSection(0);
  }

  #toSection(section) {
    this.#section = section;
    const [first, end] = this.plan.sections[section]?.rows ?? [0, 0];
    this.rows.replaceChildren(...this.plan.rows.slice(first, end).map(({ name }, at) => h("option", { value: first + at, text: `Row ${name}` })));
    this.#toRow(first);
  }

  #toRow(row) {
    this.#row = row;
    this.rows.value = String(row);
    this.#fill();
    this.#count();
  }

  /** Makes the buttons of the row. */
  #fill() {
    const row = this.plan.rows[this.#row];
    this.#buttons.clear();
    if (!row) return;
    const { name } = this.plan.sections[this.#section];
    setText(this.title, `${name ? `Section ${name}, row` : "Row"} ${row.name}`);
    for (let seat = row.first; seat < row.first + row.count; seat += 1) {
      if (this.free.checked && !this.#isFree(seat)) continue;
      this.#buttons.set(seat, this.#button(seat));
    }
    this.seats.replaceChildren(...[...this.#buttons.values()].map(({ node }) => h("li", {}, node)));
    setText(this.note, this.#buttons.size === 0 ? "No seat of this row is free." : "");
    this.note.hidden = this.#buttons.size > 0;
    for (const seat of this.#buttons.keys()) this.#say(seat);
  }

  /** Free, or the customer's own. */
  #isFree(seat) {
    return [0, MINE, CHOSEN, ASKING].includes(this.#codes[seat]);
  }

  /** Seats that came free since the row was filled are in the list too; those that went stay, and say so. */
  #fillUp() {
    const row = this.plan.rows[this.#row];
    if (!row || !this.free.checked) return;
    const missing = Array.from({ length: row.count }, (_, k) => row.first + k).some((seat) => this.#isFree(seat) && !this.#buttons.has(seat));
    if (!missing) return;
    const focused = this.seats.contains(document.activeElement) ? document.activeElement.dataset.seat : null;
    this.#fill();
    this.#buttons.get(Number(focused ?? -1))?.node.focus();
  }

  #button(seat) {
    const { plan } = this;
    const state = h("span", { class: "seat-state" });
    const node = h(
      "button",
      { type: "button", class: `seat-button ${tierClass(plan.tier[seat])}`, "data-seat": seat, "data-label": plan.label(seat) },
      h("strong", { text: plan.label(seat) }),
      h("span", { class: "seat-price", text: `${plan.tierOf(seat)?.name ?? ""} ${money(plan.price(seat), plan.currency)}` }),
      state,
    );
    return { node, state };
  }

  #say(seat) {
    const { node, state } = this.#buttons.get(seat);
    const name = DISPLAY[this.#codes[seat]];
    node.dataset.status = name;
    node.setAttribute("aria-pressed", name === "chosen" || name === "mine" || name === "asking" ? "true" : "false");
    // Still in the tab order, so that focus is not lost with a seat; pressing it tells why not.
    if (name === "available" || name === "chosen") node.removeAttribute("aria-disabled");
    else node.setAttribute("aria-disabled", "true");
    setText(state, STATUS_WORDS[name]);
  }

  /** Says what changed; `codes` is one code a seat. */
  update(codes) {
    for (const seat of this.#buttons.keys()) {
      if (this.#codes[seat] === codes[seat]) continue;
      this.#codes[seat] = codes[seat];
      this.#say(seat);
    }
    this.#codes.set(codes);
    if (!this.#timer && this.element.isConnected) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.#fillUp();
        this.#count();
      }, this.counted ? COUNT_EVERY_MS : 0);
    }
  }

  /** How many seats are free, in the names of sections and rows. */
  #count() {
    const { plan } = this;
    this.counted = this.element.isConnected;
    const freeIn = (row) => this.#codes.subarray(row.first, row.first + row.count).reduce((sum, code) => sum + (code === 0 ? 1 : 0), 0);
    for (const option of this.rows.options) {
      const row = plan.rows[Number(option.value)];
      setText(option, `Row ${row.name}, ${freeIn(row)} free`);
    }
    if (plan.sections.length < 2) return;
    for (const option of this.sections.options) {
      const { name, rows } = plan.sections[Number(option.value)];
      const free = plan.rows.slice(...rows).reduce((sum, row) => sum + freeIn(row), 0);
      setText(option, `${name}, ${plural(free, "seat")} free`);
    }
  }

  destroy() {
    clearTimeout(this.#timer);
  }
}
