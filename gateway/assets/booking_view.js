// One booking: after the checkout page, and from the list of bookings. While it is pending it is asked for again and
// again, slower with time, and a push makes it faster; the three phases tell a waiting customer what happens.

import { fetchBooking } from "./api.js";
import { reference, refundReason, refundTexts, refundTime } from "./booking_text.js";
import { checkoutAddress } from "./checkout.js";
import { Countdown } from "./countdown.js";
import { h } from "./dom.js";
import { clock, dayAndTime, list, money, plural } from "./format.js";
import { PHASES, phaseAfter, UNPAID } from "./payment_phase.js";
import { refusalText } from "./refusal.js";
import { TicketCode } from "./ticket_code.js";

/** A booking's page; `returned` when the customer comes back from the checkout. */
export function bookingView(context, id, returned) {
  const view = new BookingView(context, id, returned ? PHASES : UNPAID);
  return { element: view.element, title: "Booking", destroy: () => view.destroy(), shown: () => view.ask() };
}

class BookingView {
  #timer = 0;
  #phaseTimer = 0;
  #gone = false;
  #booking = null;
  #show = null;
  #startedAt = performance.now();
  #drawn = "";

  constructor(context, id, phases) {
    Object.assign(this, context);
    this.id = id;
    this.phases = phases;
    this.element = h("section", { class: "page narrow", "aria-live": "polite" });
    this.left = h("span", { class: "hold-time", role: "timer", "aria-live": "off" });
    this.reserved = h("p", { class: "muted" });
    this.countdown = new Countdown((ms) => this.#tick(ms));
    this.stop = this.client.on("push", (push) => {
      if (push.p === "reread") this.ask();
      if (push.p === "booking" && push.booking.booking === id) this.#is(push.booking);
    });
    this.#waiting();
    this.ask();
  }

  get #now() {
    return phaseAfter(this.phases, performance.now() - this.#startedAt);
  }

  async ask() {
    clearTimeout(this.#timer);
    try {
      this.#is(await fetchBooking(this.id));
    } catch (error) {
      if (this.#gone) return;
      if (error.code === "NOT_OWNER" || error.code === "BAD_REQUEST") return this.#unknown(error);
    }
    if (this.#gone || (this.#booking && this.#isSettled)) return;
    const { everyMs } = this.#now.phase;
    this.#timer = setTimeout(() => this.ask(), everyMs * (1 + Math.random() * 0.2));
  }

  /** Nothing more is expected. Who comes from the checkout may have paid late: that booking may yet be confirmed. */
  get #isSettled() {
    const { state, refunds = [] } = this.#booking;
    if (state === "pending" || refunds.some(({ state }) => state === "due" || state === "requested")) return false;
    return !(state === "expired" && this.phases === PHASES && refunds.length === 0);
  }

  #is(booking) {
    if (this.#gone || (this.#booking && this.#booking.version > booking.version)) return;
    this.#booking = booking;
    if (booking.state === "pending") this.countdown.set(booking.remaining_ms);
    else this.countdown.stop();
    if (!this.#show) this.#readShow(booking.show);
    this.#draw();
  }

  async #readShow(id) {
    this.#show = {};
    try {
      this.#show = (await this.shows()).find(({ show }) => show === id) ?? {};
    } catch {
      return;
    }
    if (!this.#gone) this.#draw();
  }

  #tick(ms) {
    if (ms > 0) {
      this.left.textContent = clock(ms);
      if (!this.reserved.contains(this.left)) this.reserved.replaceChildren("Your seats stay reserved for payment for ", this.left, ".");
    } else this.reserved.textContent = "The time to pay is over. If you paid, you get the seats or your money back.";
  }

  #waiting() {
    this.#draw();
    clearTimeout(this.#phaseTimer);
    const { leftMs, isLast } = this.#now;
    if (isLast) return;
    this.#phaseTimer = setTimeout(() => this.#waiting(), leftMs + 20);
  }

  #draw() {
    const booking = this.#booking;
    if (booking && booking.state !== "pending") clearTimeout(this.#phaseTimer);
    // Drawn again only when something differs: the section is a live region, and focus must stay.
    const key = `${booking?.version} ${booking?.state} ${refundTexts(booking ?? {})} ${this.#now.phase.name} ${this.#show?.movie}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    const parts = { confirmed: () => this.#confirmed(), expired: () => this.#ended(), cancelled: () => this.#ended() };
    this.element.replaceChildren(...(parts[booking?.state] ?? (() => this.#pending()))());
    this.element.dataset.state = booking?.state ?? "pending";
    this.element.dataset.phase = this.#now.phase.name;
  }

  #summary() {
    const booking = this.#booking;
    const show = this.#show ?? {};
    const row = (name, value, id) => h("div", {}, h("dt", { text: name }), h("dd", { id, text: value }));
    return h(
      "dl",
      { class: "summary" },
      show.movie && row("Show", `${show.movie}, ${dayAndTime(show.starts_at_ms)}`),
      show.theater && row("Where", `${show.theater}, ${show.screen}, ${show.city}`),
      row(booking.labels.length === 1 ? "Seat" : "Seats", list(booking.labels), "booking-seats"),
      row("Amount", money(booking.amount, booking.currency)),
      row("Reference", reference(booking), "booking-reference"),
    );
  }

  #pending() {
    const { phase, isLast: waited } = this.#now;
    const booking = this.#booking;
    const url = booking && checkoutAddress(booking);
    const unpaid = this.phases === UNPAID;
    return [
      h("div", { class: "status-picture" }, h("span", { class: !waited ? "spinner" : "safe", "aria-hidden": "true" })),
      h("h1", { id: "booking-title", text: phase.title }),
      h("p", { class: "lead", text: phase.text }),
      booking && this.#summary(),
      booking && this.reserved,
      h(
        "div",
        { class: "actions centred" },
        url && h("a", { class: unpaid ? "button primary" : "button", id: "pay-again", href: url }, unpaid ? "Go to payment" : "Not paid yet? Go to payment"),
        (waited || booking) && h("a", { class: waited && !unpaid ? "button primary" : "button quiet", id: "to-bookings", href: "/#/bookings" }, "My bookings"),
      ),
    ].filter(Boolean);
  }

  #confirmed() {
    const booking = this.#booking;
    return [
      h("div", { class: "status-picture" }, h("span", { class: "done", "aria-hidden": "true", text: "✓" })),
      h("h1", { id: "booking-title", text: "Your booking is confirmed" }),
      h("p", { class: "lead", text: `${plural(booking.labels.length, "seat")} for you. Show this code at the door. A mail with the reference is on its way to you.` }),
      h("div", { class: "ticket" }, h("p", { class: "ticket-seats", id: "confirmation-seats" }, booking.labels.map((label) => h("span", { class: "chip big", text: label }))), (this.code ??= new TicketCode(booking)).element),
      this.#summary(),
      ...this.#refund(),
      h("div", { class: "actions centred" }, h("a", { class: "button primary", href: "/#/bookings" }, "My bookings"), h("a", { class: "button quiet", href: `/#/show/${booking.show}` }, "Back to the seat map")),
    ];
  }

  /** Money that goes back: how much, why, and when. */
  #refund() {
    const booking = this.#booking;
    const texts = refundTexts(booking);
    if (texts.length === 0) return [];
    return [h("section", { class: "refund refund-card", id: "refund", "aria-label": "Refund" }, texts.map((text) => h("p", { class: "refund-amount", text })), h("p", { text: refundReason(booking) }), h("p", { text: refundTime(booking) }))];
  }

  #ended() {
    const booking = this.#booking;
    const expired = booking.state === "expired";
    const refunded = (booking.refunds ?? []).length > 0;
    const title = expired ? (refunded ? "You did not get the seats; your money comes back" : "The time to pay is over") : "This booking is cancelled";
    const lead = refunded ? "" : expired ? "The seats went back on sale. You were not charged; should a payment still arrive, you get the seats if they are free, else the money back." : "The seats went back on sale. You were not charged.";
    return [
      h("div", { class: "status-picture" }, h("span", { class: "ended", "aria-hidden": "true", text: refunded ? "↩" : "–" })),
      h("h1", { id: "booking-title", text: title }),
      lead && h("p", { class: "lead", text: lead }),
      ...this.#refund(),
      this.#summary(),
      h("div", { class: "actions centred" }, h("a", { class: "button primary", href: `/#/show/${booking.show}` }, "Choose other seats"), h("a", { class: "button quiet", href: "/#/bookings" }, "My bookings")),
    ].filter(Boolean);
  }

  #unknown(error) {
    clearTimeout(this.#phaseTimer);
    this.element.replaceChildren(
      h("h1", { text: "Booking not found" }),
      h("p", { class: "lead", text: `${refusalText(error)} If you paid, the confirmation comes by e-mail all the same.` }),
      h("div", { class: "actions centred" }, h("a", { class: "button primary", href: "/#/bookings" }, "My bookings")),
    );
  }

  destroy() {
    this.#gone = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#phaseTimer);
    this.countdown.stop();
    this.stop();
  }
}
