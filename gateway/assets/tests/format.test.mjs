// Durations as people read them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { clock, span, wait } from "../format.js";

test("a duration in a sentence is rounded up, so that nobody comes too early", () => {
  assert.deepEqual([0, 1000, 41_001, 99_000].map(span), ["1 second", "1 second", "42 seconds", "99 seconds"]);
  assert.deepEqual([99_001, 190_000, 5_940_000].map(span), ["2 minutes", "4 minutes", "99 minutes"]);
  assert.deepEqual([5_940_001, 7_200_000, 7_200_001].map(span), ["2 hours", "2 hours", "3 hours"]);
});

test("a countdown shows 0:00 only when it is over", () => {
  assert.deepEqual([0, 1, 59_001, 3_600_000].map(clock), ["0:00", "0:01", "1:00", "1:00:00"]);
  assert.deepEqual([86_399_000, 90_000_000].map(wait), ["23:59:59", "1 d 1 h"]);
});
