// The seat map: what the shared cases (viewer_cases.test.mjs) don't say, and the golden seat frames.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SeatMap } from "../seat_map.js";
import { golden } from "./golden.mjs";

const SHOW = 7;
const snapshot = (g, s, seats = "aaaa") => ({ t: "snapshot", show: SHOW, g, s, sale: "open", opens_in_ms: 0, layout: 1, viewers: 2, seats });
const delta = (g, from, to, seats) => ({ t: "delta", show: SHOW, g, from, to, sale: "open", viewers: 2, seats });
const beat = (g, s) => ({ t: "beat", show: SHOW, g, s, sale: "open", viewers: 3, server_time_ms: 1 });

function live() {
  const map = new SeatMap(SHOW);
  assert.equal(map.apply(snapshot(1, 10)).kind, "applied");
  return map;
}

test("a status that is not known never looks free", () => {
  const map = live();
  map.apply(snapshot(1, 11, "a?ha"));
  map.apply(delta(1, 11, 12, [[0, "z"]]));
  assert.deepEqual([...map.statuses], [3, 3, 1, 0]);
});

test("the sale state arrives with the seats", () => {
  const map = new SeatMap(SHOW);
  assert.ok(map.apply({ ...snapshot(1, 1), sale: "before", opens_in_ms: 5000 }).sale);
  assert.equal(map.opensInMs, 5000);
  const opened = map.apply(delta(1, 1, 2, []));
  assert.deepEqual([opened.sale, map.sale, map.opensInMs], [true, "open", 0]);
});

test("golden seat frames are understood", () => {
  const map = new SeatMap(SHOW);
  const first = golden("seat_frame.snapshot");
  assert.equal(map.apply(first).kind, "applied");
  assert.equal(map.statuses.length, first.seats.length);
  assert.deepEqual(map.position, { g: first.g, s: first.s });
  const frame = golden("seat_frame.delta");
  const wide = new SeatMap(SHOW);
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
