// A small client of Seatwire's gateway: connects, resumes, applies seat frames, keeps own holds and bookings right,
// holds and books. No dependency; made for browsers, and runs in Node with a WebSocket class given to it.
//
//   const client = new Client({ url: "wss://seats.example/ws", token: async () => "…" });
//   const viewer = client.watch(7);                     // a ShowViewer: viewer.map, viewer.own, viewer.seat(4)
//   client.on("map", ({ show }) => draw(viewer, client.isLive(show)));
//   client.connect();
//   const hold = await client.hold(7, [4, 5]);          // throws a CommandError: TAKEN, …
//   const booking = await client.book(7, hold.hold, "ana@example.com");   // pay at booking.checkout_url

import { CommandError, Commands, retryWait } from "./commands.js";
import { Connection } from "./connection.js";
import { ShowViewer } from "./viewer.js";

export { CommandError, ShowViewer };

/** An idempotency key. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * Events (see `on`): "state" (connecting, live, reconnecting, closed), "map" (what a frame did to a watched show),
 * "own" (what changed of the customer's own at a watched show), "quiet" (a beat is overdue), "push", "welcome",
 * "error" (of no command), "refused" (closed for good).
 */
export class Client {
  #listeners = new Map();
  #watched = new Map();
  #connection;
  #commands;
  #asked = new Set();
  #nextId = 1;
  #hidden = false;

