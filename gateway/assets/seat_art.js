// How a seat looks in each status: a mark beside the colour, so that nothing is told by colour alone.

/** What the page shows of a seat; the first four are the codes of the statuses that everybody sees. */
export const DISPLAY = ["available", "held", "booked", "blocked", "mine", "chosen"];
export const MINE = 4;
export const CHOSEN = 5;

export const STATUS_WORDS = {
  available: "available",
  held: "held by someone else",
  booked: "sold",
  blocked: "not for sale",
  mine: "yours",
  chosen: "chosen",
};

/** Marks as paths in a box of 10 × 10. */
export const MARKS = {
  available: "",
  held: "M2 6 6 2M2 8.6 8.6 2M4.2 9 9 4.2M6.6 9 9 6.6",
  booked: "M3.2 3.2 6.8 6.8M6.8 3.2 3.2 6.8",
  blocked: "M3.4 5 6.6 5",
  mine: "M2.8 5.2 4.4 6.8 7.4 3.4",
  chosen: "",
};

/** Number of tier colours in the style sheet. */
export const TIER_COLOURS = 6;

export function tierClass(index) {
  return `tier-${index % TIER_COLOURS}`;
}
