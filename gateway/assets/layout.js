// A seat plan prepared for drawing: arrays by seat index, and where everything stands.

const SEAT = 10; // The width of a seat in the plan's unit.

export class Plan {
  constructor(layout) {
    const count = layout.seats;
    this.version = layout.version;
    this.focus = layout.focus;
    this.currency = layout.currency;
    this.count = count;
    /** Tiers, dearest first; a tier's place in this list chooses its colour. */
    this.tiers = [...layout.tiers].sort((a, b) => b.price - a.price || a.id - b.id);
    const order = new Map(this.tiers.map((tier, index) => [tier.id, index]));
    this.x = new Float32Array(count);
    this.y = new Float32Array(count);
    this.tier = new Uint8Array(count);
    this.rowOf = new Int32Array(count).fill(-1);
    this.number = new Uint32Array(count);
    this.rows = [];
    this.sections = [];
    for (const section of layout.sections) {
      const box = emptyBox();
      const first = this.rows.length;
      for (const row of section.rows) {
        const index = this.rows.length;
        row.numbers.forEach((number, k) => {
          const seat = row.first + k;
          if (seat >= count) return;
          this.x[seat] = row.x[k];
          this.y[seat] = row.y;
          this.tier[seat] = order.get(row.tiers[k]) ?? 0;
          this.rowOf[seat] = index;
          this.number[seat] = number;
          grow(box, row.x[k], row.y);
        });
        this.rows.push({ name: row.name, prefix: row.prefix, y: row.y, first: row.first, count: row.numbers.length, section: this.sections.length });
      }
      this.sections.push({ name: section.name, rows: [first, this.rows.length], box });
    }
    this.box = this.sections.reduce((all, { box }) => join(all, box), emptyBox());
  }

  label(seat) {
    const row = this.rows[this.rowOf[seat]];
    return row ? `${row.prefix}${this.number[seat]}` : `#${seat}`;
  }

  labels(seats) {
    return seats.map((seat) => this.label(seat));
  }

  tierOf(seat) {
    return this.tiers[this.tier[seat]];
  }

  price(seat) {
    return this.tierOf(seat)?.price ?? 0;
  }

  total(seats) {
    return seats.reduce((sum, seat) => sum + this.price(seat), 0);
  }

  /** The seat next to one in a direction: within the row, or the nearest of the next row that way. */
  neighbour(seat, direction) {
    const row = this.rowOf[seat];
    if (direction === "left" || direction === "right") {
      return this.#nearest(seat, (other) => {
        const step = (this.x[other] - this.x[seat]) * (direction === "left" ? -1 : 1);
        return step > 0 && this.y[other] === this.y[seat] ? step : Infinity;
      });
    }
    const sign = direction === "up" ? -1 : 1;
    return this.#nearest(seat, (other) => {
      if (this.rowOf[other] === row) return Infinity;
      const dy = (this.y[other] - this.y[seat]) * sign;
      return dy > 0 ? dy * 4 + Math.abs(this.x[other] - this.x[seat]) : Infinity;
    });
  }

  #nearest(seat, distance) {
    let best = seat;
    let least = Infinity;
    for (let other = 0; other < this.count; other += 1) {
      const d = this.rowOf[other] < 0 ? Infinity : distance(other);
      if (d < least) [least, best] = [d, other];
    }
    return best;
  }
}

function emptyBox() {
  return { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
}

function grow(box, x, y) {
  box.left = Math.min(box.left, x);
  box.top = Math.min(box.top, y);
  box.right = Math.max(box.right, x + SEAT);
  box.bottom = Math.max(box.bottom, y + SEAT);
}

function join(a, b) {
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}
