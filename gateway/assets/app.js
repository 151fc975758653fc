// Starts the page: one client for all views, the connection's state, and which view the address asks for.

import { fetchShows } from "./api.js";
import { bookingView } from "./booking_view.js";
import { bookingsView } from "./bookings_view.js";
import { Client } from "./seatwire/client.js";
import { ConnectionBadge } from "./connection_badge.js";
import { h } from "./dom.js";
import { Notices } from "./notice.js";
import { showView } from "./show_view.js";
import { showsView } from "./shows_view.js";
import { guestToken } from "./token.js";

const main = document.getElementById("main");
const scheme = location.protocol === "https:" ? "wss" : "ws";
const client = new Client({ url: `${scheme}://${location.host}/ws`, token: guestToken });
const context = { client, notices: new Notices(document.getElementById("notices")), shows: fetchShows };
let current = null;

/** The view for the address: `#/show/7`, `#/bookings`, `?booking=…` after a payment, else the list of shows. */
function route() {
  const hash = location.hash.replace(/^#\/?/, "");
  const show = /^show\/(\d{1,16})$/.exec(hash);
  if (show) return { view: showView, argument: Number(show[1]), nav: "nav-shows" };
  if (hash === "bookings") return { view: bookingsView, argument: null, nav: "nav-bookings" };
  const linked = /^booking\/([0-9a-f]{32})$/.exec(hash);
  if (linked) return { view: bookingView, argument: linked[1], nav: "nav-bookings" };
  const returned = new URLSearchParams(location.search).get("booking")?.replaceAll("-", "").toLowerCase();
  if (hash === "" && /^[0-9a-f]{32}$/.test(returned ?? "")) return { view: bookingView, argument: returned, returned: true, nav: "nav-bookings" };
  return { view: showsView, argument: null, nav: "nav-shows" };
}

function navigate(moved) {
  if (location.hash === "#main") return;
  const { view, argument, nav, returned } = route();
  current?.destroy?.();
  context.notices.clear();
  for (const id of ["nav-shows", "nav-bookings"]) {
    const link = document.getElementById(id);
    if (id === nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  current = view(context, argument, returned);
  main.replaceChildren(current.element);
  document.title = current.title ? `${current.title} · Seatwire` : "Seatwire";
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function fail(text) {
  main.replaceChildren(h("section", { class: "empty" }, h("h1", {}, "Something went wrong"), h("p", { text }), h("a", { class: "button", href: "/#/" }, "Back to the shows")));
}

addEventListener("hashchange", () => navigate(true));
addEventListener("online", () => client.reconnectNow());
document.addEventListener("visibilitychange", () => {
  client.hide(document.hidden);
  // A machine that slept has lost its socket without knowing; timers stood still too.
  if (!document.hidden) {
    client.checkNow();
    client.reconnectNow();
    current?.shown?.();
  }
});
client.on("refused", ({ code }) => context.notices.show(`The server closed the connection for good (${code}). Reload the page to try again.`, "bad"));
new ConnectionBadge(document.getElementById("connection"), client);
client.connect();
try {
  navigate(false);
} catch (error) {
  fail(error.message);
  throw error;
}
