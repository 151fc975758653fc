// One show: its numbers, its seats, who holds what, and everything that may be done to it.

import { act, read } from "./api.js";
import { SalesChart } from "./chart.js";
import { confirm } from "./confirm.js";
import { count, h, plural, setText, when } from "./dom.js";
import { SeatPicker } from "./seats.js";
import { BookingFinder } from "./show_bookings.js";

const SALE = { before: "Not open yet", open: "Open", closed: "Closed" };

export function showView(context, show) {
  const view = new Show(context, show);
  return { element: view.element, title: `Show ${show}`, read: () => view.read(), fail: (text) => setText(view.note, text) };
}

class Show {
  #held = "";
  #layout = 0;

  constructor(context, show) {
    Object.assign(this, context);
    this.show = show;
    this.path = `shows/${show}`;
    this.title = h("h1", { text: `Show ${show}` });
    this.where = h("p", { class: "muted" });
    this.state = h("span", { class: "state", id: "sale-state" });
    this.note = h("p", { class: "muted", role: "status" });
    this.numbers = Object.fromEntries(["viewers", "available", "held", "booked", "blocked", "position"].map((name) => [name, h("dd", { id: `show-${name}` })]));
    const tile = (name, label) => h("div", { class: "tile" }, h("dt", { text: label }), this.numbers[name]);
    const button = (id, text, run, kind = "") => h("button", { type: "button", class: `button ${kind}`, id, onclick: run, text });
    this.openButton = button("open-sale", "Open sale", () => this.#sale("open"));
    this.closeButton = button("close-sale", "Close sale", () => this.#sale("closed"));
    this.opensAt = h("input", { type: "datetime-local", id: "opens-at" });
    this.blockButton = button("block", "Block", () => this.#block("block"), "primary");
    this.unblockButton = button("unblock", "Release for sale", () => this.#block("unblock"));
    this.picker = new SeatPicker(() => this.#enable());
    this.chart = new SalesChart("Seats sold by minute");
    this.holds = h("tbody", {});
    this.holdsHint = h("p", { class: "muted" });
    this.bookings = new BookingFinder(context, show);
    this.element = h(
      "section",
      {},
      h("p", {}, h("a", { href: "#/", text: "← Overview" })),
      h("div", { class: "show-head" }, h("div", {}, this.title, this.where), this.state),
      this.note,
      h("dl", { class: "tiles" }, tile("viewers", "Live viewers"), tile("available", "Free"), tile("held", "Held"), tile("booked", "Booked"), tile("blocked", "Blocked"), tile("position", "Map's position")),
      h(
        "div",
        { class: "columns" },
        h("div", { class: "stack" }, h("section", { class: "card", "aria-labelledby": "seats-title" }, h("h2", { id: "seats-title", text: "Block or release seats" }), this.picker.element, h("div", { class: "actions" }, this.blockButton, this.unblockButton, button("clear-seats", "Clear", () => this.picker.clear(), "quiet"))), this.chart.element),
        h(
          "div",
          { class: "stack" },
          h(
            "section",
            { class: "card", "aria-labelledby": "sale-title" },
            h("h2", { id: "sale-title", text: "Sale" }),
            h("div", { class: "actions" }, this.openButton, this.closeButton),
            h("form", { class: "inline", onsubmit: (event) => this.#schedule(event) }, h("label", {}, h("span", { text: "Let it open by itself at" }), this.opensAt), h("button", { class: "button", text: "Schedule" })),
          ),
          h("section", { class: "card", "aria-labelledby": "holds-title" }, h("h2", { id: "holds-title", text: "Live holds" }), this.holdsHint, h("table", { id: "holds" }, this.holds)),
          this.bookings.element,
          h("section", { class: "card danger-zone", "aria-labelledby": "last-title" }, h("h2", { id: "last-title", text: "Repair and last resort" }), h("div", { class: "actions" }, button("reload", "Load the map anew", () => this.#reload()), button("cancel-show", "Cancel the show", () => this.#cancel(), "danger"))),
        ),
      ),
    );
  }

  async read() {
    const places = [this.path, `${this.path}/seats`, `${this.path}/holds`, `${this.path}/sales`, `overview?q=${this.show}`];
    const [state, seats, holds, sales, { shows }] = await Promise.all(places.map(read));
    if (this.#layout !== seats.layout_version) {
      const layout = await read(`${this.path}/layout`);
      this.picker.layoutIs(layout);
      this.#layout = seats.layout_version;
    }
    return () => this.#draw({ state, seats, holds, sales, info: shows.find(({ show }) => show === this.show) });
  }

  #draw({ state, seats, holds, sales, info }) {
    const { ledger, live } = state;
    if (info) {
      setText(this.title, info.movie);
      setText(this.where, `${info.theater}, ${info.screen}, ${info.city} · ${when(info.starts_at_ms)} · show ${this.show}`);
    }
    const cancelled = ledger.cancelled;
    this.sale = ledger.sale.state;
    setText(this.state, cancelled ? "Cancelled" : SALE[this.sale] ?? this.sale);
    this.state.dataset.state = cancelled ? "cancelled" : this.sale;
    const left = cancelled && !cancelled.done ? `${plural(cancelled.bookings_left, "booking")} still to be cancelled and refunded.` : cancelled ? "All bookings are cancelled; refunds are on their way." : "";
    const opens = this.sale === "before" && ledger.sale.opens_at_ms ? `Opens ${when(ledger.sale.opens_at_ms)}.` : "";
    setText(this.note, live.error ? `The live map is out of reach: ${live.error.message}` : left || opens);
    for (const name of ["available", "held", "booked", "blocked"]) setText(this.numbers[name], count(live[name]));
    setText(this.numbers.viewers, count(info?.viewers));
    setText(this.numbers.position, `${seats.generation} · ${count(seats.sequence)}`);
    this.isCancelled = Boolean(cancelled);
    this.picker.update(seats.seats);
    this.chart.update(sales.sales);
    this.#drawHolds(holds.holds);
    this.#enable();
  }

  #drawHolds(holds) {
    setText(this.holdsHint, holds.length ? plural(holds.length, "hold") : "Nobody holds a seat now.");
    const key = JSON.stringify(holds.map(({ hold, labels, phase }) => [hold, labels, phase]));
    if (this.#held !== key) {
      this.#held = key;
      this.left = new Map();
      this.holds.replaceChildren(
        ...holds.slice(0, 100).map((hold) => {
          const left = h("td", { class: "number" });
          this.left.set(hold.hold, left);
          const labels = hold.labels.join(", ");
          return h("tr", {}, h("th", { scope: "row" }, labels, h("span", { class: "muted small", text: `customer ${hold.customer.slice(0, 12)}…${hold.phase === "paying" ? ", at payment" : ""}` })), left, h("td", { class: "number" }, h("button", { type: "button", class: "button small", "aria-label": `Release the hold on ${labels}`, onclick: () => this.#release(hold, labels), text: "Release" })));
        }),
      );
    }
    for (const hold of holds) {
      const cell = this.left.get(hold.hold);
      if (cell) setText(cell, `${Math.ceil(hold.remaining_ms / 1000)} s`);
    }
  }

  #enable() {
    const right = this.picker.isRight && !this.isCancelled;
    this.blockButton.disabled = this.unblockButton.disabled = !right;
    this.openButton.disabled = this.sale === "open" || this.isCancelled;
    this.closeButton.disabled = this.sale === "closed" || this.isCancelled;
    document.getElementById("cancel-show")?.toggleAttribute("disabled", this.isCancelled);
  }

  async #sale(state) {
    const open = state === "open";
    const note = await confirm({ title: open ? "Open the sale?" : "Close the sale?", text: open ? "Customers can hold and book from this moment." : "No new holds and bookings. Who is at the checkout can still pay in time; what is paid later comes back as a refund.", yes: open ? "Open sale" : "Close sale" });
    if (note !== null) await this.doing(`The sale of show ${this.show} is ${state}.`, () => act(`${this.path}/sale`, { state }, note));
  }

  async #schedule(event) {
    event.preventDefault();
    const at = new Date(this.opensAt.value).getTime();
    if (!(at > Date.now())) return this.say("Choose a time that is still to come.", "bad");
    const note = await confirm({ title: "Schedule the opening?", text: `The sale is closed until ${when(at)} and opens then by itself.`, yes: "Schedule" });
    if (note !== null) await this.doing(`The sale of show ${this.show} opens ${when(at)}.`, () => act(`${this.path}/sale`, { state: "before", opens_at_ms: at }, note));
  }

  async #block(what) {
    const { picker } = this;
    const [seats, text, held] = [picker.chosen, picker.text, picker.among("h")];
    if (what === "block" && held !== "0") {
      const note = await confirm({ title: `Block ${text}?`, text: `${held} of them held by a customer, who loses the whole hold.`, yes: "Block", danger: true });
      if (note === null) return;
    }
    const done = what === "block" ? `Blocked ${text}.` : `${text}: for sale again.`;
    if (await this.doing(done, () => act(`${this.path}/${what}`, { seats }))) picker.clear();
  }

  async #release(hold, labels) {
    const note = await confirm({ title: `Release ${labels}?`, text: "The customer is told that the hold is over, and the seats are free at once.", yes: "Release hold" });
    if (note !== null) await this.doing(`Released the hold on ${labels}.`, () => act(`${this.path}/holds/${hold.hold}/release`, {}, note));
  }

  async #reload() {
    const note = await confirm({ title: "Load the map anew?", text: "Every viewer gets a new map from the ledger. Holds stay.", yes: "Load anew" });
    if (note !== null) await this.doing(`The map of show ${this.show} was loaded anew.`, () => act(`${this.path}/reload`, {}, note));
  }

  async #cancel() {
    const note = await confirm({
      title: `Cancel show ${this.show} for good?`,
      text: "The sale is closed, every booking is cancelled and refunded in full, and customers get a mail. This can't be undone.",
      yes: "Cancel the show",
      typed: String(this.show),
      danger: true,
    });
    if (note !== null) await this.doing(`Show ${this.show} is cancelled; its bookings are being refunded.`, () => act(`${this.path}/cancel`, {}, note));
  }
}
