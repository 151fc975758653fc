// One show: its live seat map, what the customer has chosen, holds and still has to pay.
//
// A seat that was asked for is judged by the reply alone: the batch of the customer's own hold comes as a delta to
// everybody, and may be here first. A chosen seat that turns unavailable is therefore only called lost when it was not
// asked for and does not prove to be the customer's own (held in another tab) a moment later.

import { fetchLayout } from "./api.js";
import { h, setText } from "./dom.js";
import { day, list, plural, time } from "./format.js";
import { Plan } from "./layout.js";
import { holdEndText, refusalText } from "./refusal.js";
import { ASKING, CHOSEN, MINE } from "./seat_art.js";
import { CanvasSeatMap } from "./seat_map_canvas.js";
import { SvgSeatMap } from "./seat_map_svg.js";
import { ShowPanel } from "./show_panel.js";

const SVG_SEATS_MAX = 1000;
const CHOSEN_MAX = 10;
const PROVE_OWN_MS = 700;

export function showView(context, show) {
  const view = new ShowView(context, show);
  return { element: view.element, title: "Seats", destroy: () => view.destroy(), shown: () => view.client.reread(show) };
}

class ShowView {
  #stop = [];
  #frame = 0;
  #gone = false;
  #map = null;
  #plan = null;
  #codes = new Uint8Array(0);
  #loading = 0;
  #doubtful = new Set();
  #releasing = new Set();

