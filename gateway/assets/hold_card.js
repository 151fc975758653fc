// One hold of the customer: its seats, the time left, more time, release, and the way to payment.

import { newKey } from "./seatwire/client.js";
import { Countdown } from "./countdown.js";
import { goToCheckout } from "./checkout.js";
import { h, setText } from "./dom.js";
import { clock, list, money, plural } from "./format.js";

const WARN_MS = 60000;

export class HoldCard {
  #key = newKey();
  #spokenAt = Infinity;

  constructor(view) {
    this.view = view;
    this.labels = h("strong", { class: "hold-seats" });
    this.amount = h("span", { class: "price" });
    this.time = h("span", { class: "hold-time", role: "timer" });
    this.bar = h("span", { class: "hold-bar-fill" });
    this.spoken = h("span", { class: "visually-hidden", "aria-live": "polite" });
    this.email = h("input", { type: "email", name: "email", autocomplete: "email", maxlength: 254, required: true, placeholder: "you@example.com" });
    this.payButton = h("button", { type: "submit", class: "button primary" }, "Pay");
    this.extendButton = h("button", { type: "button", class: "button", onclick: () => this.#run(() => view.extend(this.hold)) }, "More time");
    this.releaseButton = h("button", { type: "button", class: "button quiet", onclick: () => this.#run(() => view.release(this.hold)) }, "Release");
    this.form = h(
      "form",
      { class: "pay-form", onsubmit: (event) => this.#pay(event) },
      h("label", {}, h("span", { text: "E-mail for the tickets" }), this.email),
      h("div", { class: "actions" }, this.payButton, this.extendButton, this.releaseButton),
    );
    this.notOnSale = h("p", { hidden: true, text: "The sale is not open any more, so these seats can't be booked now." });
    this.element = h(
      "section",
      { class: "card hold" },
      h("div", { class: "card-head" }, h("h2", {}, "Held for you"), this.time),
      h("span", { class: "hold-bar", "aria-hidden": "true" }, this.bar),
      h("p", { class: "hold-line" }, this.labels, this.amount),
      this.notOnSale,
      this.form,
      this.spoken,
    );
    this.countdown = new Countdown((left) => this.#tick(left));
  }

  /** The first hold has the plain ids, others a number after them. */
  numberIs(index) {
    const suffix = index === 0 ? "" : `-${index + 1}`;
    const ids = { element: "hold-card", time: "hold-time", email: "email", payButton: "pay-button", extendButton: "extend-button", releaseButton: "release-button" };
    for (const [field, id] of Object.entries(ids)) this[field].id = id + suffix;
  }

  update(hold) {
    const { plan } = this.view;
    const told = this.hold !== hold;
    this.hold = hold;
    const labels = list(hold.seats.map(this.view.label));
    setText(this.labels, labels);
    this.element.setAttribute("aria-label", `Held for you: ${labels}`);
    setText(this.amount, plan ? money(plan.total(hold.seats), plan.currency) : "");
    if (plan && !this.busyNow) setText(this.payButton, `Pay ${money(plan.total(hold.seats), plan.currency)}`);
    this.extendButton.hidden = hold.extensions_left === 0;
    this.extendButton.title = `${plural(hold.extensions_left, "more time", "more times")} possible`;
    if (told) {
      this.totalMs = Math.max(this.totalMs ?? 0, hold.remaining_ms);
      this.#spokenAt = Infinity;
      this.countdown.set(hold.remaining_ms);
    }
    this.#enable();
  }

  #tick(left) {
    setText(this.time, left > 0 ? clock(left) : "Time is up");
    this.element.classList.toggle("is-short", left <= WARN_MS);
    this.bar.style.width = `${Math.round((left / (this.totalMs || 1)) * 1000) / 10}%`;
    // Told a few times only, not every second.
    const due = left <= 0 ? 0 : left <= 15000 ? 15000 : left <= WARN_MS ? WARN_MS : Infinity;
    if (due < this.#spokenAt) {
      this.#spokenAt = due;
      setText(this.spoken, left > 0 ? `${Math.round(left / 1000)} seconds left to pay or ask for more time.` : "The time of your hold is up.");
    }
  }

  #enable() {
    const able = this.view.client.state === "live" && !this.busyNow;
    const browsing = this.hold?.phase === "browse";
    const onSale = this.view.state.sale !== "closed" && this.view.state.sale !== "before";
    this.notOnSale.hidden = onSale;
    this.payButton.disabled = !able || !onSale;
    this.extendButton.disabled = !able || !browsing || !onSale;
    this.releaseButton.disabled = !able || !browsing;
  }

  async #run(act) {
    if (this.busyNow) return null;
    this.busyNow = true;
    this.#enable();
    try {
      return await act();
    } finally {
      this.busyNow = false;
      this.#enable();
    }
  }

  async #pay(event) {
    event.preventDefault();
    const email = this.email.value.trim();
    if (!email) return;
    // The same e-mail under the same key is the same booking; another e-mail is another request.
    if (this.asked !== email) this.#key = newKey();
    this.asked = email;
    setText(this.payButton, "Preparing the payment…");
    const booking = await this.#run(() => this.view.pay(this.hold, email, this.#key));
    if (booking) goToCheckout(booking);
    else this.update(this.hold);
  }

  focus() {
    this.email.focus({ preventScroll: false });
  }

  destroy() {
    this.countdown.stop();
    this.element.remove();
  }
}
