// Buys the best seats of a show: holds, books, tells where to pay, and waits for the result.
//
//   node examples/sell_seats.mjs http://127.0.0.1:7000 1 2 ana@example.com

import "./globals.mjs";
import { Client, CommandError } from "../client.js";
import { guestToken, labelsOf, webSocketUrl } from "./gateway.mjs";

const LOOK_EVERY_MS = 10000;

const [gateway, show, count, email] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4]), process.argv[5]];
const client = new Client({ url: webSocketUrl(gateway), token: guestToken(gateway) });
// A watched show has its pushes kept in order: `viewer.own` is right whatever overtakes what.
const viewer = client.watch(show);
client.connect();

/** The booking, once it does not wait for its payment any more. A push tells; in case it is lost, it is asked for. */
function settled(id) {
  return new Promise((resolve) => {
    const look = () => {
      const booking = viewer.own.bookings.get(id);
      if (booking.state === "pending") return;
      clearInterval(timer);
      resolve(booking);
    };
    const timer = setInterval(() => client.booking(id).catch(() => {}), LOOK_EVERY_MS);
    client.on("own", look);
    look();
  });
}

try {
  const hold = await client.holdBest(show, { count });
  const labels = await labelsOf(gateway, show);
  console.log(`held ${hold.seats.map((seat) => labels[seat]).join(", ")} for ${Math.round(hold.remaining_ms / 1000)} s`);
  const booking = await client.book(show, hold.hold, email);
  console.log(`booking ${booking.booking} of ${booking.labels.join(", ")}: ${booking.state}, ${booking.amount} ${booking.currency} in minor units`);
  console.log(`pay at ${booking.checkout_url}`);
  const { state, labels: seats } = await settled(booking.booking);
  console.log(`${state}: ${seats.join(", ")}`);
  process.exitCode = state === "confirmed" ? 0 : 1;
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  const seats = error.body.seats?.map(({ label, seat, reason }) => `${label ?? seat} ${reason}`) ?? [];
  console.error([`${error.code}: ${error.message}`, ...seats].join("; "));
  process.exitCode = 1;
}
client.close();
