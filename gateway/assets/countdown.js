// Time left, from the server's remaining milliseconds and the monotonic clock.

export class Countdown {
  #timer = 0;
  #endsAt = 0;

  /** `show(ms)` is called at once, at every full second, and with 0 at the end. */
  constructor(show) {
    this.show = show;
  }

  /** Starts, or starts again. */
  set(remainingMs) {
    this.#endsAt = performance.now() + remainingMs;
    this.#tick();
  }

  get remainingMs() {
    return Math.max(0, this.#endsAt - performance.now());
  }

  #tick() {
    clearTimeout(this.#timer);
    const left = this.remainingMs;
    this.show(left);
    // The next change of the seconds shown; at most a second, because timers of hidden pages come late.
    if (left > 0) this.#timer = setTimeout(() => this.#tick(), (left % 1000) + 1);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#endsAt = 0;
  }
}
