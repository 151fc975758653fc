// Commands under way. One that has no answer when the socket breaks, or that is refused for a passing reason, is sent
// again with the same idempotency key until its deadline, so it takes effect once at most.

const DEADLINE_MS = 20000;
const RETRY_MS = 500;
const RETRYABLE = new Set(["NOT_READY", "IN_PROGRESS", "RATE_LIMITED", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]);

/** How long to wait before asking again; null when that would change nothing. Spread, so that a crowd comes one by one. */
export function retryWait(error) {
  return RETRYABLE.has(error.code) ? (error.retry_after_ms ?? RETRY_MS) * (1 + Math.random() / 2) : null;
}

/** A refusal or failure of a command: `body` is the server's error (code, message, seats, limit, …). */
export class CommandError extends Error {
  constructor(body) {
    super(body.message || body.code);
    this.name = "CommandError";
    this.code = body.code;
    this.body = body;
  }
}

export class Commands {
  #pending = new Map();
  #send;
  #now;
  #expired;

  /** `send(message)` writes if there is a connection; `expired(message)` hears of a command that had no answer in time. */
  constructor({ send, now, expired }) {
    this.#send = send;
    this.#now = now;
    this.#expired = expired;
  }

  /** Sends a command until it is answered; the promise is of the reply's body. */
  run(message) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expire(message), DEADLINE_MS);
      this.#pending.set(message.id, { message, resolve, reject, timer, deadline: this.#now() + DEADLINE_MS });
      this.#send(message);
    });
  }

  /** A new connection: what was not answered is sent again. */
  resend() {
    for (const { message } of this.#pending.values()) this.#send(message);
  }

  onReply({ id, ok }) {
    this.#settle(id)?.resolve(ok);
  }

  /** Answers "unknown" when no command has the id, "again" when it is going to be repeated, else "refused". */
  onError({ id, error }) {
    const command = this.#pending.get(id);
    if (!command) return "unknown";
    const wait = retryWait(error);
    if (wait !== null && this.#now() + wait < command.deadline) {
      const again = () => this.#pending.get(id) === command && this.#send(command.message);
      setTimeout(again, wait);
      return "again";
    }
    this.#settle(id).reject(new CommandError(error));
    return "refused";
  }

  /** No answer will come any more. */
  close() {
    for (const id of [...this.#pending.keys()]) {
      this.#settle(id).reject(new CommandError({ code: "UNAVAILABLE", message: "the connection was closed" }));
    }
  }

  #expire(message) {
    const body = { code: "DEADLINE_EXCEEDED", message: "no answer in time" };
    this.#settle(message.id)?.reject(new CommandError(body));
    this.#expired({ t: "error", id: message.id, error: body });
  }

  /** Takes a command out: it is answered, refused or too old. */
  #settle(id) {
    const command = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(command?.timer);
    return command;
  }
}
