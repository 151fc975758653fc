// Beside the map: the sale's state, the legend, the choice, own holds and bookings that wait for payment.

import { Countdown } from "./countdown.js";
import { h, s, setText } from "./dom.js";
import { dayAndTime, list, money, plural, wait } from "./format.js";
import { HoldCard } from "./hold_card.js";
import { PendingCard } from "./pending_card.js";
import { MARKS, tierClass } from "./seat_art.js";

const MINUTE_MS = 60000;

export class ShowPanel {
  #holds = new Map();
  #pending = new Map();
  #busy = false;

  constructor(view) {
    this.view = view;
    this.opening = h("p", { class: "opening-time", id: "opening-countdown" });
    this.openingNote = h("p", { class: "muted" });
    this.saleTitle = h("h2", { id: "sale-title" });
    this.openingCard = h("section", { class: "card opening", hidden: true }, this.saleTitle, this.opening, this.openingNote);
    this.soldOut = h("section", { class: "card", id: "sold-out", hidden: true }, h("h2", {}, "No seats left"), h("p", { class: "muted" }, "Stay here if you like: seats whose hold runs out, or whose booking is cancelled, are back on this map at once."));
    this.countdown = new Countdown((left) => setText(this.opening, left > 0 ? wait(left) : "Opening…"));
    this.cards = h("div", { class: "cards" });
    this.seats = h("ul", { class: "chosen-list" });
    this.hint = h("p", { class: "muted", id: "choice-hint" });
    this.total = h("strong", { id: "total" });
    this.holdButton = h("button", { id: "hold-button", type: "button", class: "button primary", onclick: () => view.choice.hold() }, "Hold seats");
    this.clearButton = h("button", { id: "clear-button", type: "button", class: "button quiet", onclick: () => view.choice.clear() }, "Clear");
    this.choice = h(
      "section",
      { class: "card choice", "aria-labelledby": "choice-title" },
      h("div", { class: "card-head" }, h("h2", { id: "choice-title" }, "Your choice"), this.total),
      this.seats,
      this.hint,
      h("div", { class: "actions" }, this.holdButton, this.clearButton),
    );
    this.best = h("form", { class: "card best", hidden: true, onsubmit: (event) => this.#holdBest(event) });
    this.legend = h("section", { class: "card legend", "aria-labelledby": "legend-title" });
    this.element = h("aside", { class: "panel", "aria-label": "Your seats" }, this.openingCard, this.cards, this.soldOut, this.choice, this.best, this.legend);
  }

  planIs(plan) {
    const sample = (status, tier = 0) =>
      s(
        "svg",
        { class: `sample seat ${tierClass(tier)}`, viewBox: "0 0 10 10", "data-status": status, "aria-hidden": "true" },
        s("rect", { class: "box", x: 0.8, y: 0.8, width: 8.4, height: 8.4, rx: 2.2 }),
        s("path", { class: "mark", d: MARKS[status] }),
      );
    const entry = (picture, text, side = "") => h("li", {}, picture, h("span", { text }), h("span", { class: "price", text: side }));
    this.legend.replaceChildren(
      h("h2", { id: "legend-title" }, "Legend"),
      h("ul", { class: "tiers" }, plan.tiers.map((tier, index) => entry(sample("available", index), tier.name, money(tier.price, plan.currency)))),
      h(
        "ul",
        { class: "statuses" },
        [["chosen", "Your choice"], ["mine", "Held for you"], ["held", "Held by others"], ["booked", "Sold"], ["blocked", "Not for sale"]].map(([status, text]) =>
          entry(sample(status), text),
        ),
      ),
    );
    this.best.replaceChildren(
      h("h2", {}, "Best available"),
      h(
        "div",
        { class: "best-row" },
        h("label", {}, h("span", { text: "Seats" }), h("select", { id: "best-count", name: "count" }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => h("option", { value: n, text: n, selected: n === 2 })))),
        h(
          "label",
          { class: "grow" },
          h("span", { text: "Price" }),
          h("select", { id: "best-tier", name: "tier" }, h("option", { value: "", text: "Any" }), plan.tiers.map((tier) => h("option", { value: tier.id, text: `${tier.name} · ${money(tier.price, plan.currency)}` }))),
        ),
        (this.bestButton = h("button", { id: "best-button", class: "button", type: "submit" }, "Find and hold")),
      ),
    );
  }

  #holdBest(event) {
    event.preventDefault();
    const tier = this.best.elements.tier.value;
    this.view.choice.hold({ count: Number(this.best.elements.count.value), ...(tier === "" ? {} : { tier: Number(tier) }) });
  }

