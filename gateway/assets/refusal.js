// What a refusal means, in words for the customer.

import { list, plural, span, wait } from "./format.js";

const SEAT_REASONS = {
  held: ["is held by someone else", "are held by someone else"],
  booked: ["is already sold", "are already sold"],
  blocked: ["is not for sale", "are not for sale"],
  no_such_seat: ["does not exist in this plan", "do not exist in this plan"],
  orphan: ["would be left as a single seat", "would be left as single seats"],
  cool_down: ["ran out on you twice and is open to others first", "ran out on you twice and are open to others first"],
};

/** "A5 is held by someone else. B1 and B2 are already sold." */
function seatReasons(conflicts, label) {
  const byReason = Map.groupBy
    ? Map.groupBy(conflicts, (c) => c.reason)
    : conflicts.reduce((map, c) => map.set(c.reason, [...(map.get(c.reason) ?? []), c]), new Map());
  return [...byReason]
    .map(([reason, seats]) => {
      const words = SEAT_REASONS[reason] ?? ["is not available", "are not available"];
      const labels = seats.map((c) => c.label ?? label(c.seat));
      return `${list(labels)} ${words[labels.length === 1 ? 0 : 1]}.`;
    })
    .join(" ");
}

/** Seats that others have since they were looked at, by the reply itself, and the rest with its reasons. */
function takenText(conflicts, label) {
  const others = conflicts.filter(({ reason }) => reason === "held" || reason === "booked");
  const rest = conflicts.filter((conflict) => !others.includes(conflict));
  if (others.length === 0) return rest.length > 0 ? seatReasons(rest, label) : "One of the seats is no longer available.";
  const taken = `Someone just took ${list(others.map((c) => c.label ?? label(c.seat)))}.`;
  return rest.length > 0 ? `${taken} ${seatReasons(rest, label)}` : taken;
}

/** The whole sentence for an error of a command. */
export function refusalText(error, label = (seat) => `#${seat}`) {
  const body = error.body ?? { code: error.code ?? "INTERNAL", message: error.message };
  const seats = body.seats?.length ? seatReasons(body.seats, label) : "";
  switch (body.code) {
    case "TAKEN":
      return takenText(body.seats ?? [], label);
    case "NO_SUCH_SEAT":
      return seats || "One of the seats is no longer available.";
    case "ORPHAN":
      return `${seats || "This choice would leave a single seat alone."} Please take ${body.seats?.length > 1 ? "them" : "it"} too, or move your choice so that no single seat stays free.`;
    case "LIMIT":
      return `That is over the limit: ${body.message}.`;
    case "NOT_ON_SALE":
      return body.opens_in_ms ? `The sale opens in ${wait(body.opens_in_ms)}.` : "The sale has not opened yet.";
    case "SALE_CLOSED":
      return "The sale of this show is closed.";
    case "COOL_DOWN":
      return `${seats || "Several of your bookings were left unpaid."} Please wait ${span(body.retry_after_ms ?? 0)}${seats ? ", or choose other seats" : " and try again"}.`;
    case "IN_PAYMENT":
      return "These seats are already being paid for.";
    case "GONE":
      return "Your hold is over, and the seats are free for everybody again.";
    case "EXPIRED":
      return "The time to pay is over. If you paid, your money comes back.";
    case "NOT_OWNER":
      return "This booking is not known to this browser.";
    case "NO_SUCH_SHOW":
      return "There is no such show.";
    case "DEADLINE_EXCEEDED":
      return "The server did not answer in time. Nothing is lost: please try again.";
    case "RATE_LIMITED":
      return body.limit
        ? `You placed ${body.limit} holds within a short time. The next one is possible in ${span(body.retry_after_ms ?? 0)}; what you hold stays yours.`
        : `That was a little fast. Please try again in ${span(body.retry_after_ms ?? 1000)}.`;
    case "NOT_READY":
    case "OVERLOADED":
    case "UNAVAILABLE":
      return "The server is busy at the moment. Please try again shortly.";
    case "BAD_REQUEST":
      return body.field ? `${body.field}: ${body.message}` : body.message;
    default:
      return body.message || plural(1, "unexpected error");
  }
}

/** Why a hold is over. */
export function holdEndText(reason, labels) {
  const seats = list(labels);
  const is = labels.length === 1 ? "is" : "are";
  switch (reason) {
    case "expired":
      return `Your time for ${seats} ran out: ${labels.length === 1 ? "the seat is" : "the seats are"} free for everybody again.`;
    case "released":
      return `${seats} ${is} released.`;
    case "seats_lost":
      return `${seats} ${is} no longer yours: sold to somebody else or taken off sale. You were not charged.`;
    case "operator":
      return `The organiser ended your hold of ${seats}. You were not charged.`;
    case "reset":
      return `Your hold of ${seats} was lost by a server fault. You were not charged; please choose again.`;
    default:
      return `Your hold of ${seats} is over.`;
  }
}
