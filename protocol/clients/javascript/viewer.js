// The client-side state machine of one watched show, without a socket, a clock or a page: what arrived and what was
// sent go in; the seat map, own holds and bookings, and what to ask the gateway for come out. `Client` drives it.
//
// A seat that was asked for is judged only by the reply: the batch of the customer's own hold comes as a delta to
// everybody, and may be here first.

import { OwnThings } from "./own_things.js";
import { SeatMap, STATUS_NAMES } from "./seat_map.js";

export class ShowViewer {
  #asked = new Map();
  #wantWatch = false;
  #wantOwn = false;
  #retryOwn = false;
  #wantBookings = [];
  /** A frame of the show has come over this connection. */
  #heard = false;

  constructor(show) {
    this.show = show;
    this.map = new SeatMap(show);
    this.own = new OwnThings(show);
    this.connected = false;
    /** The gateway said that it does not know the present state. */
    this.stale = false;
  }

  /** Whether the map may be shown as the present state. */
  get live() {
    return this.connected && this.#heard && !this.stale && this.map.followed;
  }

  /** A seat as this customer should see it: "own", "asked", or its status; null without a map or such a seat. */
  seat(seat) {
    const status = this.map.statuses[seat];
    if (status === undefined) return null;
    if (this.own.has(seat)) return "own";
    if ([...this.#asked.values()].some((seats) => seats.includes(seat))) return "asked";
    return STATUS_NAMES[status];
  }

  /** A connection is ready: the map at hand stays, and is resumed from its position; live with the first frame. */
  onConnected() {
    this.connected = true;
    this.#heard = this.stale = false;
    this.#wantWatch = true;
    this.#wantOwn = true;
  }

  /** The connection is gone. Outcomes of commands in flight are unknown: repeat them with the same key. */
  onDisconnected() {
    this.connected = this.#wantWatch = this.#wantOwn = this.#retryOwn = false;
    this.#wantBookings = [];
    this.#asked.clear();
    this.own.onDisconnected();
  }

  /** What to send now, each thing once: { ask: "watch", pos }, { ask: "own_holds" }, { ask: "booking", booking }. */
  takeAsks() {
    const asks = this.#wantBookings.map((booking) => ({ ask: "booking", booking }));
    if (this.#wantOwn) asks.unshift({ ask: "own_holds" });
    if (this.#wantWatch) asks.unshift({ ask: "watch", pos: this.map.loaded ? { ...this.map.position } : null });
    this.#wantWatch = this.#wantOwn = false;
    this.#wantBookings = [];
    return asks;
  }

  /** Own holds and bookings may have changed unseen. */
  reread() {
    this.#wantOwn = this.connected;
  }

  /** To be called about once a second: own holds that could not be told are asked for again. */
  retry() {
    if (this.connected && this.#retryOwn) this.#wantOwn = true;
    this.#retryOwn = false;
  }

  /** Applies a seat frame; answers what `SeatMap.apply` does. */
  onFrame(frame) {
    const result = this.map.apply(frame);
    this.#heard ||= frame.show === this.show;
    // A gateway knows each viewer's position and never leaves a gap: one means that something was lost on the way, so
    // ask instead of waiting.
    if (result.kind === "gap" || result.kind === "needs_snapshot") this.#wantWatch = this.connected;
    // Holds may have been lost with an old generation, and nobody was left to tell.
    else if (result.newGeneration) this.reread();
    else if (result.kind === "applied" && this.own.contradicts(this.map)) this.reread();
    return result;
  }

  /** Notes a message that is about to be sent. */
  onSent(message) {
    if (message.show !== this.show) return;
    if (message.t === "hold") this.#asked.set(message.id, message.seats ?? []);
    if (message.t === "own_holds") this.own.onAsked(message.id);
  }

  /** Notes a message that arrived; answers what changed of the customer's own (see `OwnThings`). */
  onMessage(message) {
    if (message.t === "reply") {
      this.#asked.delete(message.id);
      return this.#reply(message.id, message.ok);
    }
    if (message.t === "push") return this.#push(message.push);
    if (message.t === "error" && message.id !== undefined) {
      this.#asked.delete(message.id);
      if (this.own.onFailed(message.id)) this.#retryOwn = true;
    } else if (message.t === "stale" && message.show === this.show) {
      if (this.stale && !message.stale) this.reread();
      this.stale = message.stale;
    }
    return [];
  }

  #reply(id, ok) {
    if (ok.hold) return [this.own.onHold(ok.hold)].filter(Boolean);
    if (ok.released) return [this.own.onEnded(ok.released.hold, ok.released.position, "released")].filter(Boolean);
    if (ok.booking) return [this.own.onBooking(ok.booking)].filter(Boolean);
    if (ok.bookings) return ok.bookings.bookings.map((booking) => this.own.onBooking(booking)).filter(Boolean);
    if (ok.own_holds?.show !== this.show) return [];
    const { changes, unknown } = this.own.onOwnHolds(id, ok.own_holds.holds, ok.own_holds.pending);
    this.#wantBookings = unknown;
    return changes;
  }

  #push(push) {
    let change = null;
    if (push.p === "hold") change = this.own.onHold(push.hold);
    else if (push.p === "booking") change = this.own.onBooking(push.booking);
    else if (push.p === "reread") this.reread();
    else if (push.p === "hold_ended" && push.show === this.show) change = this.own.onEnded(push.hold, push.position, push.reason);
    return change ? [change] : [];
  }
}
