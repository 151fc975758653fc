//! Every change of state that there is. One table: `docs/STATES.md` publishes it, the database's `state_edges` has it for the
//! triggers, and a test compares them.

/// One allowed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// booking, seat, payment or refund.
    pub subject: &'static str,
    /// State before.
    pub from: &'static str,
    /// State after.
    pub to: &'static str,
    /// What happened.
    pub meaning: &'static str,
}

const fn edge(subject: &'static str, from: &'static str, to: &'static str, meaning: &'static str) -> Edge {
    Edge { subject, from, to, meaning }
}

/// The table.
pub const EDGES: &[Edge] = &[
    edge("booking", "PENDING", "CONFIRMED", "paid in time"),
    edge("booking", "PENDING", "EXPIRED", "not paid in time"),
    edge("booking", "PENDING", "CANCELLED", "cancelled before payment"),
    edge("booking", "EXPIRED", "CONFIRMED", "rescue: paid late, the seats were free"),
    edge(
        "booking",
        "CANCELLED",
        "CONFIRMED",
        "rescue: paid after its customer cancelled, the seats were free; never after a confirmation",
    ),
    edge("booking", "CONFIRMED", "CANCELLED", "cancelled by policy or with its show, with a full refund"),
    edge("seat", "available", "claimed", "claim"),
    edge("seat", "available", "booked", "rescue"),
    edge("seat", "available", "blocked", "block"),
    edge("seat", "claimed", "booked", "settle"),
    edge("seat", "claimed", "available", "expiry, or cancellation before payment"),
    edge("seat", "booked", "available", "cancellation with refund"),
    edge("seat", "blocked", "available", "unblock"),
    edge("payment", "failed", "captured", "late authorisation"),
    edge("refund", "DUE", "REQUESTED", "asked for at the provider"),
    edge("refund", "DUE", "PROCESSED", "done; the answer told so at once, or another's refund was found"),
    edge("refund", "DUE", "FAILED", "refused by the provider"),
    edge("refund", "REQUESTED", "PROCESSED", "done"),
    edge("refund", "REQUESTED", "FAILED", "refused by the provider"),
];

/// Whether a subject may go from one state to another.
pub(crate) fn is_edge(subject: &str, from: &str, to: &str) -> bool {
    EDGES.iter().any(|edge| (edge.subject, edge.from, edge.to) == (subject, from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table_is_this_one() {
        let published: Vec<_> = include_str!("../../../docs/STATES.md").lines().filter(|l| l.contains("| `")).collect();
        let row = |e: &Edge| format!("| {} | `{}` | `{}` | {} |", e.subject, e.from, e.to, e.meaning);
        assert_eq!(published, EDGES.iter().map(row).collect::<Vec<_>>());
    }
}
