// A small client of Seatwire's gateway: connects, resumes from its position, applies seat frames, sends commands.
//
// A command that has no answer when the socket breaks, or that is refused for a passing reason, is sent again with the
// same idempotency key until its deadline, so it takes effect once at most. All durations come from the server as
// remaining milliseconds and are counted with the monotonic clock; the wall clock of this machine is never used.

import { Backoff } from "./backoff.js";
import { ShowMap } from "./viewer.js";

const SUBPROTOCOL = "seatwire.v1.json";
const COMMAND_DEADLINE_MS = 20000;
const RETRYABLE = new Set(["NOT_READY", "IN_PROGRESS", "RATE_LIMITED", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]);
/** Close codes after which the same client may not return by itself: it would be refused again. */
const FINAL_CLOSE = new Set([1002, 1003, 1007, 1008, 1009]);
const UNAUTHENTICATED_CLOSE = 4401;
const RESTART_CLOSE = 1012;

/** A refusal or failure of a command: `body` is the server's error (code, message, seats, limit, …). */
export class CommandError extends Error {
  constructor(body) {
    super(body.message || body.code);
    this.name = "CommandError";
    this.code = body.code;
    this.body = body;
  }
}

/** An idempotency key. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * Events (see `on`): "state" (connecting, live, reconnecting, closed), "map" (what a frame did to a watched show),
 * "quiet" (a beat is overdue), "push", "welcome", "error" (of no command), "refused" (closed for good).
 */
export class Client {
  #listeners = new Map();
  #socket = null;
  #welcomed = false;
  #state = "closed";
  #backoff = new Backoff();
  #reconnectTimer = 0;
  #watchdog = 0;
  #heardAt = 0;
  #beatMs = 25000;
  #nextId = 1;
  #pending = new Map();
  #watched = new Map();
  #hidden = false;
  #quiet = false;
  #sent = null;
  #token;

