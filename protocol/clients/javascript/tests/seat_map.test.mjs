// The page's copy of the client-side state machine: the same cases as protocol/src/viewer/tests.rs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ShowMap } from "../viewer.js";
import { golden } from "./golden.mjs";

const SHOW = 7;
const snapshot = (g, s, seats = "aaaa") => ({ t: "snapshot", show: SHOW, g, s, sale: "open", opens_in_ms: 0, layout: 1, viewers: 2, seats });
const delta = (g, from, to, seats) => ({ t: "delta", show: SHOW, g, from, to, sale: "open", viewers: 2, seats });
const beat = (g, s) => ({ t: "beat", show: SHOW, g, s, sale: "open", viewers: 3, server_time_ms: 1 });

function live() {
  const map = new ShowMap(SHOW);
  assert.equal(map.apply(snapshot(1, 10)).kind, "applied");
  return map;
}

test("a delta is applied only where it fits", () => {
  const map = live();
  assert.equal(map.apply(delta(1, 8, 12, [[0, "h"]])).kind, "applied");
  assert.equal(map.statuses[0], 1);
  assert.equal(map.apply(delta(1, 8, 12, [[0, "b"]])).kind, "ignored");
  assert.equal(map.apply(delta(0, 8, 99, [[0, "b"]])).kind, "ignored");
  assert.ok(map.followed);
  assert.equal(map.apply(delta(1, 13, 14, [[0, "b"]])).kind, "gap");
  assert.ok(!map.followed, "a map with a hole in it must not look live");
  assert.deepEqual(map.position, { g: 1, s: 12 });
  assert.equal(map.apply(delta(1, 12, 14, [[0, "b"]])).kind, "applied");
  assert.ok(map.followed);
  assert.equal(map.apply(delta(2, 0, 1, [])).kind, "needs_snapshot");
  const renewed = map.apply(snapshot(2, 1));
  assert.deepEqual([renewed.kind, renewed.newGeneration], ["applied", true]);
  assert.equal(map.apply(snapshot(1, 50)).kind, "ignored");
  assert.deepEqual(map.position, { g: 2, s: 1 });
});

test("a delta with an unknown seat changes nothing", () => {
  const map = live();
  assert.equal(map.apply(delta(1, 10, 11, [[0, "h"], [4, "h"]])).kind, "needs_snapshot");
  assert.equal(map.statuses[0], 0);
});

test("a beat above the map uncovers a lost frame", () => {
  const map = live();
  assert.equal(map.apply(beat(1, 10)).kind, "ignored");
  assert.equal(map.viewers, 3);
  assert.equal(map.apply(beat(1, 11)).kind, "gap");
  assert.equal(map.apply(beat(2, 0)).kind, "needs_snapshot");
  assert.equal(new ShowMap(SHOW).apply(beat(0, 0)).kind, "ignored");
});

test("a status that is not known never looks free", () => {
  const map = live();
  map.apply(snapshot(1, 11, "a?ha"));
  map.apply(delta(1, 11, 12, [[0, "z"]]));
  assert.deepEqual([...map.statuses], [3, 3, 1, 0]);
});

test("the sale state arrives with the seats", () => {
  const map = new ShowMap(SHOW);
  assert.ok(map.apply({ ...snapshot(1, 1), sale: "before", opens_in_ms: 5000 }).sale);
  assert.equal(map.opensInMs, 5000);
  const opened = map.apply(delta(1, 1, 2, []));
  assert.deepEqual([opened.sale, map.sale, map.opensInMs], [true, "open", 0]);
});

test("golden seat frames are understood", () => {
  const map = new ShowMap(SHOW);
  const first = golden("seat_frame.snapshot");
  assert.equal(map.apply(first).kind, "applied");
  assert.equal(map.statuses.length, first.seats.length);
  assert.deepEqual(map.position, { g: first.g, s: first.s });
  const frame = golden("seat_frame.delta");
  const wide = new ShowMap(SHOW);
  wide.apply({ ...first, g: frame.g, s: frame.from, seats: "a".repeat(20000) });
  assert.equal(wide.apply(frame).kind, "applied");
  assert.deepEqual([wide.statuses[0], wide.statuses[4], wide.statuses[19999]], [1, 0, 2]);
  const empty = golden("seat_frame.delta_without_seats");
  assert.equal(wide.apply(empty).kind, "applied");
  assert.equal(wide.sale, empty.sale);
  const last = golden("seat_frame.beat");
  assert.equal(wide.apply(last).kind, "ignored");
  assert.deepEqual(wide.position, { g: last.g, s: last.s });
});
