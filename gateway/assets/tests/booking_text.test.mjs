// What customers read about money that goes back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { reference, refundReason, refundTexts, refundTime } from "../booking_text.js";

const booking = (state, ...refunds) => ({ booking: "00112233445566778899aabbccddeeff", state, currency: "INR", amount: 50_000, refunds: refunds.map((state) => ({ state, amount: 50_000 })) });

test("without a refund nothing is said of money", () => {
  for (const state of ["pending", "confirmed", "expired", "cancelled"]) {
    assert.deepEqual([refundReason(booking(state)), refundTime(booking(state)), refundTexts(booking(state))], ["", "", []]);
  }
});

test("how much, why and when are told for each way to a refund", () => {
  assert.match(refundTexts(booking("expired", "due"))[0], /500 is on its way back to you\./);
  assert.match(refundReason(booking("expired", "due")), /after the time to pay was over/);
  assert.match(refundReason(booking("cancelled", "due")), /was cancelled/);
  assert.match(refundReason(booking("confirmed", "due")), /more than once/);
  assert.match(refundTime(booking("expired", "requested")), /within minutes.*working days.*don't have to do anything/);
  assert.doesNotMatch(refundTime(booking("expired", "processed")), /within minutes/);
  assert.match(refundTime(booking("expired", "failed")), /at it again/);
});

test("a payment of another amount is not called late or double", () => {
  for (const state of ["expired", "confirmed"]) {
    assert.match(refundReason({ ...booking(state, "due"), amount: 60_000 }), /not of the booking's price/);
  }
  assert.match(refundReason({ ...booking("cancelled", "due"), amount: 60_000 }), /was cancelled/);
});

test("the reference is short", () => assert.equal(reference(booking("confirmed")), "CCDDEEFF"));
