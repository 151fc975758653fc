// A booking that waits for its payment, beside the map.

import { checkoutAddress } from "./checkout.js";
import { Countdown } from "./countdown.js";
import { h, setText } from "./dom.js";
import { clock, list, money } from "./format.js";

export class PendingCard {
  #booking = null;

  constructor() {
    this.labels = h("strong", {});
    this.amount = h("span", { class: "price" });
    this.time = h("span", { class: "hold-time", role: "timer" });
    this.pay = h("a", { class: "button primary" }, "Go to payment");
    this.look = h("a", { class: "button quiet" }, "Details");
    this.element = h(
      "section",
      { class: "card hold pending" },
      h("div", { class: "card-head" }, h("h2", {}, "Waiting for your payment"), this.time),
      h("p", { class: "hold-line" }, this.labels, this.amount),
      h("div", { class: "actions" }, this.pay, this.look),
    );
    this.countdown = new Countdown((left) => setText(this.time, left > 0 ? clock(left) : "Time is up"));
  }

  update(booking) {
    setText(this.labels, list(booking.labels));
    this.element.setAttribute("aria-label", `Waiting for your payment: ${list(booking.labels)}`);
    setText(this.amount, money(booking.amount, booking.currency));
    this.look.href = `/#/booking/${booking.booking}`;
    const url = checkoutAddress(booking);
    this.pay.hidden = !url;
    if (url) this.pay.href = url;
    if (this.#booking !== booking) {
      this.#booking = booking;
      this.countdown.set(booking.remaining_ms);
    }
  }

  destroy() {
    this.countdown.stop();
    this.element.remove();
  }
}
