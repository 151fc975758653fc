// Everything at once: the numbers that matter, sales by minute, and the shows.

import { read } from "./api.js";
import { SalesChart } from "./chart.js";
import { count, h, money, plural, setText, when } from "./dom.js";

const SALE = { before: "Not open yet", open: "Open", closed: "Closed" };

export function overviewView() {
  const view = new Overview();
  return { element: view.element, title: "Overview", read: () => view.read(), fail: (text) => view.fail(text) };
}

/** A number with its name; `bad` marks one that wants a look, in words too. */
class Tile {
  constructor(id, name) {
    this.value = h("dd", { id });
    this.more = h("dd", { class: "muted small more" });
    this.element = h("div", { class: "tile" }, h("dt", { text: name }), this.value, this.more);
  }

  update(value, more = "", bad = false) {
    setText(this.value, value);
    setText(this.more, more);
    this.element.classList.toggle("is-bad", bad);
  }
}

class Overview {
  constructor() {
    this.tiles = {
      viewers: new Tile("viewers", "Live viewers"),
      held: new Tile("held", "Seats held now"),
      sold: new Tile("sold", "Seats sold, last hour"),
      lag: new Tile("lag", "Expiry lag"),
      drift: new Tile("drift", "Drift found"),
      refunds: new Tile("refunds", "Open refunds"),
      outbox: new Tile("outbox", "Waiting in queues"),
      parked: new Tile("parked", "Parked for you"),
    };
    this.chart = new SalesChart("Seats sold by minute");
    this.search = h("input", { type: "search", id: "search", autocomplete: "off", placeholder: "Movie, city, theater or number", oninput: () => this.#filter() });
    this.rows = h("tbody", {});
    this.hint = h("p", { class: "muted small", role: "status" });
    const head = ["Show", "Sale", "Viewers", "Free", "Held", "Booked", "Blocked", "Sold, 1 h"];
    this.element = h(
      "section",
      {},
      h("h1", { text: "Overview" }),
      h("dl", { class: "tiles" }, Object.values(this.tiles).map((tile) => tile.element)),
      this.chart.element,
      h("div", { class: "section-head" }, h("h2", { text: "Shows" }), h("label", { class: "search" }, h("span", { class: "visually-hidden", text: "Search shows" }), this.search)),
      h("div", { class: "card table-frame", role: "region", "aria-label": "Shows", tabindex: "0" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : null, text: name })))), this.rows)),
      this.hint,
    );
    this.lines = new Map();
  }

  #filter() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try {
        (await this.read())();
      } catch {
        // The next round tells.
      }
    }, 200);
  }

  async read() {
    const search = this.search.value.trim();
    const all = await read(`overview${search ? `?q=${encodeURIComponent(search)}` : ""}`);
    return () => search === this.search.value.trim() && this.#draw(all);
  }

  #draw(all) {
    const { tiles } = this;
    const { backlog, refunds, cores, gateways, shows } = all;
    const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
    tiles.viewers.update(count(all.viewers), gateways ? plural(gateways.length, "gateway") : "Redis is out of reach", gateways === null);
    tiles.held.update(count(sum(shows, ({ counts }) => counts?.held ?? 0)), all.more ? "of the shows below" : "");
    tiles.sold.update(count(sum(all.sales, ({ seats }) => seats)), plural(sum(all.sales, ({ bookings }) => bookings), "booking"));
    const lags = (cores ?? []).map(({ signs }) => signs.expiry_lag_ms).filter((lag) => lag !== null);
    const lag = lags.length ? Math.max(...lags) : null;
    tiles.lag.update(lag === null ? "–" : `${count(lag)} ms`, lag === null ? "no hold ran out lately" : "worst of the last minutes", lag > 1000);
    const drift = cores && sum(cores, ({ signs }) => signs.drift);
    tiles.drift.update(count(drift), cores ? `by ${plural(cores.length, "core")} since start` : "", drift > 0);
    const open = sum(refunds, (one) => one.count);
    tiles.refunds.update(count(open), refunds.map((one) => money(one.amount, one.currency)).join(", "), backlog.refunds_parked > 0);
    tiles.outbox.update(count(backlog.outbox + backlog.inbox + backlog.bus + backlog.mail), `outbox ${count(backlog.outbox)}, inbox ${count(backlog.inbox)}, bus ${count(backlog.bus)}, mail ${count(backlog.mail)}`);
    const parked = backlog.inbox_parked + backlog.outbox_parked + backlog.refunds_parked + backlog.bus_parked + backlog.mail_parked;
    tiles.parked.update(count(parked), parked ? "see Queues" : "nothing to do", parked > 0);
    this.chart.update(all.sales);
    this.rows.replaceChildren(...shows.map((show) => this.#row(show)));
    setText(this.hint, all.more ? "Only the first 100 are listed: search for others." : shows.length ? "" : "No show matches.");
  }

  /** A row is kept and changed in place, so that focus and selection stay. */
  #row(show) {
    let line = this.lines.get(show.show);
    if (!line) {
      const cells = Array.from({ length: 6 }, () => h("td", { class: "number" }));
      const sale = h("span", { class: "state" });
      const link = h("a", { href: `#/show/${show.show}`, text: show.movie });
      const where = h("span", { class: "muted small", text: `${show.theater}, ${show.screen}, ${show.city} · ${when(show.starts_at_ms)} · show ${show.show}` });
      const element = h("tr", { "data-show": show.show }, h("th", { scope: "row" }, link, where), h("td", {}, sale), cells);
      line = { element, sale, cells };
      this.lines.set(show.show, line);
    }
    setText(line.sale, SALE[show.sale] ?? show.sale);
    line.sale.dataset.state = show.sale;
    const { counts } = show;
    const values = [show.viewers, counts?.available, counts?.held, counts?.booked, counts?.blocked, show.sold];
    values.forEach((value, i) => setText(line.cells[i], count(value)));
    line.element.classList.toggle("is-resting", !show.live);
    line.element.title = show.live ? "" : "Nobody has opened this map lately: the counts are the ledger's.";
    return line.element;
  }

  fail(text) {
    setText(this.hint, text);
  }
}
