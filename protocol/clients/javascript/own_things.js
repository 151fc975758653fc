// What the customer has at one show: live holds and bookings, right although replies and pushes may overtake each
// other.
//
// A hold takes the position of its batch, and every later event of it carries a position at or after that one: an end
// at q ends the hold taken at p if q >= p. An end may arrive before the reply that grants the hold; the last ends are
// remembered, so that such a reply does not bring a dead hold back. Bookings carry a version: the highest wins.
//
// Methods answer what they changed: { kind: "hold" | "hold_ended" | "booking", … }, or null.

import { comparePositions } from "./seat_map.js";

const ENDS_MAX = 64;
const BOOKINGS_MAX = 64;
const ACTIVE = new Set(["pending", "confirmed"]);

const overlap = (a, b) => a.seats.some((seat) => b.seats.includes(seat));

export class OwnThings {
  #ends = new Map();
  #asked = new Map();

  constructor(show) {
    this.show = show;
    /** Live holds by id. */
    this.holds = new Map();
    /** Bookings heard of by id, in any state; the full list is a command. */
    this.bookings = new Map();
  }

  /** A hold as a reply or push tells it. */
  onHold(hold) {
    if (hold.show !== this.show) return null;
    if (hold.phase === "ended") return this.onEnded(hold.hold, hold.position, "unknown");
    const end = this.#ends.get(hold.hold);
    if (end && comparePositions(end, hold.position) >= 0) return null;
    // An older look at a hold that has become a booking.
    if (hold.booking && this.bookings.has(hold.booking)) return null;
    const known = this.holds.get(hold.hold);
    if (known && comparePositions(known.position, hold.position) > 0) return null;
    this.holds.set(hold.hold, hold);
    return { kind: "hold", hold };
  }

  /** The end of a hold. An end from before the hold is about an older one. */
  onEnded(id, position, reason) {
    const before = this.#ends.get(id);
    this.#ends.delete(id);
    this.#ends.set(id, before && comparePositions(before, position) > 0 ? before : position);
    if (this.#ends.size > ENDS_MAX) this.#ends.delete(this.#ends.keys().next().value);
    const hold = this.holds.get(id);
    if (!hold || comparePositions(position, hold.position) < 0) return null;
    this.holds.delete(id);
    return { kind: "hold_ended", hold, reason };
  }

  /** A command's answer says that the hold is over, without a position. */
  onGone(id) {
    const hold = this.holds.get(id);
    this.holds.delete(id);
    return hold ? { kind: "hold_ended", hold, reason: "unknown" } : null;
  }

  /** A booking; it stands for the hold that it was made from, whichever message comes first. */
  onBooking(booking) {
    if (booking.show !== this.show) return null;
    const known = this.bookings.get(booking.booking);
    if (known && known.version > booking.version) return null;
    if (ACTIVE.has(booking.state)) {
      for (const [id, hold] of this.holds) if (overlap(hold, booking)) this.holds.delete(id);
    }
    this.bookings.set(booking.booking, booking);
    if (this.bookings.size > BOOKINGS_MAX) this.#forgetOldest();
    return { kind: "booking", booking, before: known?.state ?? null };
  }

  #forgetOldest() {
    const finished = [...this.bookings.values()].filter((booking) => booking.state !== "pending");
    finished.sort((a, b) => a.created_at_ms - b.created_at_ms);
    if (finished.length > 0) this.bookings.delete(finished[0].booking);
  }

  /** An own_holds command is sent: only what is known now can be missing in its answer. */
  onAsked(id) {
    this.#asked.set(id, new Set(this.holds.keys()));
  }

  /** A command failed; answers whether it was an own_holds command. */
  onFailed(id) {
    return this.#asked.delete(id);
  }

  onDisconnected() {
    this.#asked.clear();
  }

  /** The answer to own_holds: what changed, and the bookings of which somebody has to ask what became of them. */
  onOwnHolds(id, holds, pending) {
    const known = this.#asked.get(id) ?? new Set();
    this.#asked.delete(id);
    const changes = [];
    for (const [held, hold] of this.holds) {
      if (!known.has(held) || holds.some((h) => h.hold === held)) continue;
      this.holds.delete(held);
      if (!pending.some((booking) => overlap(hold, booking))) changes.push({ kind: "hold_ended", hold, reason: "unknown" });
    }
    for (const hold of holds) changes.push(this.onHold(hold));
    for (const booking of pending) changes.push(this.onBooking(booking));
    const unknown = this.pending.map((b) => b.booking).filter((b) => !pending.some((p) => p.booking === b));
    return { changes: changes.filter(Boolean), unknown };
  }

  /** Whether the map shows that a live hold must be over, and nobody was asked yet: a push can be lost, the map can't. */
  contradicts(map) {
    const over = (hold) =>
      comparePositions(map.position, hold.position) >= 0 && hold.seats.some((seat) => map.statuses[seat] === 0);
    return this.#asked.size === 0 && [...this.holds.values()].some(over);
  }

  /** Bookings that wait for payment. */
  get pending() {
    return [...this.bookings.values()].filter((booking) => booking.state === "pending");
  }

  /** Whether a live hold or a pending booking has the seat. */
  has(seat) {
    return [...this.holds.values(), ...this.pending].some((own) => own.seats.includes(seat));
  }

  /** Every seat that is the customer's own: held, waiting for payment, or booked as far as was heard. */
  seats() {
    const seats = new Set();
    for (const hold of this.holds.values()) for (const seat of hold.seats) seats.add(seat);
    for (const booking of this.bookings.values()) {
      if (ACTIVE.has(booking.state)) for (const seat of booking.seats) seats.add(seat);
    }
    return seats;
  }
}
