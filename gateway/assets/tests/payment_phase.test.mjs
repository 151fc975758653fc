// The phases of whoever waits for a payment.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PHASES, phaseAfter, UNPAID } from "../payment_phase.js";

test("each moment has its phase", () => {
  const at = (ms) => phaseAfter(PHASES, ms).phase.name;
  assert.deepEqual([0, 9999, 10000, 29999, 30000, 1e9].map(at), [
    "confirming",
    "confirming",
    "still_working",
    "still_working",
    "money_is_safe",
    "money_is_safe",
  ]);
});

test("the next phase is known, and the last one has none", () => {
  assert.deepEqual([phaseAfter(PHASES, 4000).leftMs, phaseAfter(PHASES, 4000).isLast], [6000, false]);
  assert.deepEqual([phaseAfter(PHASES, 40000).leftMs, phaseAfter(PHASES, 40000).isLast], [Infinity, true]);
  assert.equal(phaseAfter(UNPAID, 1e9).phase.name, "unpaid");
});

test("each phase asks less often than the one before", () => {
  const every = PHASES.map(({ everyMs }) => everyMs);
  assert.deepEqual(every, [...every].sort((a, b) => a - b));
});
