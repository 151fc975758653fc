// One WebSocket after another: connects, gives the token, notices silence, waits with jitter, connects again. All
// durations come from the server as remaining milliseconds and are counted with the monotonic clock; the wall clock of
// this machine is never used.

import { Backoff } from "./backoff.js";

const SUBPROTOCOL = "seatwire.v1.json";
/** A subprotocol that begins so carries the token. */
const TOKEN_PREFIX = "seatwire.token.";
/** Close codes after which the same client may not return by itself: it would be refused again. */
const FINAL_CLOSE = new Set([1002, 1003, 1007, 1008, 1009]);
const UNAUTHENTICATED_CLOSE = 4401;
const RESTART_CLOSE = 1012;
/** Until the welcome tells the gateway's own. */
const BEAT_MS = 25000;
const OPEN = 1;

export class Connection {
  #options;
  #socket = null;
  #backoff = new Backoff();
  #reconnectTimer = 0;
  #watchdog = 0;
  #heardAt = 0;
  #beatMs = BEAT_MS;
  #token = null;

  /**
   * `url`, `token(refused)`, `tokenInRequest`, `now()`, `WebSocket`, and what to call: `onWelcome(message)`, `onMessage(message)`,
   * `onState(state, retryInMs)`, `onQuiet(quiet)`, `onSecond()`, `onLost()`, `onRefused(code, reason)`.
   */
  constructor(options) {
    this.#options = options;
    /** connecting, live, reconnecting or closed. */
    this.state = "closed";
    this.welcomed = false;
    /** A beat is overdue: the map may be old and must not look live until something is heard. */
    this.quiet = false;
  }

  /** Connects, and stays connected until `close`. */
  connect() {
    if (!this.#socket && !this.#reconnectTimer) this.#open();
  }

  /** Tries again now, for example because the network came back. */
  reconnectNow() {
    if (this.#socket) return;
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    this.#backoff.reset();
    this.#open();
  }

  /** Drops a socket that may be dead without knowing it, unless it was heard within the last beat. */
  checkNow() {
    if (this.#socket && this.#options.now() - this.#heardAt > this.#beatMs * 1.25) this.#lost(this.#socket, 1006, "");
  }

  close() {
    clearTimeout(this.#reconnectTimer);
    clearInterval(this.#watchdog);
    this.#reconnectTimer = 0;
    const socket = this.#socket;
    this.#socket = null;
    this.welcomed = false;
    if (socket?.close) {
      socket.onmessage = socket.onclose = null;
      socket.close(1000);
    }
    this.#options.onLost();
    this.#setState("closed");
  }

  /** Writes a message if the gateway has accepted this client; answers whether it did. */
  send(message) {
    if (!this.welcomed || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #setState(state, retryInMs = 0) {
    this.state = state;
    this.#options.onState(state, retryInMs);
  }

  #setQuiet(quiet) {
    if (this.quiet === quiet) return;
    this.quiet = quiet;
    this.#options.onQuiet(quiet);
  }

  async #open(refusedToken = null) {
    this.#setState(this.state === "closed" ? "connecting" : "reconnecting");
    // Stands for the socket while the token is fetched, so that a second call does not open another one.
    const marker = {};
    this.#socket = marker;
    let token;
    try {
      token = await this.#options.token(refusedToken);
    } catch {
      this.#lost(marker, 1006, "");
      return;
    }
    if (this.#socket !== marker) return;
    const { url, tokenInRequest, WebSocket } = this.#options;
    const socket = new WebSocket(url, tokenInRequest ? [SUBPROTOCOL, TOKEN_PREFIX + token] : [SUBPROTOCOL]);
    this.#socket = socket;
    this.#token = token;
    this.#heardAt = this.#options.now();
    socket.onopen = () => {
      // In a browser the token goes in the first message: a refused one is then told by a close code. Without an origin,
      // outside of browsers, the gateway wants it in the request.
      if (!tokenInRequest) socket.send(JSON.stringify({ t: "auth", token }));
      this.#watchdog = setInterval(() => this.#everySecond(socket), 1000);
    };
    socket.onmessage = (event) => this.#socket === socket && this.#received(event.data);
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
    // Every error is followed by a close. Browsers don't say what it was; the package `ws` names the refusal's status.
    socket.onerror = (event) => {
      if (tokenInRequest && /\b401\b/.test(event.message)) this.#lost(socket, UNAUTHENTICATED_CLOSE, "");
    };
  }

  #everySecond(socket) {
    if (this.#socket !== socket) return;
    const silentMs = this.#options.now() - this.#heardAt;
    if (silentMs > this.#beatMs * 2) return this.#lost(socket, 4408, "");
    if (silentMs > this.#beatMs * 1.5) this.#setQuiet(true);
    this.#options.onSecond();
  }

  #received(text) {
    this.#heardAt = this.#options.now();
    this.#setQuiet(false);
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.t === "welcome") this.#welcome(message);
    else if (message.t === "error" && message.error.code === "UNAUTHENTICATED" && !this.welcomed) {
      this.#lost(this.#socket, UNAUTHENTICATED_CLOSE, "");
    } else this.#options.onMessage(message);
  }

  #welcome(message) {
    this.#beatMs = message.beat_ms;
    this.welcomed = true;
    this.#backoff.reset();
    this.#options.onWelcome(message);
    this.#setState("live");
  }

  #lost(socket, code, reason) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.welcomed = false;
    clearInterval(this.#watchdog);
    if (socket.close) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#options.onLost();
    if (FINAL_CLOSE.has(code)) {
      this.#setState("closed");
      this.#options.onRefused(code, reason);
      return;
    }
    const wait = this.#backoff.next(code === RESTART_CLOSE ? Number.parseInt(reason, 10) || 0 : 0);
    this.#setState("reconnecting", wait);
    const refused = code === UNAUTHENTICATED_CLOSE ? this.#token : null;
    this.#reconnectTimer = setTimeout(() => {
      this.#reconnectTimer = 0;
      this.#open(refused);
    }, wait);
  }
}
