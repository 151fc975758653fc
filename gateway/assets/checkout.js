// The way to the payment provider's page.

/** Leaves for the checkout of a pending booking; without one, for the booking's own page, which waits for it. */
export function goToCheckout(booking) {
  const url = checkoutAddress(booking);
  if (url && booking.state === "pending") location.assign(url);
  else location.hash = `#/booking/${booking.booking}`;
}

/** The checkout address when it is one that a browser may follow, else null. */
export function checkoutAddress(booking) {
  if (!booking.checkout_url) return null;
  let url;
  try {
    url = new URL(booking.checkout_url, location.href);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  // Return to the address that this page has: another host or port would be another guest to the browser.
  if (url.searchParams.has("return_url")) url.searchParams.set("return_url", `${location.origin}/?booking=${booking.booking}`);
  return url.href;
}
