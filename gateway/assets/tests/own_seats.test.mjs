// Own holds and bookings: the same cases as protocol/src/viewer/tests.rs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OwnSeats } from "../own_seats.js";
import { ShowMap } from "../viewer.js";

const hold = (id, seats, s, more = {}) => ({ hold: id, show: 7, seats, phase: "browse", remaining_ms: 1000, extensions_left: 2, position: { g: 1, s }, ...more });
const booking = (id, seats, state, version) => ({ booking: id, show: 7, seats, labels: [], state, version });
const has = (own, seat) => own.seats().has(seat);

test("a hold is over only by an end after it", () => {
  const own = new OwnSeats();
  own.holdIs(hold("1", [1], 11));
  own.holdEnded("1", { g: 1, s: 10 });
  assert.ok(has(own, 1), "an end from before the hold is about an older one");
  assert.equal(own.holdEnded("1", { g: 1, s: 14 }).hold, "1");
  assert.ok(!has(own, 1));
  assert.ok(!own.holdIs(hold("1", [1], 11)));
  assert.ok(!has(own, 1), "a late reply does not bring it back");
  assert.ok(own.holdIs(hold("1", [1], 15)), "a new grant does");
});

test("an end may come before the reply that grants the hold", () => {
  const own = new OwnSeats();
  assert.equal(own.holdEnded("1", { g: 1, s: 12 }), null);
  assert.ok(!own.holdIs(hold("1", [1], 11)));
  assert.ok(own.holdIs(hold("1", [1], 13)));
});

test("rereading ends only what was known when it was asked", () => {
  const own = new OwnSeats();
  own.holdIs(hold("1", [1], 11));
  const known = own.known();
  own.holdIs(hold("2", [2], 12));
  const { lost } = own.reread(known, [], []);
  assert.deepEqual(lost.map((h) => h.hold), ["1"]);
  assert.ok(!has(own, 1), "lost meanwhile");
  assert.ok(has(own, 2), "taken after the question, so the answer can't know it");
});

test("a booking replaces its hold and the highest version wins", () => {
  const own = new OwnSeats();
  own.holdIs(hold("1", [1, 2], 11));
  own.bookingIs(booking("9", [1, 2], "pending", 1));
  assert.deepEqual([own.holds.size, own.pending.length], [0, 1]);
  assert.deepEqual(own.reread(own.known(), [], []).unknown, ["9"], "what became of it?");
  own.bookingIs(booking("9", [1, 2], "confirmed", 2));
  assert.ok(!own.bookingIs(booking("9", [1, 2], "pending", 1)));
  assert.equal(own.bookings.get("9").state, "confirmed");
  own.holdIs(hold("1", [1, 2], 11, { phase: "paying", booking: "9" }));
  assert.equal(own.holds.size, 0, "an older look at the hold does not bring it back");
  own.bookingIs(booking("9", [1, 2], "cancelled", 3));
  assert.ok(!has(own, 1));
});

test("a lost push is made up for by the map", () => {
  const own = new OwnSeats();
  const map = new ShowMap(7);
  const frame = (from, seats) => map.apply({ t: "delta", show: 7, g: 1, from, to: from + 1, sale: "open", viewers: 1, seats });
  map.apply({ t: "snapshot", show: 7, g: 1, s: 10, sale: "open", layout: 1, viewers: 1, seats: "aaaa" });
  own.holdIs(hold("1", [1], 12));
  frame(10, [[1, "a"]]);
  assert.ok(!own.contradicts(map), "the map is older than the hold");
  frame(11, [[1, "h"]]);
  assert.ok(!own.contradicts(map));
  frame(12, [[1, "a"]]);
  assert.ok(own.contradicts(map));
});
