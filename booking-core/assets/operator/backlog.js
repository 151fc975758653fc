// What waits in the queues, and what waits for a person.

import { act, read } from "./api.js";
import { confirm } from "./confirm.js";
import { count, h, plural, setText } from "./dom.js";

const QUEUES = [
  ["inbox", "Payment events", "settled by workers"],
  ["outbox", "Changes for the live maps", "applied to Redis"],
  ["refunds", "Refunds", "asked for at the provider"],
  ["bus", "Events for other systems", "exported"],
  ["mail", "Mails", "sent to customers"],
];

export function queuesView(context) {
  const view = new Queues(context);
  return { element: view.element, title: "Queues", read: () => view.read(), fail: (text) => view.fail(text) };
}

class Queues {
  #drawn = "";

  constructor(context) {
    Object.assign(this, context);
    this.rows = h("tbody", {});
    this.parked = h("ul", { class: "parked", id: "parked-rows" });
    this.hint = h("p", { class: "muted", role: "status" });
    this.element = h(
      "section",
      {},
      h("h1", { text: "Queues" }),
      h("div", { class: "card table-frame", role: "region", "aria-label": "Queues", tabindex: "0" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col", text: "Queue" }), h("th", { scope: "col", class: "number", text: "Waiting" }), h("th", { scope: "col", class: "number", text: "Parked" }))), this.rows)),
      h("div", { class: "section-head" }, h("h2", { text: "Parked rows" })),
      this.hint,
      this.parked,
    );
  }

  async read() {
    const [backlog, parked] = await Promise.all([read("backlog"), read("parked")]);
    return () => this.#draw(backlog, parked);
  }

  #draw(backlog, { parked, more }) {
    this.rows.replaceChildren(
      ...QUEUES.map(([key, name, what]) =>
        h("tr", {}, h("th", { scope: "row" }, name, h("span", { class: "muted small", text: what })), h("td", { class: "number", text: count(backlog[key]) }), h("td", { class: backlog[`${key}_parked`] ? "number is-bad" : "number", text: count(backlog[`${key}_parked`]) })),
      ),
    );
    setText(this.hint, parked.length ? `${plural(parked.length, "row")}${more ? " (more behind them)" : ""} failed too often and ${parked.length === 1 ? "waits" : "wait"} for you.` : "Nothing is parked.");
    const key = JSON.stringify(parked);
    if (this.#drawn === key) return;
    this.#drawn = key;
    this.parked.replaceChildren(...parked.map((row) => this.#row(row)));
  }

  #row(row) {
    const may = (row.may ?? "").split(/\W+/);
    const button = (what, label) => may.includes(what) && h("button", { class: "button", type: "button", "data-act": what, onclick: () => this.#do(what, row.row), text: label });
    return h(
      "li",
      { class: "card", "data-row": row.row },
      h("p", {}, h("strong", { text: row.what }), h("span", { class: "muted small", text: ` ${row.row}, since ${row.since}, ${plural(row.failures, "failure")}` })),
      row.why && h("p", { class: "muted", text: row.why }),
      h("div", { class: "actions" }, button("requeue", "Try again"), button("dismiss", "Dismiss")),
    );
  }

  async #do(what, row) {
    const dismiss = what === "dismiss";
    const note = dismiss ? await confirm({ title: "Dismiss this row?", text: `${row} was looked at, and nothing more is to be done about it.`, yes: "Dismiss" }) : "";
    if (note === null) return;
    await this.doing(dismiss ? `Dismissed ${row}.` : `${row} is tried again.`, () => act(`${what}/${encodeURIComponent(row)}`, {}, note));
  }

  fail(text) {
    setText(this.hint, text);
  }
}
