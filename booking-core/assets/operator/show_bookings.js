// What happened to a seat, and the cancelling of a booking that is found that way or named by its id.

import { act, read } from "./api.js";
import { confirm } from "./confirm.js";
import { h, money, plural, setText, whenExactly } from "./dom.js";

export class BookingFinder {
  constructor(context, show) {
    Object.assign(this, context);
    this.show = show;
    this.field = h("input", { id: "find-seat", autocomplete: "off", placeholder: "A5", required: true });
    this.booking = h("input", { id: "booking-id", autocomplete: "off", spellcheck: "false", pattern: "(SEATWIRE:)?[0-9a-fA-F\\-]{32,36}", required: true });
    this.hint = h("p", { class: "muted", role: "status" });
    this.list = h("ol", { class: "history", id: "seat-history" });
    this.found = h("div", { id: "found-booking", role: "status" });
    this.element = h(
      "section",
      { class: "card", "aria-labelledby": "history-title" },
      h("h2", { id: "history-title", text: "Seat history and bookings" }),
      h("form", { class: "inline", onsubmit: (event) => this.#find(event) }, h("label", {}, h("span", { text: "Seat" }), this.field), h("button", { class: "button", text: "Look up" })),
      this.hint,
      this.list,
      h("form", { class: "inline", onsubmit: (event) => this.#named(event) }, h("label", {}, h("span", { text: "Booking by its id, or a scanned ticket" }), this.booking), h("button", { class: "button", text: "Show" })),
      this.found,
    );
  }

  async #find(event) {
    event?.preventDefault();
    const seat = this.field.value.trim();
    if (!seat) return;
    try {
      const { changes } = await read(`shows/${this.show}/seats/${encodeURIComponent(seat)}/history`);
      setText(this.hint, changes.length ? `${plural(changes.length, "change")} of ${seat}, the latest first` : `Nothing has happened to ${seat} yet.`);
      const seen = new Set();
      this.list.replaceChildren(
        ...changes.slice(0, 30).map((change) => {
          const id = change.booking_id?.replaceAll("-", "");
          const first = id && !seen.has(id);
          if (id) seen.add(id);
          return h(
            "li",
            {},
            h("span", { text: `${change.from_status} → ${change.to_status}` }),
            h("span", { class: "muted small", text: ` ${whenExactly(change.changed_at)}, ${change.reason}, by ${change.actor}` }),
            first && h("span", { class: "actions" }, h("span", { class: "muted small", text: `booking …${id.slice(-8).toUpperCase()}` }), h("button", { type: "button", class: "button small", onclick: () => this.#cancel(id), text: "Cancel booking" })),
          );
        }),
      );
    } catch (error) {
      setText(this.hint, error.message);
      this.list.replaceChildren();
    }
  }

  /** Whether a ticket is good, and what a customer on the phone asks about; of any show. */
  async #named(event) {
    event.preventDefault();
    const id = this.booking.value.trim().replace(/^SEATWIRE:/i, "").replaceAll("-", "").toLowerCase();
    try {
      const { booking } = await read(`bookings/${id}`);
      const { state, labels, show, amount, currency, refunds = [] } = booking;
      const cancellable = state === "pending" || state === "confirmed";
      this.found.replaceChildren(
        h("p", {}, h("strong", { text: `${labels.join(", ")}: ${state}` }), h("span", { class: "muted small", text: ` show ${show}${show === this.show ? "" : ", NOT THIS ONE"}, ${money(amount, currency)}${refunds.map((refund) => `, refund ${refund.state}`).join("")}` })),
        cancellable ? h("button", { type: "button", class: "button small", onclick: () => this.#cancel(id), text: "Cancel booking" }) : "",
      );
    } catch (error) {
      this.found.replaceChildren(h("p", { class: "problem", text: error.message }));
    }
  }

  async #cancel(id) {
    const name = id.slice(-8).toUpperCase();
    const note = await confirm({ title: `Cancel booking ${name}?`, text: "Its seats go back on sale; if it was paid, the whole amount is refunded and the customer gets a mail.", yes: "Cancel booking", danger: true });
    if (note === null) return;
    const done = await this.doing(`Booking ${name} is cancelled.`, () => act(`bookings/${id}/cancel`, {}, note));
    if (!done) return;
    this.found.replaceChildren();
    this.#find();
  }
}
