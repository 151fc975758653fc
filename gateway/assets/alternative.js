// The nearest free seats in place of some that are gone. Nothing here touches the page.

/** Seats stand side by side up to this distance, in the plan's unit; an aisle is wider. */
const BESIDE = 12;
/** How much farther away a seat of the same price may be and still be the better offer. */
const OTHER_PRICE = 150;

/**
 * As many free seats side by side as `wanted` has, nearest to where those are, rather at the same price; null when no
 * row has so many.
 * @param {import("./layout.js").Plan} plan
 * @param {(seat: number) => boolean} isFree
 * @param {number[]} wanted
 * @returns {number[] | null}
 */
export function nearestFree(plan, isFree, wanted) {
  if (wanted.length === 0) return null;
  const x = mean(wanted, plan.x);
  const y = mean(wanted, plan.y);
  const tier = plan.tier[wanted[0]];
  let best = null;
  let least = Infinity;
  for (const row of plan.rows) {
    let first = row.first;
    for (let seat = row.first; seat < row.first + row.count; seat += 1) {
      if (!isFree(seat)) {
        first = seat + 1;
        continue;
      }
      if (seat > first && Math.abs(plan.x[seat] - plan.x[seat - 1]) > BESIDE) first = seat;
      const from = seat - wanted.length + 1;
      if (from < first) continue;
      const dx = (plan.x[from] + plan.x[seat]) / 2 - x;
      const distance = Math.hypot(dx, plan.y[seat] - y) + (plan.tier[seat] === tier && plan.tier[from] === tier ? 0 : OTHER_PRICE);
      if (distance < least) [least, best] = [distance, from];
    }
  }
  return best === null ? null : wanted.map((_, at) => best + at);
}

function mean(seats, of) {
  return seats.reduce((sum, seat) => sum + of[seat], 0) / seats.length;
}
