// How long to wait before the next attempt: exponential with full jitter, so that thousands of pages that lost the same
// gateway do not return in one moment.

export class Backoff {
  #attempt = 0;

  constructor({ firstMs = 300, maxMs = 15000, random = Math.random } = {}) {
    this.firstMs = firstMs;
    this.maxMs = maxMs;
    this.random = random;
  }

  /** Milliseconds until the next attempt, never less than `atLeastMs`. */
  next(atLeastMs = 0) {
    const ceiling = Math.min(this.maxMs, this.firstMs * 2 ** Math.min(this.#attempt, 20));
    this.#attempt += 1;
    return Math.round(atLeastMs + this.firstMs / 2 + this.random() * ceiling);
  }

  reset() {
    this.#attempt = 0;
  }
}