  /** Milliseconds that the countdown to the opening shows; 0 when there is none. */
  get opensInMs() {
    return this.opening.hidden ? 0 : this.countdown.remainingMs;
  }

  saleIs(sale, opensInMs) {
    const before = sale === "before";
    this.openingCard.hidden = sale === "open";
    this.opening.hidden = !before;
    setText(this.saleTitle, before ? "The sale opens in" : "The sale is closed");
    if (before && opensInMs > 0) this.countdown.set(opensInMs);
    else {
      this.countdown.stop();
      setText(this.opening, "Soon");
    }
    const at = before && opensInMs > 0 ? Math.round((Date.now() + opensInMs) / MINUTE_MS) * MINUTE_MS : 0;
    const when = at ? `${dayAndTime(at)}. ` : "";
    setText(this.openingNote, before ? `${when}Stay here: the map opens by itself, for everybody at once.` : "Seats of this show can no longer be bought.");
  }

  busy(busy) {
    this.#busy = busy;
    setText(this.holdButton, busy ? "Holding…" : "Hold seats");
  }

  /** After a hold the next thing to do is to pay: the focus goes there. */
  focusHold(id) {
    this.draw();
    this.#holds.get(id)?.focus();
  }

  draw() {
    const { view } = this;
    this.#drawCards(this.#holds, view.own.holds.values(), (hold) => hold.hold, HoldCard);
    this.#drawCards(this.#pending, view.own.pending, (booking) => booking.booking, PendingCard);
    [...this.#holds.values()].forEach((card, index) => card.numberIs(index));
    const open = view.state.sale === "open";
    const hasChoice = view.choice.seats.size > 0;
    const soldOut = open && view.state.loaded && !hasChoice && !view.state.statuses.includes(0);
    this.soldOut.hidden = !soldOut || this.#holds.size > 0;
    this.choice.hidden = !open || !view.plan || soldOut || (!hasChoice && this.#holds.size > 0);
    this.best.hidden = !open || !view.plan || soldOut || this.#holds.size > 0;
    this.#drawChoice(open);
  }

  #drawCards(cards, items, idOf, Card) {
    const seen = new Set();
    for (const item of items) {
      const id = idOf(item);
      seen.add(id);
      let card = cards.get(id);
      if (!card) {
        card = new Card(this.view);
        cards.set(id, card);
        this.cards.append(card.element);
      }
      card.update(item);
    }
    for (const [id, card] of cards) {
      if (seen.has(id)) continue;
      card.destroy();
      cards.delete(id);
    }
  }

  #drawChoice(open) {
    const { view } = this;
    const { plan } = view;
    if (!plan) return;
    const seats = [...view.choice.seats].sort((a, b) => a - b);
    const key = seats.join();
    if (this.drawn !== key) {
      this.drawn = key;
      this.seats.replaceChildren(
        ...seats.map((seat) =>
          h(
            "li",
            { class: tierClass(plan.tier[seat]) },
            h("span", { class: "chip", text: plan.label(seat) }),
            h("span", { class: "muted", text: plan.tierOf(seat)?.name ?? "" }),
            h("span", { class: "price", text: money(plan.price(seat), plan.currency) }),
            h("button", { type: "button", class: "remove", "aria-label": `Remove ${plan.label(seat)}`, onclick: () => view.choice.toggle(seat), text: "×" }),
          ),
        ),
      );
      this.choice.classList.toggle("has-seats", seats.length > 0);
      setText(this.total, seats.length ? money(plan.total(seats), plan.currency) : "");
      setText(this.hint, seats.length ? `${plural(seats.length, "seat")}: ${list(plan.labels(seats))}. Held seats can't be taken by others.` : "Choose seats on the map. Nothing is held until you press Hold.");
    }
    const ready = open && view.live && !this.#busy;
    this.holdButton.disabled = !ready || seats.length === 0;
    this.clearButton.hidden = seats.length === 0;
    if (this.bestButton) this.bestButton.disabled = !ready;
  }

  destroy() {
    this.countdown.stop();
    for (const card of [...this.#holds.values(), ...this.#pending.values()]) card.destroy();
  }
}
