// A show's seats for an operator: rows of small buttons by section, and a field for labels; both say the same choice.

import { count, h, plural, setText } from "./dom.js";

const NAMES = { a: "free", h: "held", b: "booked", x: "blocked" };
const SECTION_SEATS_MAX = 1200;

/** Label, name to be spoken, and index of every seat. */
function named(layout) {
  const labels = new Array(layout.seats);
  const spoken = new Array(layout.seats);
  const index = new Map();
  for (const section of layout.sections) {
    for (const row of section.rows) {
      row.numbers.forEach((number, k) => {
        labels[row.first + k] = `${row.prefix}${number}`;
        // With the number that is on the button as a word of its own: who speaks to the page says what is seen.
        spoken[row.first + k] = `${row.prefix} ${number}`;
        index.set(labels[row.first + k].toUpperCase(), row.first + k);
      });
    }
  }
  return { labels, spoken, index };
}

export class SeatPicker {
  #chosen = new Set();
  #seats = "";
  #buttons = new Map();

  constructor(changed) {
    this.changed = changed;
    this.field = h("input", { id: "seat-labels", autocomplete: "off", spellcheck: "false", placeholder: "A5, A7..A9", oninput: () => this.#typed() });
    this.problem = h("p", { class: "problem small", id: "seat-problem", role: "alert" });
    this.section = h("select", { id: "seat-section", onchange: () => this.#drawRows() });
    this.sectionLabel = h("label", {}, h("span", { text: "Section" }), this.section);
    this.rows = h("div", { class: "seat-rows", id: "seat-rows", role: "group", "aria-label": "Seats" });
    this.legend = h("p", { class: "legend small" }, Object.entries(NAMES).map(([letter, name]) => h("span", {}, h("span", { class: "seat sample", "data-status": letter, "aria-hidden": "true" }), name)));
    this.element = h("div", { class: "picker" }, h("label", {}, h("span", { text: "Seats by label; two dots for a run" }), this.field), this.problem, this.sectionLabel, this.rows, this.legend);
  }

  layoutIs(layout) {
    this.layout = layout;
    Object.assign(this, named(layout));
    this.section.replaceChildren(...layout.sections.map((section, i) => h("option", { value: i, text: section.name || `Section ${i + 1}` })));
    this.sectionLabel.hidden = layout.sections.length < 2;
    this.#drawRows();
  }

  #drawRows() {
    const section = this.layout.sections[Number(this.section.value) || 0];
    this.#buttons.clear();
    let left = SECTION_SEATS_MAX;
    const rows = (section?.rows ?? []).map((row) => {
      const seats = row.numbers.slice(0, Math.max(left, 0)).map((number, k) => {
        const seat = row.first + k;
        const aisle = k > 0 && row.x[k] - row.x[k - 1] > 10;
        const button = h("button", { type: "button", class: aisle ? "seat after-aisle" : "seat", onclick: () => this.#toggle(seat), text: number });
        this.#buttons.set(seat, button);
        return button;
      });
      left -= row.numbers.length;
      return h("div", { class: "seat-row" }, h("span", { class: "row-name", "aria-hidden": "true", text: row.name }), seats);
    });
    this.rows.replaceChildren(...rows);
    this.#paint();
  }

  /** The letters of all seats, as the core told them. */
  update(seats) {
    this.#seats = seats;
    this.#paint();
  }

  #paint() {
    for (const [seat, button] of this.#buttons) {
      const [status, chosen] = [this.#seats[seat] ?? "a", this.#chosen.has(seat)];
      const name = `${this.spoken[seat]}, ${NAMES[status] ?? "unknown"}`;
      if (button.dataset.status !== status) button.dataset.status = status;
      if (button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
      if (button.title !== name) button.title = name;
      if (button.getAttribute("aria-pressed") !== String(chosen)) button.setAttribute("aria-pressed", chosen);
    }
  }

  #toggle(seat) {
    if (!this.#chosen.delete(seat)) this.#chosen.add(seat);
    this.field.value = this.chosen.map((one) => this.labels[one]).join(", ");
    setText(this.problem, "");
    this.#paint();
    this.changed();
  }

  /** Labels and runs of them, as somebody types them. */
  #typed() {
    const [chosen, wrong] = [new Set(), []];
    for (const word of this.field.value.split(/[\s,;]+/).filter(Boolean)) {
      const [first, last] = word.toUpperCase().split("..").map((label) => this.index?.get(label));
      const end = word.includes("..") ? last : first;
      if (first === undefined || end === undefined || end < first || end - first > 2000) wrong.push(word);
      else for (let seat = first; seat <= end; seat += 1) chosen.add(seat);
    }
    this.#chosen = chosen;
    setText(this.problem, wrong.length ? `No such seats here: ${wrong.join(", ")}` : "");
    this.#paint();
    this.changed();
  }

  get chosen() {
    return [...this.#chosen].sort((a, b) => a - b);
  }

  get isRight() {
    return this.#chosen.size > 0 && this.problem.textContent === "";
  }

  /** "A5, A6", or how many where there are many. */
  get text() {
    const { chosen } = this;
    return chosen.length > 8 ? plural(chosen.length, "seat") : chosen.map((seat) => this.labels[seat]).join(", ");
  }

  clear() {
    this.#chosen.clear();
    this.field.value = "";
    setText(this.problem, "");
    this.#paint();
    this.changed();
  }

  /** How many of the chosen have this status. */
  among(letter) {
    return count(this.chosen.filter((seat) => this.#seats[seat] === letter).length);
  }
}
