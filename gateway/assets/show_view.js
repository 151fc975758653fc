// One show: its live seat map and its list of seats, what the customer has chosen, holds and still has to pay.

import { fetchLayout } from "./api.js";
import { h, setText } from "./dom.js";
import { dayAndTime, list, span } from "./format.js";
import { Plan } from "./layout.js";
import { holdEndText, refusalText } from "./refusal.js";
import { ASKING, CHOSEN, MINE } from "./seat_art.js";
import { SeatChoice } from "./seat_choice.js";
import { SeatList } from "./seat_list.js";
import { CanvasSeatMap } from "./seat_map_canvas.js";
import { SvgSeatMap } from "./seat_map_svg.js";
import { ShowPanel } from "./show_panel.js";

const SVG_SEATS_MAX = 1000;
/** Less than this is no other opening time, only a frame that was longer on its way. */
const PUT_OFF_MS = 3000;

export function showView(context, show) {
  const view = new ShowView(context, show);
  return { element: view.element, title: "Seats", destroy: () => view.destroy(), shown: () => view.client.reread(show) };
}

class ShowView {
  #stop = [];
  #frame = 0;
  #gone = false;
  #map = null;
  #list = null;
  #plan = null;
  #codes = new Uint8Array(0);
  #loading = 0;
  #releasing = new Set();

  constructor(context, show) {
    Object.assign(this, context);
    this.show = show;
    this.viewer = this.client.watch(show);
    this.state = this.viewer.map;
    this.own = this.viewer.own;
    this.choice = new SeatChoice(this);
    this.title = h("h1", { text: "Show" });
    this.facts = h("p", { class: "muted", id: "show-facts" });
    this.viewers = h("span", { class: "viewers", hidden: true });
    this.staleNote = h("p", { class: "stale-note", id: "stale-note", role: "status", hidden: true });
    this.mapBox = h("div", { class: "map-box", id: "seat-map", "data-live": "false" }, h("p", { class: "loading", text: "Loading the seat map…" }));
    this.mapButton = h("button", { id: "as-map", type: "button", "aria-pressed": "true", onclick: () => this.#shape(false) }, "Map");
    this.listButton = h("button", { id: "as-list", type: "button", "aria-pressed": "false", onclick: () => this.#shape(true) }, "List");
    this.shapes = h("div", { class: "shapes", role: "group", "aria-label": "Show the seats as" }, this.mapButton, this.listButton);
    this.panel = new ShowPanel(this);
    this.element = h(
      "section",
      { class: "page show-page" },
      h("div", { class: "page-head" }, h("div", {}, this.title, this.facts), h("div", { class: "page-side" }, this.viewers, this.shapes)),
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
      setText(this.facts, `${info.theater}, ${info.screen} · ${info.city} · ${dayAndTime(info.starts_at_ms)}`);
      document.title = `${info.movie} · Seatwire`;
    } catch {
      // The map works without the title.
      setTimeout(() => !this.#gone && this.#describe(), 2000 + Math.random() * 2000);
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
    this.#list?.destroy();
    this.#map = new Map(plan, (seat) => this.choice.toggle(seat));
    this.#list = new SeatList(plan, (seat) => this.choice.toggle(seat));
    this.#shape(this.asList);
    this.panel.planIs(plan);
    this.draw();
  }

  /** Shows the seats as a map or as a list. */
  #shape(asList) {
    this.asList = asList;
    this.mapButton.setAttribute("aria-pressed", String(!asList));
    this.listButton.setAttribute("aria-pressed", String(asList));
    if (!this.#plan) return;
    this.mapBox.replaceChildren(asList ? this.#list.element : this.#map.element);
    this.draw();
  }

  #failed(error) {
    if (error.code !== "NO_SUCH_SHOW") return;
    this.mapBox.replaceChildren(h("div", { class: "empty" }, h("p", { text: refusalText(error) }), h("a", { class: "button", href: "/#/" }, "All shows")));
    this.panel.element.hidden = true;
  }

  #mapChanged({ whole, sale }) {
    if (whole && this.#plan && this.state.layoutVersion !== this.#plan.version) this.#loadPlan();
    if (sale || whole) this.#saleIs(this.state.sale);
    this.choice.look();
    this.draw();
  }

  #saleIs(sale) {
    const { opensInMs } = this.state;
    const tell = (text, kind) => this.notices.show(text, kind, null, "sale");
    // Earlier than shown needs no words: a machine that slept has counted too slowly.
    if (this.panel.opensInMs > 0 && opensInMs > this.panel.opensInMs + PUT_OFF_MS) tell(`The sale was put off. It opens in ${span(opensInMs)}.`);
    this.panel.saleIs(sale, opensInMs);
    if (this.sale === "before" && sale === "open") tell("The sale is open. Choose your seats.", "good");
    if (this.sale === "closed" && sale === "open") tell("The sale is open again.", "good");
    if (this.sale === "open" && sale === "closed") tell("The sale of this show is closed. What is booked already can still be paid in time.", "bad");
    this.sale = sale;
  }

  #ownChanged(changes) {
    for (const change of changes) {
      if (change.kind === "hold") this.choice.forget(change.hold.seats);
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

  /** A hold was granted: paying is next. */
  held(hold, reveal) {
    this.panel.focusHold(hold.hold);
    if (reveal) this.#map?.reveal(hold.seats);
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
      for (const seat of this.choice.seats) codes[seat] = this.choice.asking.has(seat) ? ASKING : CHOSEN;
      for (const seat of this.own.seats()) codes[seat] = MINE;
      this.#map.update(codes);
      this.#list.update(codes);
    }
    this.panel.draw();
  }

  destroy() {
    this.#gone = true;
    cancelAnimationFrame(this.#frame);
    for (const stop of this.#stop) stop();
    this.client.unwatch(this.show);
    this.#map?.destroy();
    this.#list?.destroy();
    this.choice.destroy();
    this.panel.destroy();
  }
}
