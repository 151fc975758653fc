// The seat map of one show: seat frames in, seat statuses out. No socket, no clock, no page.
//
// Delta rule: at position p a delta is applied only if its generation is the map's own and from <= p < to. p >= to:
// ignored. p < from, or a higher generation: a snapshot is needed; the gateway knows and sends it unasked. Lower
// generations are ignored. A snapshot replaces the map unless its generation is lower. A frame is applied whole or
// not at all.

const LETTERS = { a: 0, h: 1, b: 2, x: 3 };

/** What the codes in `statuses` mean. */
export const STATUS_NAMES = ["available", "held", "booked", "blocked"];

/** Orders two positions: negative, 0 or positive. Generations count first. */
export function comparePositions(a, b) {
  return a.g - b.g || a.s - b.s;
}

/** What `apply` answers: `kind` is applied, ignored, gap (batches are missing) or needs_snapshot. */
function outcome(kind, more = {}) {
  return { kind, whole: false, sale: false, newGeneration: false, ...more };
}

export class SeatMap {
  constructor(show) {
    this.show = show;
    /** Position of the map; g is 0 before the first snapshot. */
    this.position = { g: 0, s: 0 };
    this.sale = null;
    this.opensInMs = 0;
    this.layoutVersion = 0;
    this.viewers = 0;
    /** One code a seat: 0 available, 1 held, 2 booked, 3 blocked. */
    this.statuses = new Uint8Array(0);
    /** A frame told of batches that this map does not have. */
    this.behind = false;
  }

  /** Whether a snapshot was ever received. */
  get loaded() {
    return this.position.g > 0;
  }

  /** Whether there is a map and no frame told of batches that it lacks. */
  get followed() {
    return this.loaded && !this.behind;
  }

  /**
   * Applies a frame. Beside `kind` the answer tells whether the whole map was replaced, whether the sale state
   * changed, and whether holds may have been lost with an old generation.
   */
  apply(frame) {
    if (frame.show !== this.show) return outcome("ignored");
    let result = outcome("ignored");
    if (frame.t === "snapshot") result = this.#snapshot(frame);
    else if (frame.t === "delta") result = this.#delta(frame);
    else if (frame.t === "beat") result = this.#beat(frame);
    if (result.kind === "applied") this.behind = false;
    else if (result.kind !== "ignored") this.behind = true;
    return result;
  }

  #snapshot(frame) {
    if (frame.g < this.position.g) return outcome("ignored");
    const newGeneration = this.loaded && frame.g > this.position.g;
    const statuses = new Uint8Array(frame.seats.length);
    // A status that this version does not know must never look free.
    for (let seat = 0; seat < statuses.length; seat += 1) statuses[seat] = LETTERS[frame.seats[seat]] ?? 3;
    this.statuses = statuses;
    this.position = { g: frame.g, s: frame.s };
    this.layoutVersion = frame.layout;
    this.opensInMs = frame.opens_in_ms ?? 0;
    return outcome("applied", { whole: true, newGeneration, sale: this.#told(frame) });
  }

  #delta(frame) {
    const { g, s } = this.position;
    if (!this.loaded) return outcome("needs_snapshot");
    if (frame.g !== g) return outcome(frame.g < g ? "ignored" : "needs_snapshot");
    if (s >= frame.to) return outcome("ignored");
    if (s < frame.from) return outcome("gap");
    if (frame.seats.some(([seat]) => seat >= this.statuses.length)) return outcome("needs_snapshot");
    for (const [seat, letter] of frame.seats) this.statuses[seat] = LETTERS[letter] ?? 3;
    this.position = { g, s: frame.to };
    return outcome("applied", { sale: this.#told(frame) });
  }

  /** A beat tells the last position written to this viewer: above the map's own, something was lost on the way. */
  #beat(frame) {
    if (comparePositions({ g: frame.g, s: frame.s }, this.position) <= 0) {
      if (this.loaded) this.viewers = frame.viewers ?? 0;
      return outcome("ignored");
    }
    return outcome(this.loaded && frame.g === this.position.g ? "gap" : "needs_snapshot");
  }

  #told(frame) {
    const changed = this.sale !== frame.sale;
    this.sale = frame.sale;
    if (frame.sale !== "before") this.opensInMs = 0;
    this.viewers = frame.viewers ?? 0;
    return changed;
  }
}
