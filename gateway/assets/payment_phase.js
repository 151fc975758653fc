// What a customer is told who comes back from the checkout and waits; PROTOCOL.md, "Waiting for a payment", names the
// phases. Nothing here touches the page.

export const PHASES = [
  { name: "confirming", fromMs: 0, everyMs: 1000, title: "Processing your payment…", text: "This takes a few seconds." },
  {
    name: "still_working",
    fromMs: 10000,
    everyMs: 3000,
    title: "Waiting for your bank…",
    text: "The bank has not confirmed yet. Please leave this page open.",
  },
  {
    name: "money_is_safe",
    fromMs: 30000,
    everyMs: 10000,
    title: "Payment pending, your money is safe",
    text: "Your bank takes longer than usual. As soon as it confirms, the seats are yours, whether this page is open or not. If it can't be completed, nothing is charged, or the money comes back.",
  },
];

/** A pending booking that was opened from a list: nobody knows whether a payment is on its way. */
export const UNPAID = [
  { name: "unpaid", fromMs: 0, everyMs: 5000, title: "Waiting for your payment", text: "The seats are reserved for you until the time is up." },
];

/** The phase after so many milliseconds, and how many are left of it (`Infinity` in the last). */
export function phaseAfter(phases, ms) {
  const index = phases.findLastIndex(({ fromMs }) => ms >= fromMs);
  const next = phases[index + 1];
  return { phase: phases[index], isLast: !next, leftMs: next ? next.fromMs - ms : Infinity };
}
