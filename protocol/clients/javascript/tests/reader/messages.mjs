// The messages of the three wires, field by field, as PROTOCOL.md has them (sections 2.2, 2.3, 3, 4, 5, 6).

import { bool, bytes, id, integer, list, one, orNil, record, signed, tagged, text } from "./shapes.mjs";

const number = integer();
const show = integer(1);
const seat = integer(0, 65535);
const seats = list(seat);
const customer = text(/^[A-Za-z0-9_.-]{1,64}$/);
const key = text(/^[!-~]{1,255}$/);
const sale = text(/^(before|open|closed)$/);
const name = text();
const position = record({ g: number, s: number });
const best = record({ count: integer(1, 10), "tier?": number });

const hold = record({
  hold: id, show, seats, phase: name, remaining_ms: number, extensions_left: number, position, "booking?": id,
});
const booking = record({
  booking: id, show, seats, labels: list(name), state: name, version: number, amount: number, currency: name,
  remaining_ms: number, "order?": name, "checkout_url?": name, "refunds?": list(record({ state: name, amount: number })),
  created_at_ms: number,
});
const released = record({ hold: id, position });
const bookings = record({ bookings: list(booking), more: bool });
const showInfo = record({
  show, movie: name, city: name, theater: name, screen: name, starts_at_ms: number, sale, opens_in_ms: number,
  seats: number, price_min: number, price_max: number, currency: name, layout_version: number,
});
const row = record({
  name, prefix: name, rank: number, y: signed, first: seat, numbers: list(number), x: list(signed), tiers: list(number),
});
const layout = record({
  show, version: number, seats: number, focus: name, currency: name,
  tiers: list(record({ id: number, name, price: number })), sections: list(record({ name, rows: list(row) })),
});

export const error = record({
  code: name, message: name, "field?": name, "seats?": list(record({ seat, reason: name, "label?": name })),
  "retry_after_ms?": number, "opens_in_ms?": number, "limit?": number, "trace_id?": name,
});

export const client = tagged("t", {
  auth: { token: name },
  watch: { show, "pos?": position },
  unwatch: { show },
  hide: { hidden: bool },
  hold: { id: number, show, key, "seats?": seats, "best?": best },
  extend: { id: number, show, hold: id, key },
  release: { id: number, show, hold: id },
  own_holds: { id: number, show },
  book: { id: number, show, hold: id, key, email: name },
  booking: { id: number, booking: id },
  cancel: { id: number, booking: id, key },
  bookings: { id: number, "before_ms?": number },
});

export const push = tagged("p", {
  hold: { hold },
  hold_ended: { show, hold: id, seats, reason: name, position },
  booking: { booking },
  reread: {},
});

export const server = tagged("t", {
  welcome: { customer, server_time_ms: number, token_expires_in_ms: number, beat_ms: number },
  reply: {
    id: number,
    ok: one({ hold, released, booking, own_holds: record({ show, holds: list(hold), pending: list(booking) }), bookings }),
  },
  error: { "id?": number, error },
  push: { push },
  stale: { show, stale: bool },
  alive: { server_time_ms: number },
});

export const control = tagged("t", { logout: { customer, before_ms: number } });

/** Operations of the core's port: kind, body, reply. */
export const operations = {
  hello: [
    0x01,
    record({ secret: name, name, version_min: number, version_max: number }),
    record({ version: number, core: name, frame_bytes_max: number, in_flight_max: number }),
  ],
  hold_seats: [0x10, record({ show, customer, key, "seats?": seats, "best?": best }), hold],
  extend_hold: [0x11, record({ show, customer, hold: id, key }), hold],
  release_hold: [0x12, record({ show, customer, hold: id }), released],
  own_holds: [
    0x13,
    record({ show, customers: list(customer) }),
    record({ customers: list(record({ customer, holds: list(hold), pending: list(booking) })) }),
  ],
  book: [0x20, record({ show, customer, hold: id, key, email: name }), booking],
  get_booking: [0x21, record({ customer, booking: id }), booking],
  cancel_booking: [0x22, record({ customer, booking: id, key }), booking],
  list_bookings: [0x23, record({ customer, "before_ms?": number }), bookings],
  get_snapshot: [
    0x30,
    record({ show }),
    record({ position, sale, opens_in_ms: number, layout_version: number, seats: number, statuses: bytes }),
  ],
  get_positions: [
    0x31,
    record({ shows: list(show), "viewers?": record({ gateway: name, part: number, counts: list(number) }) }),
    record({ positions: list(orNil(position)) }),
  ],
  list_shows: [
    0x40,
    record({ "show?": show, "city?": name, "date?": name, "movie?": name }),
    record({ shows: list(showInfo) }),
  ],
  get_layout: [0x41, record({ show }), layout],
  list_availability: [
    0x42,
    record({ "show?": show, "city?": name, "date?": name, "movie?": name }),
    record({ shows: list(record({ show, seats: number, available: number })) }),
  ],
  log_out: [0x50, record({ customer, issued_at_ms: number, keep_ms: number }), record({ before_ms: number })],
  get_logouts: [
    0x51,
    record({ "after?": customer, "within_ms?": number }),
    record({ logouts: list(record({ customer, before_ms: number })), more: bool }),
  ],
};
