// What the customer has at one show: live holds and bookings, right although replies and pushes may overtake each
// other.
//
// A hold takes the position of its batch, and every later event of it carries a position at or after that one: an end
// at q ends the hold taken at p if q >= p. An end may arrive before the reply that grants the hold; the last ends are
// remembered, so that such a reply does not bring a dead hold back. Bookings carry a version: the highest wins.

import { comparePositions } from "./viewer.js";

const ENDS_MAX = 64;
const ACTIVE = new Set(["pending", "confirmed"]);

export class OwnSeats {
  #ends = new Map();

  constructor() {
    this.holds = new Map();
    this.bookings = new Map();
  }

  /** A hold as a reply or push tells it; answers whether it is live. */
  holdIs(hold) {
    if (hold.phase === "ended") {
      this.holdEnded(hold.hold, hold.position);
      return false;
    }
    const end = this.#ends.get(hold.hold);
    if (end && comparePositions(end, hold.position) >= 0) return false;
    if (hold.booking && this.bookings.has(hold.booking)) return false;
    const known = this.holds.get(hold.hold);
    if (known && comparePositions(known.position, hold.position) > 0) return true;
    this.holds.set(hold.hold, hold);
    return true;
  }

  /** The end of a hold; answers the hold when it was live. An end from before the hold is about an older one. */
  holdEnded(id, position) {
    this.#ends.delete(id);
    this.#ends.set(id, position);
    if (this.#ends.size > ENDS_MAX) this.#ends.delete(this.#ends.keys().next().value);
    const hold = this.holds.get(id);
    if (!hold || comparePositions(position, hold.position) < 0) return null;
    this.holds.delete(id);
    return hold;
  }

  /** A command's answer says that the hold is over, without a position. */
  holdGone(id) {
    const hold = this.holds.get(id) ?? null;
    this.holds.delete(id);
    return hold;
  }

  /** A booking; it stands for the hold that it was made from, whichever message comes first. */
  bookingIs(booking) {
    if ((this.bookings.get(booking.booking)?.version ?? -1) > booking.version) return false;
    if (ACTIVE.has(booking.state)) {
      for (const [id, hold] of this.holds) if (hold.seats.some((seat) => booking.seats.includes(seat))) this.holds.delete(id);
    }
    this.bookings.set(booking.booking, booking);
    return true;
  }

  /** To be kept when own holds are asked for: only what is known then can be missing in the answer. */
  known() {
    return new Set(this.holds.keys());
  }

  /**
   * The answer to own holds. Answers the holds that were lost unseen, and the ids of bookings that are not pending any
   * more: somebody has to ask what became of them.
   */
  reread(known, holds, pending) {
    const lost = [];
    for (const [id, hold] of this.holds) {
      if (!known.has(id) || holds.some((h) => h.hold === id)) continue;
      this.holds.delete(id);
      if (!pending.some((b) => hold.seats.some((seat) => b.seats.includes(seat)))) lost.push(hold);
    }
    for (const hold of holds) this.holdIs(hold);
    for (const booking of pending) this.bookingIs(booking);
    const unknown = this.pending.filter((b) => !pending.some((p) => p.booking === b.booking)).map((b) => b.booking);
    return { lost, unknown };
  }

  /** Whether the map shows that a live hold must be over: the push that told so can be lost, the map can't. */
  contradicts(map) {
    for (const hold of this.holds.values()) {
      if (comparePositions(map.position, hold.position) < 0) continue;
      if (hold.seats.some((seat) => map.statuses[seat] === 0)) return true;
    }
    return false;
  }

  /** Bookings that wait for payment. */
  get pending() {
    return [...this.bookings.values()].filter((booking) => booking.state === "pending");
  }

  /** Every seat that is the customer's own: held, waiting for payment, or booked as far as this page heard. */
  seats() {
    const seats = new Set();
    for (const hold of this.holds.values()) for (const seat of hold.seats) seats.add(seat);
    for (const booking of this.bookings.values()) {
      if (ACTIVE.has(booking.state)) for (const seat of booking.seats) seats.add(seat);
    }
    return seats;
  }
}
