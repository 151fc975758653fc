// The QR code of a confirmed booking: fetched with the customer's own token, and shown with what it says in words.

import { fetchCode } from "./api.js";
import { reference } from "./booking_text.js";
import { h } from "./dom.js";

const RETRY_MS = 3000;

export class TicketCode {
  constructor(booking) {
    this.booking = booking;
    this.place = h("span", { class: "code-place", "aria-hidden": "true" });
    this.caption = h("figcaption", { class: "muted small", text: `Booking ${reference(booking)}` });
    this.element = h("figure", { class: "ticket-code" }, this.place, this.caption);
    this.#load(3);
  }

  async #load(tries) {
    try {
      const picture = await fetchCode(this.booking.booking);
      const alt = `QR code for the door. It says that this is booking ${reference(this.booking)}.`;
      this.place.replaceWith(h("img", { id: "ticket-code", src: `data:image/svg+xml,${encodeURIComponent(picture)}`, width: 196, height: 196, alt }));
    } catch {
      if (tries > 0) setTimeout(() => this.#load(tries - 1), RETRY_MS);
      else this.caption.textContent = `The code can't be shown now. At the door, tell your reference: ${reference(this.booking)}.`;
    }
  }
}
