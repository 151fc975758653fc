// Finds seats by place: a grid of buckets over the plan, for hit testing and for drawing only what is in sight.

const CELL = 100;

export class SeatGrid {
  #buckets = new Map();

  constructor(plan) {
    this.plan = plan;
    for (let seat = 0; seat < plan.count; seat += 1) {
      if (plan.rowOf[seat] < 0) continue;
      const key = this.#key(Math.floor(plan.x[seat] / CELL), Math.floor(plan.y[seat] / CELL));
      if (!this.#buckets.has(key)) this.#buckets.set(key, []);
      this.#buckets.get(key).push(seat);
    }
  }

  #key(column, row) {
    return column * 100003 + row;
  }

  /** Calls `visit(seat)` for every seat that may touch the box. */
  within(left, top, right, bottom, visit) {
    const lastRow = Math.floor(bottom / CELL);
    const lastColumn = Math.floor(right / CELL);
    for (let row = Math.floor((top - 10) / CELL); row <= lastRow; row += 1) {
      for (let column = Math.floor((left - 10) / CELL); column <= lastColumn; column += 1) {
        for (const seat of this.#buckets.get(this.#key(column, row)) ?? []) visit(seat);
      }
    }
  }

  /** The seat at a point, with `slack` around it for fingers; null when there is none. */
  at(x, y, slack = 0) {
    let found = null;
    let least = Infinity;
    this.within(x - 10 - slack, y - 10 - slack, x + 10 + slack, y + 10 + slack, (seat) => {
      const dx = Math.abs(x - this.plan.x[seat] - 5);
      const dy = Math.abs(y - this.plan.y[seat] - 5);
      const distance = Math.max(dx, dy);
      if (distance <= 5 + slack && distance < least) [least, found] = [distance, seat];
    });
    return found;
  }
}
