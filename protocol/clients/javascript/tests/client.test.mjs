// The client over a socket that the test holds in its hands: what it sends is compared with the golden vectors, and
// what it does when the socket breaks is looked at.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";

import "../examples/globals.mjs";
import { Backoff } from "../backoff.js";
import { Client, ShowViewer } from "../client.js";
import { golden } from "./golden.mjs";

let sockets = [];

globalThis.WebSocket = class {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 0, sent: [] });
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  tell(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  last(type) {
    return this.sent.findLast((message) => message.t === type);
  }
};

const WELCOME = golden("server.welcome");
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function until(condition) {
  const deadline = performance.now() + 60000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `never happened: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function connected(options = {}) {
  const client = new Client({ url: "ws://test/ws", token: async () => "token-1", tokenInRequest: false, ...options });
  client.connect();
  await turn();
  sockets[0].open();
  sockets[0].tell(WELCOME);
  return { client, socket: sockets[0] };
}

beforeEach(() => (sockets = []));

test("commands are written as the golden vectors have them", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  assert.deepEqual(socket.protocols, ["seatwire.v1.json"]);
  assert.deepEqual(socket.sent[0], { t: "auth", token: "token-1" });
  const calls = {
    hold: ({ show, seats, key }) => client.hold(show, seats, key),
    hold_best: ({ show, best, key }) => client.holdBest(show, best, key),
    extend: ({ show, hold, key }) => client.extend(show, hold, key),
    release: ({ show, hold }) => client.release(show, hold),
    own_holds: ({ show }) => client.ownHolds(show),
    book: ({ show, hold, email, key }) => client.book(show, hold, email, key),
    booking: ({ booking }) => client.booking(booking),
    cancel: ({ booking, key }) => client.cancel(booking, key),
    bookings: () => client.bookings(),
    bookings_page: ({ before_ms }) => client.bookings(before_ms),
  };
  for (const [name, call] of Object.entries(calls)) {
    const wanted = golden(`client.${name}`);
    const answer = call(wanted);
    const { id, ...sent } = socket.sent.at(-1);
    const { id: _, ...expected } = wanted;
    // `seats` may be left out beside `best`, and null stands for an absent field.
    assert.deepEqual({ seats: [], ...sent }, { seats: [], ...expected }, name);
    socket.tell({ t: "error", id, error: { code: "INTERNAL", message: "test" } });
    await assert.rejects(answer, { code: "INTERNAL" });
  }
  const watch = golden("client.watch");
  client.watch(watch.show);
  assert.deepEqual(socket.last("watch"), watch);
  client.unwatch(watch.show);
  assert.deepEqual(socket.last("unwatch"), { ...golden("client.unwatch"), show: watch.show });
});

test("replies and refusals reach the command that they answer", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  const granted = client.hold(7, [4, 5]);
  const refused = client.hold(7, [6]);
  const [first, second] = socket.sent.filter((message) => message.t === "hold");
  const taken = golden("server.error_taken");
  socket.tell({ ...taken, id: second.id });
  socket.tell({ ...golden("server.reply_hold"), id: first.id });
  assert.deepEqual(await granted, golden("server.reply_hold").ok.hold);
  await assert.rejects(refused, (error) => error.code === "TAKEN" && error.body.seats.length === taken.error.seats.length);
});

test("after a break it returns, resumes from its position and repeats what has no answer with the same key", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  client.watch(7);
  socket.tell({ ...golden("seat_frame.snapshot"), show: 7 });
  assert.ok(client.isLive(7));
  const { position } = client.watch(7).map;
  const hold = client.hold(7, [4]);
  const sent = socket.last("hold");
  socket.drop();
  assert.ok(!client.isLive(7));
  await until(() => sockets.length === 2);
  sockets[1].open();
  sockets[1].tell(WELCOME);
  assert.deepEqual(sockets[1].last("watch"), { t: "watch", show: 7, pos: position });
  assert.deepEqual(sockets[1].last("hold"), sent);
  assert.ok(!client.isLive(7), "an old map is not live before the gateway says so");
  sockets[1].tell({ ...golden("seat_frame.beat"), show: 7, g: position.g, s: position.s });
  assert.ok(client.isLive(7));
  sockets[1].tell({ ...golden("server.reply_hold"), id: sent.id });
  assert.ok((await hold).hold);
});

test("own holds are asked for, kept, told and asked for again", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  const told = [];
  client.on("own", ({ changes }) => told.push(...changes.map(({ kind, reason }) => reason ?? kind)));
  const viewer = client.watch(7);
  socket.tell({ ...golden("seat_frame.snapshot"), show: 7 });
  const asked = socket.last("own_holds");
  socket.tell({ t: "error", id: asked.id, error: { code: "UNAVAILABLE", message: "later" } });
  await until(() => socket.last("own_holds").id !== asked.id);
  const { show, holds } = golden("server.reply_own_holds").ok.own_holds;
  const held = { ...holds[0], phase: "browse", booking: undefined };
  socket.tell({ t: "reply", id: socket.last("own_holds").id, ok: { own_holds: { show, holds: [held], pending: [] } } });
  assert.deepEqual([viewer.seat(4), told], ["own", ["hold"]]);
  socket.tell({ t: "push", push: { p: "hold_ended", show, hold: held.hold, seats: held.seats, reason: "expired", position: { g: 3, s: 99 } } });
  assert.deepEqual([viewer.own.holds.size, told], [0, ["hold", "expired"]]);
});

test("who has nothing asks for nothing after a reconnect, who has a hold does", async (t) => {
  const { client } = await connected();
  t.after(() => client.close());
  client.watch(7);
  client.watch(8);
  sockets[0].tell({ t: "push", push: golden("server.push_hold").push });
  sockets[0].drop();
  await until(() => sockets.length === 2);
  sockets[1].open();
  sockets[1].tell(WELCOME);
  assert.deepEqual(sockets[1].sent.filter((message) => message.t === "own_holds").map((message) => message.show), [7]);
});

test("commands under way fail when the client is closed", async () => {
  const { client } = await connected();
  const hold = client.hold(7, [4]);
  client.close();
  await assert.rejects(hold, { code: "UNAVAILABLE" });
});

test("a stale map is not live until the gateway takes it back", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  client.watch(7);
  socket.tell({ ...golden("seat_frame.snapshot"), show: 7 });
  socket.tell({ t: "stale", show: 7, stale: true });
  assert.ok(!client.isLive(7));
  socket.tell({ t: "stale", show: 7, stale: false });
  assert.ok(client.isLive(7));
});

test("a gap is asked about from the map's position", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  const { map } = client.watch(7);
  socket.tell({ ...golden("seat_frame.snapshot"), show: 7 });
  const { g, s } = map.position;
  socket.tell({ t: "delta", show: 7, g, from: s + 2, to: s + 3, sale: "open", viewers: 1, seats: [] });
  assert.ok(!client.isLive(7));
  assert.deepEqual(socket.last("watch"), { t: "watch", show: 7, pos: { g, s } });
});

test("a passing refusal is tried again with the same key", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  const hold = client.hold(7, [4]);
  const first = socket.last("hold");
  socket.tell({ t: "error", id: first.id, error: { code: "NOT_READY", message: "loading", retry_after_ms: 5 } });
  await until(() => socket.sent.filter((message) => message.t === "hold").length === 2);
  assert.deepEqual(socket.last("hold"), first);
  socket.tell({ ...golden("server.reply_hold"), id: first.id });
  await hold;
});

test("a watch that is refused for now is asked again", async (t) => {
  const { client, socket } = await connected();
  t.after(() => client.close());
  client.watch(7);
  const watches = () => socket.sent.filter((message) => message.t === "watch");
  socket.tell({ t: "error", error: { code: "NO_SUCH_SHOW", message: "there is no show 7" } });
  socket.tell({ t: "error", error: { code: "OVERLOADED", message: "later", retry_after_ms: 5 } });
  await until(() => watches().length === 2);
  assert.deepEqual(watches()[1], { t: "watch", show: 7 });
});

test("a token that is refused is thrown away", async (t) => {
  const asked = [];
  const { client, socket } = await connected({ token: async (refused) => (asked.push(refused), `token-${asked.length}`) });
  t.after(() => client.close());
  socket.drop(4401);
  await until(() => sockets.length === 2);
  assert.deepEqual(asked, [null, "token-1"]);
});

test("outside of browsers the token is in the request", async (t) => {
  const asked = [];
  const { client, socket } = await connected({ tokenInRequest: true, token: async (refused) => (asked.push(refused), `token-${asked.length}`) });
  t.after(() => client.close());
  assert.deepEqual([socket.protocols, socket.sent], [["seatwire.v1.json", "seatwire.token.token-1"], []]);
  socket.onerror({ message: "Unexpected server response: 401" });
  await until(() => sockets.length === 2);
  assert.deepEqual(asked, [null, "token-1"]);
});

test("after a close that would be repeated it stays away", async () => {
  const { client, socket } = await connected();
  socket.drop(1008);
  assert.equal(client.state, "closed");
  client.close();
});

test("the declarations name what the client has", () => {
  const declared = readFileSync(new URL("../client.d.ts", import.meta.url), "utf8");
  for (const [name, made] of Object.entries({ Client, ShowViewer })) {
    const body = declared.split(`export class ${name} {`)[1].split("\n}")[0];
    for (const method of Object.getOwnPropertyNames(made.prototype)) {
      assert.match(body, new RegExp(`\\b${method}[(<:]`), `${name}.${method}`);
    }
  }
});

test("waits grow, differ and end at a ceiling", () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => backoff.next()), [150, 250, 450, 850, 1050, 1050]);
  backoff.reset();
  assert.equal(backoff.next(500), 650);
  const calm = new Backoff({ firstMs: 100, random: () => 0 });
  assert.equal(calm.next(), 50, "never at once");
});
