// What a booking's state and refunds mean, in words for the customer.

import { money } from "./format.js";

export const STATE_WORDS = {
  pending: "Waiting for payment",
  confirmed: "Confirmed",
  expired: "Not paid in time",
  cancelled: "Cancelled",
  unknown: "Being checked",
};

const REFUND_WORDS = {
  due: "is on its way back to you",
  requested: "is on its way back to you",
  processed: "was paid back",
  failed: "is being paid back; it takes longer than usual",
  unknown: "is being paid back",
};

/** One sentence for each refund. */
export function refundTexts(booking) {
  return (booking.refunds ?? []).map(
    (refund) => `${money(refund.amount, booking.currency)} ${REFUND_WORDS[refund.state] ?? REFUND_WORDS.unknown}.`,
  );
}

/** The reference that a customer reads out. */
export function reference(booking) {
  return booking.booking.slice(-8).toUpperCase();
}
