// What customers read when a hold is refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import { refusalText } from "../refusal.js";

const text = (body) => refusalText({ body });

test("seats that would be left alone are named by their labels", () => {
  const one = { code: "ORPHAN", seats: [{ seat: 3, reason: "orphan", label: "A4" }] };
  assert.equal(
    text(one),
    "A4 would be left as a single seat. Please take it too, or move your choice so that no single seat stays free.",
  );
  const two = { code: "ORPHAN", seats: [...one.seats, { seat: 7, reason: "orphan" }] };
  assert.match(refusalText({ body: two }, (seat) => `B${seat}`), /^A4 and B7 would be left as single seats\. Please take them too/);
});

test("limits say how long to wait", () => {
  const cool = { code: "COOL_DOWN", retry_after_ms: 42_000, seats: [{ seat: 3, reason: "cool_down", label: "A4" }] };
  assert.equal(text(cool), "A4 ran out on you twice and is open to others first. Please wait 42 seconds, or choose other seats.");
  assert.match(text({ code: "COOL_DOWN", retry_after_ms: 42_000 }), /unpaid\. Please wait 42 seconds and try again\./);
  assert.match(text({ code: "RATE_LIMITED", limit: 6, retry_after_ms: 190_000 }), /6 holds .* in 4 minutes; what you hold stays yours/);
  assert.match(text({ code: "RATE_LIMITED", retry_after_ms: 1_500 }), /in 2 seconds\./);
});

test("somebody was faster only when the reply says so", () => {
  const held = { seat: 3, reason: "held", label: "A4" };
  assert.equal(text({ code: "TAKEN", seats: [held, { seat: 4, reason: "booked", label: "A5" }] }), "Someone just took A4 and A5.");
  assert.equal(text({ code: "TAKEN", seats: [held, { seat: 5, reason: "blocked", label: "A6" }] }), "Someone just took A4. A6 is not for sale.");
  assert.equal(text({ code: "TAKEN", seats: [{ seat: 5, reason: "blocked", label: "A6" }] }), "A6 is not for sale.");
});
