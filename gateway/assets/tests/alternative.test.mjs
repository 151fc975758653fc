// What is offered in place of seats that are gone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nearestFree } from "../alternative.js";
import { Plan } from "../layout.js";

/** Rows A and B of eight seats with an aisle after the fourth, the last two of each row dearer. */
const plan = new Plan({
  version: 1,
  focus: "screen",
  currency: "INR",
  seats: 16,
  tiers: [{ id: 1, name: "Dear", price: 200 }, { id: 2, name: "Cheap", price: 100 }],
  sections: [{ name: "", rows: ["A", "B"].map((name, at) => ({ name, prefix: name, first: at * 8, y: at * 14, numbers: [1, 2, 3, 4, 5, 6, 7, 8], x: [0, 10, 20, 30, 60, 70, 80, 90], tiers: [2, 2, 2, 2, 2, 2, 1, 1] })) }],
});
const labels = (taken, wanted) => {
  const gone = new Set(taken);
  const found = nearestFree(plan, (seat) => !gone.has(seat), wanted);
  return found && plan.labels(found);
};

test("the seat beside a lost one is the nearest", () => {
  assert.deepEqual(labels([1], [1]), ["A1"]);
  assert.deepEqual(labels([0, 1], [1]), ["A3"]);
});

test("seats stay side by side, and no aisle comes between them", () => {
  assert.deepEqual(labels([2, 3], [2, 3]), ["B3", "B4"]);
  assert.deepEqual(labels([3, 5], [3, 4]), ["B3", "B4"]);
  assert.deepEqual(labels([0, 1, 2, 11], [0, 1, 2]), ["B1", "B2", "B3"]);
});

test("another price is only offered when nothing nearby costs the same", () => {
  assert.deepEqual(labels([5], [5]), ["A5"]);
  assert.deepEqual(labels([0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13], [5]), ["A7"]);
});

test("nothing is offered when no row has so many", () => {
  assert.equal(labels([0, 1, 2, 3, 8, 9, 10, 11], [0, 1, 2, 3, 4]), null);
  assert.equal(labels([], []), null);
});
