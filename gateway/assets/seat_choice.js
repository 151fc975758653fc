// What the customer has chosen at a show and asks for: optimistic on screen, judged by the replies alone.
//
// The batch of the customer's own hold comes as a delta to everybody, and may be here before its reply. A seat that was
// asked for is therefore judged by the reply. One that was only chosen and turns unavailable may be the customer's own
// (held in another tab): the answer to own_holds tells.

import { nearestFree } from "./alternative.js";
import { list, money, plural } from "./format.js";
import { refusalText } from "./refusal.js";

const CHOSEN_MAX = 10;
/** Time for a push to say that a seat is the customer's own, before anybody asks. */
const PUSH_MS = 300;
const ASK_AGAIN_MS = 2000;
const NOT_FREE = ["", "held by someone else", "already sold", "not for sale"];

export class SeatChoice {
  #timer = 0;
  #gone = false;

  constructor(view) {
    this.view = view;
    this.seats = new Set();
    /** Seats of a hold under way. */
    this.asking = new Set();
  }

  #tell(text, kind, act) {
    this.view.notices.show(text, kind, act);
  }

  /** A seat was clicked, or chosen by keyboard or in the list. */
  toggle(seat) {
    const { state, own, label } = this.view;
    if (this.asking.size > 0) return;
    if (this.seats.has(seat)) this.seats.delete(seat);
    else if (own.seats().has(seat)) this.#tell(`${label(seat)} is already yours.`);
    else if (!state.loaded) return;
    else if (state.statuses[seat] !== 0) this.#tell(`${label(seat)} is ${NOT_FREE[state.statuses[seat]]}.`);
    else if (state.sale !== "open") this.#tell(state.sale === "before" ? "The sale has not opened yet." : "The sale of this show is closed.");
    else if (this.seats.size >= CHOSEN_MAX) this.#tell(`You can choose up to ${plural(CHOSEN_MAX, "seat")} at a time, so that there are some for everybody.`);
    else this.seats.add(seat);
    this.view.draw();
  }

  clear() {
    this.seats.clear();
    this.view.draw();
  }

  /** Seats that are the customer's own by now are no longer a choice. */
  forget(seats) {
    for (const seat of seats) this.seats.delete(seat);
  }

  /** Holds the chosen seats, or the best ones of a wish. */
  async hold(best = null) {
    const { view } = this;
    const seats = best ? [] : [...this.seats].sort((a, b) => a - b);
    if (this.asking.size > 0 || (!best && seats.length === 0)) return;
    for (const seat of seats) this.asking.add(seat);
    view.panel.busy(true);
    view.draw();
    try {
      const hold = best ? await view.client.holdBest(view.show, best) : await view.client.hold(view.show, seats);
      if (!this.#gone) view.held(hold, best !== null);
    } catch (error) {
      if (!this.#gone) this.#refused(error, seats, best);
    } finally {
      this.asking.clear();
      if (!this.#gone) {
        view.panel.busy(false);
        view.draw();
      }
    }
  }

  /** Undoes what was shown, says why, and offers what comes nearest. */
  #refused(error, seats, best) {
    const conflicts = error.body?.seats ?? [];
    if (best && error.code === "TAKEN" && conflicts.length === 0) {
      const any = best.tier === undefined ? null : { label: "Search at any price", run: () => this.hold({ count: best.count }) };
      this.#tell(`No ${plural(best.count, "seat")} side by side ${best.count === 1 ? "is" : "are"} left${any ? " at this price" : ""}.`, "bad", any);
    } else if (error.code === "ORPHAN" && seats.length + conflicts.length <= CHOSEN_MAX) {
      const more = conflicts.map(({ seat }) => seat);
      this.#tell(refusalText(error, this.view.label), "bad", { label: `Take ${list(more.map(this.view.label))} too`, run: () => this.#take([...seats, ...more]) });
    } else {
      const lost = error.code === "TAKEN" ? conflicts.map(({ seat }) => seat) : [];
      this.forget(conflicts.filter(({ reason }) => reason !== "orphan").map(({ seat }) => seat));
      this.#tell(refusalText(error, this.view.label), "bad", lost.length > 0 ? this.#offer(seats, lost) : null);
    }
  }

  /** The nearest free seats instead, as something to press. */
  #offer(wanted, lost) {
    const { plan, state, own, label } = this.view;
    if (!plan || state.sale !== "open") return null;
    const mine = own.seats();
    const seats = nearestFree(plan, (seat) => state.statuses[seat] === 0 && !mine.has(seat) && !lost.includes(seat), wanted);
    if (!seats) return null;
    return { label: `Hold ${list(seats.map(label))} instead, ${money(plan.total(seats), plan.currency)}`, run: () => this.#take(seats) };
  }

  #take(seats) {
    if (this.asking.size > 0) return undefined;
    this.seats = new Set(seats);
    return this.hold();
  }

  /** To be called when the map changed: a chosen seat may have gone. */
  look() {
    if (!this.#timer && this.#doubtful().length > 0) this.#timer = setTimeout(() => this.#ask(), PUSH_MS);
  }

  #doubtful() {
    const { statuses } = this.view.state;
    const own = this.view.own.seats();
    for (const seat of this.seats) if (own.has(seat)) this.seats.delete(seat);
    return [...this.seats].filter((seat) => statuses[seat] !== 0 && !this.asking.has(seat));
  }

  async #ask() {
    let again = false;
    if (this.#doubtful().length > 0) {
      try {
        await this.view.client.ownHolds(this.view.show);
      } catch {
        again = true;
      }
    }
    this.#timer = 0;
    if (this.#gone) return;
    if (again) this.#timer = setTimeout(() => this.#ask(), ASK_AGAIN_MS);
    else this.#judge();
  }

  #judge() {
    const wanted = [...this.seats];
    const lost = this.#doubtful();
    if (lost.length > 0) {
      this.forget(lost);
      const kept = this.seats.size > 0 ? ` ${list([...this.seats].map(this.view.label))} stay${this.seats.size === 1 ? "s" : ""} in your choice.` : "";
      this.#tell(`Someone just took ${list(lost.map(this.view.label))}.${kept}`, "bad", this.#offer(wanted, lost));
    }
    this.view.draw();
  }

  destroy() {
    this.#gone = true;
    clearTimeout(this.#timer);
  }
}