  constructor(context, show) {
    Object.assign(this, context);
    this.show = show;
    this.viewer = this.client.watch(show);
    this.state = this.viewer.map;
    this.own = this.viewer.own;
    this.chosen = new Set();
    this.asking = new Set();
    this.title = h("h1", { text: "Show" });
    this.facts = h("p", { class: "muted", id: "show-facts" });
    this.viewers = h("span", { class: "viewers", hidden: true });
    this.staleNote = h("p", { class: "stale-note", id: "stale-note", role: "status", hidden: true });
    this.mapBox = h("div", { class: "map-box", id: "seat-map", "data-live": "false" }, h("p", { class: "loading", text: "Loading the seat map…" }));
    this.panel = new ShowPanel(this);
    this.element = h(
      "section",
      { class: "page show-page" },
      h("div", { class: "page-head" }, h("div", {}, this.title, this.facts), this.viewers),
      h("div", { class: "show-columns" }, h("div", { class: "map-column" }, this.staleNote, this.mapBox), this.panel.element),
    );
    this.#stop.push(
      this.client.on("map", (event) => event.show === show && this.#mapChanged(event)),
      this.client.on("own", (event) => event.show === show && this.#ownChanged(event.changes)),
      this.client.on("state", () => this.draw()),
      this.client.on("quiet", () => this.draw()),
      this.client.on("error", (error) => this.#failed(error)),
    );
    this.#describe();
    this.#loadPlan();
    this.draw();
  }

  get plan() {
    return this.#plan;
  }

  get live() {
    return this.client.isLive(this.show);
  }

  label = (seat) => this.#plan?.label(seat) ?? `#${seat}`;

  async #describe() {
    try {
      const info = (await this.shows()).find((s) => s.show === this.show);
      if (this.#gone || !info) return;
      setText(this.title, info.movie);
      setText(this.facts, `${info.theater}, ${info.screen} · ${info.city} · ${day(info.starts_at_ms)}, ${time(info.starts_at_ms)}`);
      document.title = `${info.movie} · Seatwire`;
    } catch {
      // The map works without the title.
    }
  }

  async #loadPlan() {
    const wanted = this.state.layoutVersion;
    const turn = (this.#loading += 1);
    try {
      const layout = await fetchLayout(this.show, wanted);
      if (this.#gone || turn !== this.#loading) return;
      this.#usePlan(new Plan(layout));
    } catch (error) {
      if (this.#gone || turn !== this.#loading) return;
      if (error.code === "NO_SUCH_SHOW") this.#failed(error);
      else setTimeout(() => !this.#gone && this.#loadPlan(), 1000 + Math.random() * 2000);
    }
  }

  #usePlan(plan) {
    this.#plan = plan;
    this.#codes = new Uint8Array(plan.count);
    this.#map?.destroy();
    const Map = plan.count > SVG_SEATS_MAX ? CanvasSeatMap : SvgSeatMap;
    this.#map = new Map(plan, (seat) => this.toggle(seat));
    this.mapBox.replaceChildren(this.#map.element);
    this.panel.planIs(plan);
    this.draw();
  }

  #failed(error) {
    if (error.code !== "NO_SUCH_SHOW") return;
    this.mapBox.replaceChildren(h("div", { class: "empty" }, h("p", { text: refusalText(error) }), h("a", { class: "button", href: "/#/" }, "All shows")));
    this.panel.element.hidden = true;
  }

  #mapChanged({ whole, sale }) {
    if (whole && this.#plan && this.state.layoutVersion !== this.#plan.version) this.#loadPlan();
    if (sale || whole) this.panel.saleIs(this.state.sale, this.state.opensInMs);
    this.#doubtLostSeats();
    this.draw();
  }

  #doubtLostSeats() {
    for (const seat of this.chosen) {
      if (this.state.statuses[seat] === 0 || this.asking.has(seat) || this.#doubtful.has(seat)) continue;
      this.#doubtful.add(seat);
      setTimeout(() => this.#judge(seat), PROVE_OWN_MS);
    }
  }

  #judge(seat) {
    this.#doubtful.delete(seat);
    if (this.#gone || !this.chosen.has(seat) || this.asking.has(seat) || this.state.statuses[seat] === 0) return;
    this.chosen.delete(seat);
    if (!this.own.seats().has(seat)) this.notices.show(`Someone just took ${this.label(seat)}. It is no longer in your choice.`, "bad");
    this.draw();
  }

  #ownChanged(changes) {
    for (const change of changes) {
      if (change.kind === "hold") for (const seat of change.hold.seats) this.chosen.delete(seat);
      if (change.kind === "hold_ended") this.#tellEnd(change.hold, change.reason);
      if (change.kind === "booking") this.#tellBooking(change.booking, change.before);
    }
    this.draw();
  }

  #tellEnd(hold, reason) {
    if (reason === "booked" || this.#releasing.has(hold.hold)) return;
    this.notices.show(holdEndText(reason, hold.seats.map(this.label)), reason === "released" ? "info" : "bad");
  }

  #tellBooking({ state, labels }, before) {
    if (state === before) return;
    if (state === "confirmed") this.notices.show(`Your booking of ${list(labels)} is confirmed.`, "good");
    if (state === "expired" && before) this.notices.show(`The time to pay for ${list(labels)} is over. If you paid, your money comes back.`, "bad");
  }

  /** A seat was clicked or chosen by keyboard. */
  toggle(seat) {
    const label = this.label(seat);
    if (this.asking.size > 0) return;
    if (this.chosen.has(seat)) this.chosen.delete(seat);
    else if (this.own.seats().has(seat)) this.notices.show(`${label} is already yours.`);
    else if (!this.state.loaded) return;
    else if (this.state.statuses[seat] !== 0) {
      const reason = ["", "held by someone else", "already sold", "not for sale"][this.state.statuses[seat]];
      this.notices.show(`${label} is ${reason}.`, "info");
    } else if (this.state.sale !== "open") {
      this.notices.show(this.state.sale === "before" ? "The sale has not opened yet." : "The sale of this show is closed.");
    } else if (this.chosen.size >= CHOSEN_MAX) this.notices.show(`You can choose up to ${plural(CHOSEN_MAX, "seat")} at a time.`);
    else this.chosen.add(seat);
    this.draw();
  }

  clearChoice() {
    this.chosen.clear();
    this.draw();
  }

  /** Holds the chosen seats, or the best ones of a wish. */
  async hold(best = null) {
    const seats = best ? [] : [...this.chosen].sort((a, b) => a - b);
    if (!best && seats.length === 0) return;
    for (const seat of seats) this.asking.add(seat);
    this.panel.busy(true);
    this.draw();
    try {
      const hold = best ? await this.client.holdBest(this.show, best) : await this.client.hold(this.show, seats);
      if (this.#gone) return;
      this.panel.focusHold(hold.hold);
      if (best) this.#map?.reveal(hold.seats);
    } catch (error) {
      if (this.#gone) return;
      this.notices.show(refusalText(error, this.label), "bad");
      for (const { seat } of error.body?.seats ?? []) this.chosen.delete(seat);
    } finally {
      this.asking.clear();
      this.panel.busy(false);
      this.draw();
    }
  }

  /** Runs a command about a hold; a hold that proves to be over is dropped and told. */
  async withHold(hold, act) {
    try {
      return await act();
    } catch (error) {
      if (this.#gone) return null;
      if (error.code === "GONE" || error.code === "NOT_OWNER") {
        if (this.own.onGone(hold.hold)) this.#tellEnd(hold, "expired");
      } else this.notices.show(refusalText(error, this.label), "bad");
      this.draw();
      return null;
    }
  }

  extend(hold) {
    return this.withHold(hold, () => this.client.extend(this.show, hold.hold));
  }

  /** Its end needs no telling to the one who asked for it. */
  async release(hold) {
    this.#releasing.add(hold.hold);
    await this.withHold(hold, () => this.client.release(this.show, hold.hold));
    this.#releasing.delete(hold.hold);
    this.draw();
  }

  pay(hold, email, key) {
    return this.withHold(hold, () => this.client.book(this.show, hold.hold, email, key));
  }

  /** Draws map and panel with the next frame. */
  draw() {
    if (!this.#frame && !this.#gone) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { live } = this;
    this.mapBox.dataset.live = String(live);
    this.staleNote.hidden = live || !this.state.loaded;
    setText(this.staleNote, this.client.state === "live" ? "Not live: the latest changes are being fetched." : "Not live: reconnecting. Seats may have changed meanwhile.");
    this.viewers.hidden = this.state.viewers < 2;
    setText(this.viewers, `${this.state.viewers.toLocaleString("en")} watching`);
    if (this.#map && this.state.loaded && this.state.statuses.length === this.#plan.count) {
      const codes = this.#codes;
      codes.set(this.state.statuses);
      for (const seat of this.chosen) codes[seat] = this.asking.has(seat) ? ASKING : CHOSEN;
      for (const seat of this.own.seats()) codes[seat] = MINE;
      this.#map.update(codes);
    }
    this.panel.draw();
  }

  destroy() {
    this.#gone = true;
    cancelAnimationFrame(this.#frame);
    for (const stop of this.#stop) stop();
    this.client.unwatch(this.show);
    this.#map?.destroy();
    this.panel.destroy();
  }
}
