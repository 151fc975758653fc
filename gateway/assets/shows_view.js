// What is on sale: shows by city and day, with filters. Read again now and then while a sale is still to open.

import { Countdown } from "./countdown.js";
import { h, setText } from "./dom.js";
import { day, dayKey, money, plural, time, wait } from "./format.js";
import { refusalText } from "./refusal.js";

/** A list with sales to come is read again after so long: one may be put off. */
const AGAIN_MS = 60000;
const RETRY_MS = 2000;

export function showsView(context) {
  const view = new ShowsView(context);
  return { element: view.element, title: "Shows", destroy: () => view.destroy(), shown: () => view.read() };
}

class ShowsView {
  #shows = [];
  #readAt = 0;
  /** Of the shows in the page whose sale has not opened. @type {Map<number, Countdown>} */
  #countdowns = new Map();
  #chosen = { city: "", date: "", movie: "" };
  #timer = 0;
  #gone = false;
  #drawn = "";

  constructor(context) {
    Object.assign(this, context);
    this.body = h("div", { class: "shows", "aria-busy": "true" }, h("p", { class: "loading", text: "Loading shows…" }));
    this.filters = h("div", { class: "filters" });
    this.element = h("section", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Shows"), this.filters), this.body);
    this.read();
  }

  async read() {
    clearTimeout(this.#timer);
    let problem = null;
    try {
      this.#shows = await this.shows();
    } catch (error) {
      problem = error;
    }
    if (this.#gone) return;
    // An older list is better than none.
    if (problem && !this.#drawn) this.body.replaceChildren(h("p", { class: "loading", text: `${refusalText(problem)} Trying again…` }));
    if (problem) return this.#readIn(RETRY_MS);
    this.#readAt = performance.now();
    if (this.#shows.some(({ sale }) => sale === "before")) this.#readIn(AGAIN_MS);
    this.#told();
  }

  /** Spread, so that a crowd asks one by one. */
  #readIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (document.hidden ? this.#readIn(ms) : this.read()), ms * (1 + Math.random()));
  }

  #told() {
    // Times left differ each time and go to their countdowns; the rest is drawn again only when it differs.
    const key = JSON.stringify(this.#shows.map((show) => ({ ...show, opens_in_ms: 0 })));
    if (key !== this.#drawn) {
      this.#drawn = key;
      this.body.setAttribute("aria-busy", "false");
      this.#drawFilters();
      this.#draw();
    }
    this.#count();
  }

  #count() {
    const age = performance.now() - this.#readAt;
    for (const { show, opens_in_ms: opensInMs } of this.#shows) this.#countdowns.get(show)?.set(Math.max(0, opensInMs - age));
  }

  #drawFilters() {
    const shows = this.#shows;
    const pick = (name, label, all, options) => {
      if (!options.some(([value]) => value === this.#chosen[name])) this.#chosen[name] = "";
      return h(
        "label",
        { class: "filter" },
        h("span", { text: label }),
        h(
          "select",
          { id: `filter-${name}`, onchange: (event) => this.#choose(name, event.target.value) },
          h("option", { value: "", text: all }),
          options.map(([value, text]) => h("option", { value, text, selected: value === this.#chosen[name] })),
        ),
      );
    };
    const words = (of) => [...new Set(shows.map(of))].sort().map((word) => [word, word]);
    const dates = [...new Map(shows.map((show) => [dayKey(show.starts_at_ms), day(show.starts_at_ms)]))].sort();
    const focused = document.activeElement?.id;
    this.filters.replaceChildren(
      pick("city", "City", "All cities", words(({ city }) => city)),
      pick("date", "Day", "All days", dates),
      pick("movie", "Show", "All shows", words(({ movie }) => movie)),
    );
    if (focused) this.filters.querySelector(`#${CSS.escape(focused)}`)?.focus();
  }

  #choose(name, value) {
    this.#chosen[name] = value;
    this.#draw();
    this.#count();
  }

  #draw() {
    for (const countdown of this.#countdowns.values()) countdown.stop();
    this.#countdowns.clear();
    const { city, date, movie } = this.#chosen;
    const matching = this.#shows.filter(
      (show) => (!city || show.city === city) && (!date || dayKey(show.starts_at_ms) === date) && (!movie || show.movie === movie),
    );
    const focused = document.activeElement?.dataset?.show;
    this.body.replaceChildren(...groups(matching, (show) => this.#card(show)));
    if (matching.length === 0) this.body.append(h("p", { class: "loading", text: this.#shows.length ? "No show matches." : "No shows are on sale." }));
    if (focused) this.body.querySelector(`[data-show="${focused}"]`)?.focus();
  }

  #card(show) {
    const sale = h("span", { class: "sale", "data-sale": show.sale, text: show.sale === "open" ? "On sale" : "Sale closed" });
    if (show.sale === "before") {
      this.#countdowns.set(
        show.show,
        new Countdown((left) => {
          setText(sale, left > 0 ? `Sale opens in ${wait(left)}` : "Sale is opening");
          if (left <= 0) this.#readIn(RETRY_MS);
        }),
      );
    }
    return card(show, sale);
  }

  destroy() {
    this.#gone = true;
    clearTimeout(this.#timer);
    for (const countdown of this.#countdowns.values()) countdown.stop();
  }
}

function groups(shows, card) {
  const byPlace = new Map();
  for (const show of [...shows].sort((a, b) => a.city.localeCompare(b.city) || a.starts_at_ms - b.starts_at_ms)) {
    const key = `${show.city}\n${dayKey(show.starts_at_ms)}`;
    if (!byPlace.has(key)) byPlace.set(key, []);
    byPlace.get(key).push(show);
  }
  return [...byPlace.values()].map((group) =>
    h(
      "section",
      { class: "show-group" },
      h("h2", {}, group[0].city, h("span", { class: "muted", text: day(group[0].starts_at_ms) })),
      h("ul", { class: "show-list" }, group.map((show) => h("li", {}, card(show)))),
    ),
  );
}

function card(show, sale) {
  const price =
    show.price_min === show.price_max
      ? money(show.price_min, show.currency)
      : `${money(show.price_min, show.currency)} – ${money(show.price_max, show.currency)}`;
  return h(
    "a",
    { class: "show-card", href: `/#/show/${show.show}`, "data-show": show.show },
    h("span", { class: "show-time", text: time(show.starts_at_ms) }),
    h(
      "span",
      { class: "show-what" },
      h("strong", { text: show.movie }),
      h("span", { class: "muted", text: `${show.theater} · ${show.screen} · ${plural(show.seats, "seat")}` }),
    ),
    h("span", { class: "show-side" }, h("span", { text: price }), sale),
  );
}
