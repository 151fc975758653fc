// How a seat looks in each status: a mark beside the colour, so that nothing is told by colour alone.

/** What the page shows of a seat; the first four are the codes of the statuses that everybody sees. */
export const DISPLAY = ["available", "held", "booked", "blocked", "mine", "chosen", "asking"];
export const MINE = 4;
export const CHOSEN = 5;
export const ASKING = 6;

export const STATUS_WORDS = {
  available: "available",
  held: "held by someone else",
  booked: "sold",
  blocked: "not for sale",
  mine: "yours",
  chosen: "chosen",
  asking: "being held for you",
};

/** Marks as paths in a box of 10 × 10. */
export const MARKS = {
  available: "",
  held: "M2 6 6 2M2 8.6 8.6 2M4.2 9 9 4.2M6.6 9 9 6.6",
  booked: "M3.2 3.2 6.8 6.8M6.8 3.2 3.2 6.8",
  blocked: "M3.4 5 6.6 5",
  mine: "M2.8 5.2 4.4 6.8 7.4 3.4",
  chosen: "",
  asking: "M2.6 5.1 2.8 5.1M4.9 5.1 5.1 5.1M7.2 5.1 7.4 5.1",
};

/** Number of tier colours in the style sheet. */
export const TIER_COLOURS = 6;

export function tierClass(index) {
  return `tier-${index % TIER_COLOURS}`;
}
