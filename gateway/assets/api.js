// What the page reads over plain HTTP.

import { guestToken } from "./token.js";
import { CommandError } from "./seatwire/client.js";

async function answer(response, isText = false) {
  let body = null;
  try {
    body = response.ok && isText ? await response.text() : await response.json();
  } catch {
    // Not JSON: the status says enough.
  }
  if (response.ok && body) return body;
  throw new CommandError(body?.code ? body : { code: "UNAVAILABLE", message: `the server answered ${response.status}` });
}

async function authorized(path, isText = false, refused = null) {
  const token = await guestToken(refused);
  const response = await fetch(path, { headers: { authorization: `Bearer ${token}` }, cache: "no-store" });
  if (response.status === 401 && refused === null) return authorized(path, isText, token);
  return answer(response, isText);
}

export async function fetchShows() {
  return (await answer(await fetch("/api/shows", { cache: "no-store" }))).shows;
}

export async function fetchLayout(show, version) {
  const query = version ? `?v=${version}` : "";
  return answer(await fetch(`/api/shows/${show}/layout${query}`));
}

export function fetchBooking(booking) {
  return authorized(`/api/bookings/${booking}`);
}

/** The QR code of a confirmed booking, as SVG. */
export function fetchCode(booking) {
  return authorized(`/api/bookings/${booking}/code.svg`, true);
}

export function fetchBookings(beforeMs) {
  return authorized(`/api/bookings${beforeMs ? `?before_ms=${beforeMs}` : ""}`);
}