  /** `token(refused)` answers a promise of a token; `refused` is one that the gateway did not accept. */
  constructor({ url, token, now = () => performance.now() }) {
    this.url = url;
    this.#token = token;
    this.now = now;
    this.customer = null;
  }

  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.#listeners.get(type).delete(listener);
  }

  #emit(type, event) {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  get state() {
    return this.#state;
  }

  #setState(state, retryInMs = 0) {
    this.#state = state;
    this.#emit("state", { state, retryInMs });
  }

  /** Whether a beat is overdue. */
  get quiet() {
    return this.#quiet;
  }

  /** Connects, and stays connected until `close`. */
  connect() {
    if (this.#socket || this.#reconnectTimer) return;
    this.#open();
  }

  /** Tries again now, for example because the network came back. */
  reconnectNow() {
    if (this.#state === "live" || (this.#socket && !this.#reconnectTimer)) return;
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    this.#backoff.reset();
    this.#open();
  }

  /** Drops a socket that may be dead without knowing it, unless it was heard within the last beat. */
  checkNow() {
    if (this.#socket && this.now() - this.#heardAt > this.#beatMs * 1.25) this.#lost(this.#socket, 1006, "");
  }

  close() {
    clearTimeout(this.#reconnectTimer);
    clearInterval(this.#watchdog);
    this.#reconnectTimer = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#setState("closed");
  }

  async #open(refusedToken = null) {
    this.#setState(this.#state === "closed" ? "connecting" : "reconnecting");
    let token;
    const marker = {};
    this.#socket = marker;
    try {
      token = await this.#token(refusedToken);
    } catch {
      if (this.#socket === marker) this.#lost(marker, 1006, "");
      return;
    }
    if (this.#socket !== marker) return;
    const socket = new WebSocket(this.url, [SUBPROTOCOL]);
    this.#socket = socket;
    this.#heardAt = this.now();
    socket.onopen = () => {
      // The token goes in the first message and not in a header: a refused one is then told by a close code.
      this.#sent = token;
      this.#sendRaw({ t: "auth", token });
      this.#watchdog = setInterval(() => this.#watch(socket), 1000);
    };
    socket.onmessage = (event) => this.#socket === socket && this.#received(event.data);
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason, token);
  }

  #watch(socket) {
    if (this.#socket !== socket) return;
    const silentMs = this.now() - this.#heardAt;
    if (silentMs > this.#beatMs * 2) this.#lost(socket, 4408, "");
    else if (silentMs > this.#beatMs * 1.5) this.#setQuiet(true);
  }

  /** Quiet: a beat is overdue. The map may be old and must not look live until something is heard. */
  #setQuiet(quiet) {
    if (this.#quiet === quiet) return;
    this.#quiet = quiet;
    this.#emit("quiet", quiet);
  }

  /** Takes a command out: it is answered, refused or too old. */
  #settle(id) {
    const command = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(command?.timer);
    return command;
  }

  #expire(id) {
    this.#settle(id)?.reject(new CommandError({ code: "DEADLINE_EXCEEDED", message: "no answer in time" }));
  }

  #lost(socket, code, reason, token = null) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#welcomed = false;
    clearInterval(this.#watchdog);
    if (socket.close) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const entry of this.#watched.values()) entry.answered = entry.stale = false;
    if (FINAL_CLOSE.has(code)) {
      this.#setState("closed");
      this.#emit("refused", { code, reason });
      return;
    }
    const wait = this.#backoff.next(code === RESTART_CLOSE ? Number.parseInt(reason, 10) || 0 : 0);
    this.#setState("reconnecting", wait);
    const refused = code === UNAUTHENTICATED_CLOSE ? token : null;
    this.#reconnectTimer = setTimeout(() => {
      this.#reconnectTimer = 0;
      this.#open(refused);
    }, wait);
  }

  #sendRaw(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #received(text) {
    this.#heardAt = this.now();
    this.#setQuiet(false);
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.t === "snapshot" || message.t === "delta" || message.t === "beat") this.#frame(message);
    else if (message.t === "welcome") this.#welcome(message);
    else if (message.t === "reply") this.#reply(message);
    else if (message.t === "error") this.#error(message);
    else if (message.t === "push") this.#emit("push", message.push);
    else if (message.t === "stale") this.#stale(message);
  }

  #welcome(message) {
    this.customer = message.customer;
    this.#beatMs = message.beat_ms;
    this.#welcomed = true;
    this.#backoff.reset();
    if (this.#hidden) this.#sendRaw({ t: "hide", hidden: true });
    for (const entry of this.#watched.values()) this.#sendWatch(entry);
    for (const [id, command] of this.#pending) this.#sendRaw({ ...command.message, id });
    this.#setState("live");
    this.#emit("welcome", message);
  }

  #frame(frame) {
    const entry = this.#watched.get(frame.show);
    if (!entry) return;
    const result = entry.map.apply(frame);
    // A gateway knows each viewer's position and never leaves a gap: one means that something was lost on the way, so
    // ask instead of waiting.
    if (result.kind === "gap" || result.kind === "needs_snapshot") this.#sendWatch(entry);
    entry.answered = true;
    this.#emit("map", { show: frame.show, ...result });
  }

  #stale({ show, stale }) {
    const entry = this.#watched.get(show);
    if (!entry) return;
    entry.stale = stale;
    this.#emit("map", { show, kind: stale ? "stale" : "right", sale: false });
  }

  /** Whether the show's map is known to be the present state. */
  isLive(show) {
    const entry = this.#watched.get(show);
    return this.#state === "live" && !this.#quiet && !!entry && entry.answered && !entry.stale && entry.map.followed;
  }

  /** Starts to watch a show; answers its map, which is filled by the frames. */
  watch(show) {
    let entry = this.#watched.get(show);
    if (!entry) {
      // `answered`: since the connection began a frame of the show came; until then the map may be an old one.
      entry = { map: new ShowMap(show), answered: false, stale: false };
      this.#watched.set(show, entry);
      if (this.#welcomed) this.#sendWatch(entry);
    }
    return entry.map;
  }

  #sendWatch({ map }) {
    this.#sendRaw({ t: "watch", show: map.show, ...(map.loaded ? { pos: map.position } : {}) });
  }

  unwatch(show) {
    if (this.#watched.delete(show)) this.#sendRaw({ t: "unwatch", show });
  }

  /** While hidden only beats come; the map catches up when shown again. */
  hide(hidden) {
    this.#hidden = hidden;
    this.#sendRaw({ t: "hide", hidden });
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

  #command(message) {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const command = { message, resolve, reject, deadline: this.now() + COMMAND_DEADLINE_MS };
      this.#pending.set(id, command);
      if (this.#welcomed) this.#sendRaw({ ...message, id });
      command.timer = setTimeout(() => this.#expire(id), COMMAND_DEADLINE_MS);
    });
  }

  #reply({ id, ok }) {
    this.#settle(id)?.resolve(ok);
  }

  #error({ id, error }) {
    const command = this.#pending.get(id);
    if (!command) {
      if (error.code === "UNAUTHENTICATED" && !this.#welcomed) this.#lost(this.#socket, UNAUTHENTICATED_CLOSE, "", this.#sent);
      else this.#emit("error", error);
      return;
    }
    const wait = error.retry_after_ms ?? 500;
    if (RETRYABLE.has(error.code) && this.now() + wait < command.deadline) {
      const jittered = wait * (1 + Math.random() / 2);
      setTimeout(() => {
        if (this.#pending.get(id) === command && this.#welcomed) this.#sendRaw({ ...command.message, id });
      }, jittered);
      return;
    }
    this.#settle(id).reject(new CommandError(error));
  }
}