  /**
   * `token(refused)` answers a promise of a token; `refused` is one that the gateway did not accept. `tokenInRequest`:
   * whether it travels in the request, as it must outside of browsers, or in the first message.
   */
  constructor({ url, token, tokenInRequest = !globalThis.location, now = () => performance.now(), WebSocket = globalThis.WebSocket }) {
    this.now = now;
    /** Who the token says this is, after the first welcome. */
    this.customer = null;
    this.#commands = new Commands({ now, send: (message) => this.#send(message), expired: (error) => this.#tell(error) });
    this.#connection = new Connection({
      url,
      token,
      tokenInRequest,
      now,
      WebSocket,
      onWelcome: (message) => this.#welcomed(message),
      onMessage: (message) => this.#received(message),
      onState: (state, retryInMs) => this.#emit("state", { state, retryInMs }),
      onQuiet: (quiet) => this.#emit("quiet", quiet),
      onSecond: () => this.#everySecond(),
      onLost: () => this.#lost(),
      onRefused: (code, reason) => this.#emit("refused", { code, reason }),
    });
  }

  /** Calls `listener` with each event of the type; answers how to stop that. */
  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.#listeners.get(type).delete(listener);
  }

  #emit(type, event) {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  get state() {
    return this.#connection.state;
  }

  /** Whether a beat is overdue. */
  get quiet() {
    return this.#connection.quiet;
  }

  /** Connects, and stays connected until `close`. */
  connect() {
    this.#connection.connect();
  }

  /** Tries again now, for example because the network came back. */
  reconnectNow() {
    this.#connection.reconnectNow();
  }

  /** Drops a socket that may be dead without knowing it, for example after a sleep. */
  checkNow() {
    this.#connection.checkNow();
  }

  /** Ends the connection; commands under way fail, though they may have taken effect. */
  close() {
    this.#connection.close();
    this.#commands.close();
  }

  /** Starts to watch a show; answers its viewer, which the frames fill. */
  watch(show) {
    let entry = this.#watched.get(show);
    if (!entry) {
      // `answered`: since the connection began a frame of the show came; until then the map may be an old one.
      entry = { viewer: new ShowViewer(show), answered: false, greeted: false };
      this.#watched.set(show, entry);
      if (this.#connection.welcomed) this.#begin(entry);
    }
    return entry.viewer;
  }

  unwatch(show) {
    if (this.#watched.delete(show)) this.#connection.send({ t: "unwatch", show });
  }

  /** Whether the show's map is known to be the present state. */
  isLive(show) {
    const entry = this.#watched.get(show);
    return this.state === "live" && !this.quiet && !!entry && entry.answered && entry.viewer.live;
  }

  /** While hidden only beats come; the maps catch up when shown again. */
  hide(hidden) {
    this.#hidden = hidden;
    this.#connection.send({ t: "hide", hidden });
  }

  /** Asks what the customer has at a watched show: for example after a page was asleep. */
  reread(show) {
    const entry = this.#watched.get(show);
    entry?.viewer.reread();
    if (entry) this.#ask(entry);
  }

  hold(show, seats, key = newKey()) {
    return this.#command({ t: "hold", show, key, seats }).then((ok) => ok.hold);
  }

  holdBest(show, best, key = newKey()) {
    return this.#command({ t: "hold", show, key, seats: [], best }).then((ok) => ok.hold);
  }

  extend(show, hold, key = newKey()) {
    return this.#command({ t: "extend", show, hold, key }).then((ok) => ok.hold);
  }

  release(show, hold) {
    return this.#command({ t: "release", show, hold }).then((ok) => ok.released);
  }

  ownHolds(show) {
    return this.#command({ t: "own_holds", show }).then((ok) => ok.own_holds);
  }

  book(show, hold, email, key = newKey()) {
    return this.#command({ t: "book", show, hold, key, email }).then((ok) => ok.booking);
  }

  booking(booking) {
    return this.#command({ t: "booking", booking }).then((ok) => ok.booking);
  }

  cancel(booking, key = newKey()) {
    return this.#command({ t: "cancel", booking, key }).then((ok) => ok.booking);
  }

  bookings(beforeMs) {
    return this.#command({ t: "bookings", ...(beforeMs ? { before_ms: beforeMs } : {}) }).then((ok) => ok.bookings);
  }

  #command({ t, ...fields }) {
    return this.#commands.run({ t, id: this.#newId(), ...fields });
  }

  #newId() {
    this.#nextId += 1;
    return this.#nextId - 1;
  }

  #send(message) {
    if (!this.#connection.send(message)) return;
    for (const { viewer } of this.#watched.values()) viewer.onSent(message);
  }

  #welcomed(message) {
    this.customer = message.customer;
    if (this.#hidden) this.#connection.send({ t: "hide", hidden: true });
    for (const entry of this.#watched.values()) this.#begin(entry);
    this.#commands.resend();
    this.#emit("welcome", message);
  }

  #begin(entry) {
    const { viewer } = entry;
    // Whoever begins to watch is told of own holds and pending bookings by pushes. So after a reconnect only those who
    // had some have to ask what became of them, and a crowd that returns asks for nothing.
    const ask = !entry.greeted || viewer.own.holds.size > 0 || viewer.own.pending.length > 0;
    entry.greeted = true;
    viewer.onConnected();
    this.#ask(entry, ask);
  }

  /** Sends what a viewer wants to know. No answer is waited for: what gets lost is asked for again. */
  #ask({ viewer }, ownToo = true) {
    for (const { ask, pos, booking } of viewer.takeAsks()) {
      if (ask === "watch") this.#sendWatch(viewer.show, pos);
      else if (ask === "booking") this.#send({ t: "booking", id: this.#askId(), booking });
      else if (ownToo) this.#send({ t: "own_holds", id: this.#askId(), show: viewer.show });
    }
  }

  #sendWatch(show, pos) {
    this.#send({ t: "watch", show, ...(pos ? { pos } : {}) });
  }

  /** A watch that is refused for a passing reason is answered by an error without an id. */
  #watchAgain(error) {
    const wait = retryWait(error);
    if (wait === null) return;
    setTimeout(() => {
      for (const { answered, viewer } of this.#watched.values()) {
        if (!answered) this.#sendWatch(viewer.show, viewer.map.loaded ? viewer.map.position : null);
      }
    }, wait);
  }

  #askId() {
    const id = this.#newId();
    this.#asked.add(id);
    return id;
  }

  #everySecond() {
    for (const entry of this.#watched.values()) {
      entry.viewer.retry();
      this.#ask(entry);
    }
  }

  #lost() {
    this.#asked.clear();
    for (const entry of this.#watched.values()) {
      entry.answered = false;
      entry.viewer.onDisconnected();
    }
  }

  #received(message) {
    if (message.t === "snapshot" || message.t === "delta" || message.t === "beat") return this.#frame(message);
    if (message.t === "error") return this.#error(message);
    this.#tell(message);
    if (message.t === "reply") {
      this.#asked.delete(message.id);
      this.#commands.onReply(message);
    } else if (message.t === "push") this.#emit("push", message.push);
    else if (message.t === "stale") this.#emit("map", { show: message.show, kind: message.stale ? "stale" : "right" });
  }

  #frame(frame) {
    const entry = this.#watched.get(frame.show);
    if (!entry) return;
    const result = entry.viewer.onFrame(frame);
    entry.answered = true;
    this.#ask(entry);
    this.#emit("map", { show: frame.show, ...result });
  }

  #error(message) {
    const became = this.#commands.onError(message);
    if (became !== "again") this.#tell(message);
    if (became !== "unknown" || this.#asked.delete(message.id)) return;
    this.#watchAgain(message.error);
    this.#emit("error", message.error);
  }

  /** What is not a seat frame goes to each viewer, which knows what concerns it. */
  #tell(message) {
    for (const entry of this.#watched.values()) {
      const changes = entry.viewer.onMessage(message);
      this.#ask(entry);
      if (changes.length > 0) this.#emit("own", { show: entry.viewer.show, changes });
    }
  }
}
