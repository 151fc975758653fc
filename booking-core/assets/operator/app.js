// Starts the operator's page: sign-in, which view the address asks for, and asking again every second or two.

import { Refused, session, tryToken } from "./api.js";
import { queuesView } from "./backlog.js";
import { h, setText } from "./dom.js";
import { overviewView } from "./overview.js";
import { showView } from "./show.js";

const EVERY_MS = 1500;
const main = document.getElementById("main");
const freshness = document.getElementById("freshness");
const said = document.getElementById("said");
let view = null;
let timer = 0;
let turn = 0;

/** Says what was done, or why not; for eyes and for screen readers. */
function say(text, kind = "good") {
  const line = h("p", { class: `line ${kind}` }, h("span", { text }), h("button", { type: "button", class: "close", "aria-label": "Dismiss", onclick: () => line.remove(), text: "×" }));
  said.prepend(line);
  while (said.children.length > 4) said.lastElementChild.remove();
  if (kind === "good") setTimeout(() => line.remove(), 7000);
}

/** Does something and says what became of it; answers whether it was done. */
async function doing(what, act) {
  try {
    await act();
    say(what);
    return true;
  } catch (error) {
    say(error.field ? `${error.message} (${error.field})` : error.message, "bad");
    return false;
  } finally {
    poll();
  }
}

const context = { say, doing };

function signIn(reason = "") {
  stop();
  view = null;
  document.getElementById("nav").hidden = document.getElementById("sign-out").hidden = true;
  freshness.dataset.state = "off";
  setText(freshness, "");
  const name = h("input", { id: "name", autocomplete: "username", maxlength: 40, required: true, value: session.name });
  const token = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { id: "sign-in-problem", class: "problem", role: "alert", text: reason });
  const button = h("button", { class: "button primary", id: "sign-in", text: "Sign in" });
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await tryToken(token.value.trim(), name.value.trim());
      session.start(token.value.trim(), name.value.trim());
      route();
    } catch (error) {
      setText(problem, error.status === 401 ? "That is not the admin token." : error.message);
      button.disabled = false;
    }
  };
  main.replaceChildren(
    h(
      "form",
      { class: "card sign-in", onsubmit: submit },
      h("h1", { text: "Sign in" }),
      h("p", { class: "muted", text: "What you do here is done at once, to real customers. It is logged under your name." }),
      h("label", {}, h("span", { text: "Your name" }), name),
      h("label", {}, h("span", { text: "Admin token" }), token),
      problem,
      button,
    ),
  );
  document.title = "Sign in · Seatwire operations";
  (session.name ? token : name).focus();
}

function route() {
  if (!session.token) return signIn();
  const hash = location.hash.replace(/^#\/?/, "");
  const show = /^show\/(\d{1,16})$/.exec(hash);
  document.getElementById("nav").hidden = document.getElementById("sign-out").hidden = false;
  const [make, argument, nav] = show ? [showView, Number(show[1])] : hash === "queues" ? [queuesView, null, "nav-queues"] : [overviewView, null, "nav-overview"];
  for (const id of ["nav-overview", "nav-queues"]) {
    const link = document.getElementById(id);
    if (id === nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view = make(context, argument);
  main.replaceChildren(view.element);
  document.title = `${view.title} · Seatwire operations`;
  poll();
}

function stop() {
  clearTimeout(timer);
  turn += 1;
}

/** Asks now, and then again and again; an answer to an older question is dropped. */
async function poll() {
  stop();
  if (!view || document.hidden) return;
  const [asked, mine] = [view, turn];
  try {
    const draw = await asked.read();
    if (mine !== turn) return;
    draw();
    freshness.dataset.state = "live";
    setText(freshness, "Live");
    main.dataset.ready = "true";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (mine !== turn) return;
    freshness.dataset.state = "stale";
    setText(freshness, "Not up to date");
    freshness.title = error.message;
    if (main.dataset.ready !== "true" || error.status === 404) asked.fail?.(error.message);
  }
  if (mine === turn) timer = setTimeout(poll, EVERY_MS);
}

addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  delete main.dataset.ready;
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
addEventListener("unauthenticated", () => {
  if (!view) return;
  session.end();
  signIn("The token is no longer accepted.");
});
document.addEventListener("visibilitychange", () => poll());
document.getElementById("sign-out").addEventListener("click", () => {
  session.end();
  signIn();
});
route();
