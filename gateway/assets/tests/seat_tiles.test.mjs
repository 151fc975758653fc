// Tiles of a large house: a few painted a frame, kept, and right after a change.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { SeatGrid } from "../seat_grid.js";
import { SeatTiles } from "../seat_tiles.js";

/** One row of forty seats beside each other: the thirteenth stands on the first tile and on the second. */
const count = 40;
const plan = { count, x: Float32Array.from({ length: count }, (_, k) => k * 10), y: new Float32Array(count), rowOf: new Int32Array(count) };
const place = { left: 0, top: 0, unit: 1, scale: 0.5 };
const ON_SCREEN = { width: 300, height: 100 };

let painted;
let tiles;
let screen;

/** A context that only notes which pictures are copied onto it. */
function context(canvas) {
  const copied = [];
  return { canvas, copied, setTransform() {}, fillRect() {}, drawImage: (picture, x) => copied.push(x) };
}

beforeEach(() => {
  painted = [];
  const painter = {
    plan,
    ground: "white",
    paintAll: (_, seats) => painted.push([...seats]),
    wipe() {},
    paint: (on, seat) => painted.push([seat]),
  };
  globalThis.document = { createElement: () => ({ getContext: () => context(null) }) };
  tiles = new SeatTiles(new SeatGrid(plan), painter, new Uint8Array(count), () => {});
  tiles.resize(1, 0.5);
  screen = context(ON_SCREEN);
});

test("a frame paints one tile at least, and no more once its time is over", () => {
  const frames = [1, 2, 3].map(() => tiles.fill(screen, place, 0));
  assert.deepEqual(frames, [false, false, true]);
  assert.deepEqual(screen.copied, [0, 128, 256]);
  assert.equal(painted.length, 3);
});

test("what was painted is copied and not painted again", () => {
  tiles.fill(screen, place, Infinity);
  assert.ok(tiles.covers(place, ON_SCREEN.width, ON_SCREEN.height));
  assert.ok(!tiles.covers({ ...place, left: 300 }, ON_SCREEN.width, ON_SCREEN.height));
  painted.length = 0;
  screen.copied.length = 0;
  tiles.copy(screen, { ...place, left: 10 });
  assert.ok(tiles.fill(screen, place, Infinity));
  assert.deepEqual(screen.copied, [-10, 118, 246]);
  assert.deepEqual(painted, []);
});

test("a changed seat is painted on every tile that shows a part of it, and on no other", () => {
  tiles.fill(screen, place, Infinity);
  for (const [seat, times] of [[3, 1], [12, 2], [39, 0]]) {
    painted.length = 0;
    tiles.repaint(seat);
    assert.deepEqual(painted, Array.from({ length: times }, () => [seat]));
  }
});

test("at another size every tile is painted anew", () => {
  tiles.fill(screen, place, Infinity);
  tiles.resize(2, 1);
  assert.ok(!tiles.covers({ ...place, unit: 2 }, ON_SCREEN.width, ON_SCREEN.height));
});
