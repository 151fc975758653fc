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

const BANK = "Banks usually show it within 5 to 7 working days, on the card or account that you paid with.";

/** One sentence for each refund. */
export function refundTexts(booking) {
  return (booking.refunds ?? []).map(
    (refund) => `${money(refund.amount, booking.currency)} ${REFUND_WORDS[refund.state] ?? REFUND_WORDS.unknown}.`,
  );
}

const WHY_BACK = {
  cancelled: "This booking was cancelled, so you get back all that you paid for it.",
  confirmed: "You paid more than once. The seats are yours, and what you paid too much comes back.",
  expired: "Your payment arrived after the time to pay was over, and the seats could not be given to you any more. You get all of it back.",
};
const WRONG_AMOUNT = {
  confirmed: "A payment was not of the booking's price and comes back whole. The seats are yours.",
  expired: "The payment was not of the booking's price, so the seats could not be confirmed with it. You get all of it back.",
};

/** Why money goes back; empty when none does. */
export function refundReason(booking) {
  if (!booking.refunds?.length) return "";
  const whole = booking.refunds.some(({ amount }) => amount === booking.amount);
  return (!whole && WRONG_AMOUNT[booking.state]) || WHY_BACK[booking.state] || "You get back all that you paid.";
}

/** When it arrives, and that nothing has to be done for it; empty when no money goes back. */
export function refundTime(booking) {
  const refunds = booking.refunds ?? [];
  if (refunds.length === 0) return "";
  if (refunds.some(({ state }) => state === "failed")) return "Our bank refused it once and we are at it again. You don't have to do anything.";
  return refunds.every(({ state }) => state === "processed") ? BANK : `It leaves us within minutes. ${BANK} You don't have to do anything.`;
}

/** The reference that a customer reads out. */
export function reference(booking) {
  return booking.booking.slice(-8).toUpperCase();
}
