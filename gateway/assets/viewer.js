// The client-side state of one show: seat frames in, seat statuses out. No socket, no clock, no page.
//
// Delta rule: at position p a delta is applied only if its generation is the map's own and from <= p < to. p >= to:
// ignored. p < from, or a higher generation: a snapshot is needed; the gateway knows and sends it unasked. Lower
// generations are ignored. A snapshot replaces the map unless its generation is lower.

/** Statuses by code, as other viewers see them. */
export const STATUS = ["available", "held", "booked", "blocked"];

const LETTERS = { a: 0, h: 1, b: 2, x: 3 };

/** Orders two positions: negative, 0 or positive. Generations count first. */
export function comparePositions(a, b) {
  return a.g - b.g || a.s - b.s;
}

export class ShowMap {
  constructor(show) {
    this.show = show;
    this.position = { g: 0, s: 0 };
    this.sale = null;
    this.opensInMs = 0;
    this.layoutVersion = 0;
    this.viewers = 0;
    this.statuses = new Uint8Array(0);
    /** Changes are missing between the map and what was received. */
    this.gap = false;
  }

  /** Whether a snapshot was ever received. */
  get loaded() {
    return this.position.g > 0;
  }

  /**
   * Applies a frame. Answers what it did: `kind` is "snapshot", "delta", "beat", "gap" or "ignored"; `seats` lists the
   * seats of a delta; `sale` tells whether the sale state changed.
   */
  apply(frame) {
    if (frame.show !== this.show) return { kind: "ignored", seats: [], sale: false };
    if (frame.t === "snapshot") return this.#snapshot(frame);
    if (frame.t === "delta") return this.#delta(frame);
    if (frame.t === "beat") return this.#beat(frame);
    return { kind: "ignored", seats: [], sale: false };
  }

  #snapshot(frame) {
    if (frame.g < this.position.g) return { kind: "ignored", seats: [], sale: false };
    const statuses = new Uint8Array(frame.seats.length);
    for (let seat = 0; seat < statuses.length; seat += 1) {
      const code = LETTERS[frame.seats[seat]];
      // A status that this version does not know must never look free.
      statuses[seat] = code === undefined ? 3 : code;
    }
    this.statuses = statuses;
    this.position = { g: frame.g, s: frame.s };
    this.layoutVersion = frame.layout;
    this.opensInMs = frame.opens_in_ms ?? 0;
    this.gap = false;
    return { kind: "snapshot", seats: [], sale: this.#told(frame) };
  }

  #delta(frame) {
    const { g, s } = this.position;
    if (frame.g < g || (frame.g === g && s >= frame.to)) return { kind: "ignored", seats: [], sale: false };
    if (frame.g > g || s < frame.from) {
      this.gap = true;
      return { kind: "gap", seats: [], sale: false };
    }
    const seats = [];
    for (const [seat, letter] of frame.seats) {
      if (seat >= this.statuses.length) continue;
      this.statuses[seat] = LETTERS[letter] ?? 3;
      seats.push(seat);
    }
    this.position = { g, s: frame.to };
    return { kind: "delta", seats, sale: this.#told(frame) };
  }

  #beat(frame) {
    const order = comparePositions({ g: frame.g, s: frame.s }, this.position);
    if (order < 0) return { kind: "ignored", seats: [], sale: false };
    if (order > 0) this.gap = true;
    this.viewers = frame.viewers ?? 0;
    return { kind: order > 0 ? "gap" : "beat", seats: [], sale: false };
  }

  #told(frame) {
    const changed = this.sale !== frame.sale;
    this.sale = frame.sale;
    this.viewers = frame.viewers ?? 0;
    return changed;
  }
}

/** The customer's own holds and pending bookings at one show, from replies and pushes in any order. */
export class OwnSeats {
  constructor() {
    this.holds = new Map();
    this.bookings = new Map();

  }

  #ended = new Map();

  /** A hold as a reply or push tells it. Answers false when it is known to be over already. */
  holdIs(hold) {
    const end = this.#ended.get(hold.hold);
    if (hold.phase === "ended" || (end && comparePositions(end, hold.position) > 0)) return false;
    this.holds.set(hold.hold, hold);
    return true;
  }

  /** The end of a hold at a position; older ends than the hold's own position are of a former life and ignored. */
  holdEnded(id, position) {
    const hold = this.holds.get(id);
    if (hold && position && comparePositions(position, hold.position) <= 0) return null;
    if (position) {
      this.#ended.set(id, position);
      if (this.#ended.size > 64) this.#ended.delete(this.#ended.keys().next().value);
    }
    this.holds.delete(id);
    return hold ?? null;
  }

  /** A booking; only a higher version replaces what is known. */
  bookingIs(booking) {
    const known = this.bookings.get(booking.booking);
    if (known && known.version > booking.version) return false;
    this.bookings.set(booking.booking, booking);
    for (const [id, hold] of this.holds) if (hold.booking === booking.booking) this.holds.delete(id);
    return true;
  }

  /** The whole truth, as own_holds answers it. */
  reset(holds, pending) {
    const before = [...this.holds.values()];
    this.holds.clear();
    for (const hold of holds) this.holdIs(hold);
    for (const [id, booking] of this.bookings) {
      if (booking.state === "pending" && !pending.some((p) => p.booking === id)) this.bookings.delete(id);
    }
    for (const booking of pending) this.bookingIs(booking);
    return before.filter((hold) => !this.holds.has(hold.hold) && !this.#coveredByBooking(hold));
  }

  #coveredByBooking(hold) {
    return [...this.bookings.values()].some((b) => hold.seats.every((seat) => b.seats.includes(seat)));
  }

  get pending() {
    return [...this.bookings.values()].filter((b) => b.state === "pending");
  }

  /** Every seat that is the customer's own: held, awaiting payment, or booked while this page looked. */
  seats() {
    const seats = new Set();
    for (const hold of this.holds.values()) for (const seat of hold.seats) seats.add(seat);
    for (const booking of this.bookings.values()) {
      if (booking.state === "pending" || booking.state === "confirmed") for (const seat of booking.seats) seats.add(seat);
    }
    return seats;
  }
}
