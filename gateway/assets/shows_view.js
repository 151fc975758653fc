// What is on sale: shows by city and day, with filters.

import { Countdown } from "./countdown.js";
import { h } from "./dom.js";
import { day, dayKey, money, plural, time, wait } from "./format.js";
import { refusalText } from "./refusal.js";

export function showsView(context) {
  const countdowns = [];
  const body = h("div", { class: "shows", "aria-busy": "true" }, h("p", { class: "loading", text: "Loading shows…" }));
  const filters = h("div", { class: "filters" });
  const element = h("section", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Shows"), filters), body);
  let shows = [];
  let retry = 0;
  const chosen = { city: "", date: "", movie: "" };

  function draw() {
    for (const countdown of countdowns.splice(0)) countdown.stop();
    const matching = shows.filter(
      (show) =>
        (!chosen.city || show.city === chosen.city) &&
        (!chosen.date || dayKey(show.starts_at_ms) === chosen.date) &&
        (!chosen.movie || show.movie === chosen.movie),
    );
    body.replaceChildren(...groups(matching, countdowns));
    if (matching.length === 0) body.append(h("p", { class: "loading", text: shows.length ? "No show matches." : "No shows are on sale." }));
  }

  async function load() {
    try {
      shows = await context.shows();
    } catch (error) {
      body.replaceChildren(h("p", { class: "loading", text: `${refusalText(error)} Trying again…` }));
      retry = setTimeout(load, 2000 + Math.random() * 2000);
      return;
    }
    body.setAttribute("aria-busy", "false");
    const cities = [...new Set(shows.map((show) => show.city))].sort();
    const dates = [...new Map(shows.map((show) => [dayKey(show.starts_at_ms), day(show.starts_at_ms)]))].sort();
    const movies = [...new Set(shows.map((show) => show.movie))].sort();
    const pick = (name, label, all, options) =>
      h(
        "label",
        { class: "filter" },
        h("span", { text: label }),
        h(
          "select",
          { id: `filter-${name}`, onchange: (event) => ((chosen[name] = event.target.value), draw()) },
          h("option", { value: "", text: all }),
          options.map(([value, text]) => h("option", { value, text })),
        ),
      );
    const same = (words) => words.map((word) => [word, word]);
    filters.replaceChildren(
      pick("city", "City", "All cities", same(cities)),
      pick("date", "Day", "All days", dates),
      pick("movie", "Show", "All shows", same(movies)),
    );
    draw();
  }
  load();

  return {
    element,
    title: "Shows",
    destroy() {
      clearTimeout(retry);
      for (const countdown of countdowns) countdown.stop();
    },
  };
}

function groups(shows, countdowns) {
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
      h("ul", { class: "show-list" }, group.map((show) => h("li", {}, card(show, countdowns)))),
    ),
  );
}

function card(show, countdowns) {
  const sale = h("span", { class: "sale", "data-sale": show.sale });
  if (show.sale === "before") {
    const countdown = new Countdown((left) => (sale.textContent = left > 0 ? `Sale opens in ${wait(left)}` : "Sale is opening"));
    countdown.set(show.opens_in_ms);
    countdowns.push(countdown);
  } else sale.textContent = show.sale === "open" ? "On sale" : "Sale closed";
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
