// The customer's bookings, newest first, kept up to date by pushes; pending and confirmed ones can be cancelled.

import { fetchBookings } from "./api.js";
import { reference, refundTexts, refundTime, STATE_WORDS } from "./booking_text.js";
import { checkoutAddress } from "./checkout.js";
import { newKey } from "./seatwire/client.js";
import { h } from "./dom.js";
import { dayAndTime, list, money } from "./format.js";
import { refusalText } from "./refusal.js";

/** How often a list with something under way is read again. */
const AGAIN_MS = 5000;

const isUnderWay = ({ state, refunds = [] }) => state === "pending" || refunds.some((refund) => refund.state === "due" || refund.state === "requested");

export function bookingsView(context) {
  const view = new BookingsView(context);
  return { element: view.element, title: "My bookings", destroy: () => view.destroy(), shown: () => view.read() };
}

class BookingsView {
  #bookings = new Map();
  #shows = new Map();
  #more = false;
  #gone = false;
  #retry = 0;

  constructor(context) {
    Object.assign(this, context);
    this.list = h("ul", { class: "booking-list", "aria-busy": "true" }, h("li", { class: "loading", text: "Loading your bookings…" }));
    this.moreButton = h("button", { type: "button", class: "button", hidden: true, onclick: () => this.read(true) }, "Older bookings");
    this.dialog = h("dialog", { class: "dialog", "aria-labelledby": "cancel-title" });
    this.element = h("section", { class: "page narrow-list" }, h("div", { class: "page-head" }, h("h1", {}, "My bookings")), this.list, this.moreButton, this.dialog);
    this.stop = this.client.on("push", (push) => {
      if (push.p === "reread") this.read();
      if (push.p === "booking") this.#is(push.booking) && this.#draw();
    });
    this.#readShows();
    this.read();
  }

  async #readShows() {
    try {
      for (const show of await this.shows()) this.#shows.set(show.show, show);
    } catch {
      return;
    }
    if (!this.#gone && this.list.getAttribute("aria-busy") === "false") this.#draw();
  }

  async read(older = false) {
    clearTimeout(this.#retry);
    const before = older ? Math.min(...[...this.#bookings.values()].map((b) => b.created_at_ms)) : undefined;
    try {
      const { bookings, more } = await fetchBookings(before);
      if (this.#gone) return;
      for (const booking of bookings) this.#is(booking);
      if (older || this.#bookings.size <= bookings.length) this.#more = more;
      this.list.setAttribute("aria-busy", "false");
      this.#draw();
    } catch (error) {
      if (this.#gone) return;
      if (this.#bookings.size === 0) this.list.replaceChildren(h("li", { class: "loading", text: `${refusalText(error)} Trying again…` }));
      this.#retry = setTimeout(() => this.read(older), 2000 + Math.random() * 2000);
    }
  }

  #is(booking) {
    if ((this.#bookings.get(booking.booking)?.version ?? -1) > booking.version) return false;
    this.#bookings.set(booking.booking, booking);
    return true;
  }

  #draw() {
    const bookings = [...this.#bookings.values()].sort((a, b) => b.created_at_ms - a.created_at_ms);
    this.list.replaceChildren(...bookings.map((booking) => this.#card(booking)));
    if (bookings.length === 0) {
      this.list.append(h("li", { class: "empty" }, h("p", { text: "You have no bookings yet." }), h("a", { class: "button primary", href: "/#/" }, "See what is on")));
    }
    this.moreButton.hidden = !this.#more;
    // No push is sure to come to a page that shows no seat map: what is under way is asked for.
    clearTimeout(this.#retry);
    if (bookings.some(isUnderWay)) this.#retry = setTimeout(() => this.read(), AGAIN_MS * (1 + Math.random() * 0.2));
  }

  #card(booking) {
    const show = this.#shows.get(booking.show);
    const url = booking.state === "pending" && checkoutAddress(booking);
    const cancellable = booking.state === "pending" || booking.state === "confirmed";
    return h(
      "li",
      { class: "card booking-card", "data-booking": booking.booking, "data-state": booking.state },
      h(
        "div",
        { class: "card-head" },
        h("h2", {}, h("a", { href: `/#/booking/${booking.booking}`, text: show?.movie ?? `Show ${booking.show}` })),
        h("span", { class: "state", "data-state": booking.state, text: STATE_WORDS[booking.state] ?? STATE_WORDS.unknown }),
      ),
      show && h("p", { class: "muted", text: `${show.theater}, ${show.screen}, ${show.city} · ${dayAndTime(show.starts_at_ms)}` }),
      h("p", { class: "hold-line" }, h("strong", { text: list(booking.labels) }), h("span", { class: "price", text: money(booking.amount, booking.currency) })),
      refundTexts(booking).map((text) => h("p", { class: "refund", text })),
      refundTime(booking) && h("p", { class: "muted small", text: refundTime(booking) }),
      h("p", { class: "muted small", text: `Reference ${reference(booking)}` }),
      (url || cancellable) &&
        h(
          "div",
          { class: "actions" },
          booking.state === "confirmed" && h("a", { class: "button", href: `/#/booking/${booking.booking}`, "aria-label": `Show ticket for ${list(booking.labels)}` }, "Show ticket"),
          url && h("a", { class: "button primary", href: url }, "Go to payment"),
          cancellable && h("button", { type: "button", class: "button quiet", onclick: () => this.#askCancel(booking) }, "Cancel booking"),
        ),
    );
  }

  #askCancel(booking) {
    const key = newKey();
    const yes = h("button", { id: "cancel-yes", type: "button", class: "button danger" }, "Cancel booking");
    const no = h("button", { type: "button", class: "button", onclick: () => this.dialog.close() }, "Keep it");
    yes.addEventListener("click", async () => {
      yes.disabled = true;
      try {
        const cancelled = await this.client.cancel(booking.booking, key);
        this.#is(cancelled);
        this.notices.show(`Cancelled. ${refundTexts(cancelled).join(" ")} ${refundTime(cancelled)}`.trim(), "good");
      } catch (error) {
        this.notices.show(refusalText(error), "bad");
      }
      this.dialog.close();
      if (!this.#gone) this.#draw();
    });
    this.dialog.replaceChildren(
      h("h2", { id: "cancel-title", text: `Cancel ${list(booking.labels)}?` }),
      h("p", { text: booking.state === "confirmed" ? "The seats go back on sale, and your payment is refunded where the show's rules allow it." : "The seats go back on sale. Nothing is charged." }),
      h("div", { class: "actions" }, yes, no),
    );
    this.dialog.showModal();
  }

  destroy() {
    this.#gone = true;
    clearTimeout(this.#retry);
    this.stop();
  }
}
