//! What a captured payment leads to: pure, so that every case is a line of a table. The allowed changes of state are
//! in [`crate::db::edges`]; this decides which of them to take.

use seatwire_protocol::command::BookingState;

/// What is known of a booking and its payment, under lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The booking's state.
    pub state: BookingState,
    /// Whether it was ever confirmed.
    pub ever_confirmed: bool,
    /// Whether an operator cancelled it.
    pub ended_by_operator: bool,
    /// Whether amount and currency are those of the order.
    pub amount_matches: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// In time: the claimed seats become booked.
    Confirm,
    /// Late: the seats, if they are free and nobody's.
    Rescue,
    /// The money goes back; why.
    Refund(&'static str),
}

/// Decides. Anything that is not plainly right is refunded.
#[must_use]
pub const fn decide(facts: Facts) -> Decision {
    if !facts.amount_matches {
        return Decision::Refund("wrong_amount");
    }
    match facts.state {
        BookingState::Pending => Decision::Confirm,
        BookingState::Confirmed => Decision::Refund("second_payment"),
        BookingState::Expired | BookingState::Cancelled if facts.ever_confirmed => {
            Decision::Refund("booking_cancelled")
        }
        BookingState::Cancelled if facts.ended_by_operator => Decision::Refund("booking_cancelled"),
        BookingState::Expired | BookingState::Cancelled => Decision::Rescue,
        _ => Decision::Refund("unknown_state"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_its_decision() {
        use BookingState::{Cancelled, Confirmed, Expired, Pending, Unknown};
        let case = |state, ever_confirmed, ended_by_operator, amount_matches| {
            decide(Facts { state, ever_confirmed, ended_by_operator, amount_matches })
        };
        assert_eq!(case(Pending, false, false, true), Decision::Confirm);
        assert_eq!(case(Pending, false, false, false), Decision::Refund("wrong_amount"));
        assert_eq!(case(Confirmed, true, false, true), Decision::Refund("second_payment"));
        assert_eq!(case(Expired, false, false, true), Decision::Rescue);
        assert_eq!(case(Expired, false, false, false), Decision::Refund("wrong_amount"));
        assert_eq!(case(Cancelled, false, false, true), Decision::Rescue);
        assert_eq!(case(Cancelled, false, true, true), Decision::Refund("booking_cancelled"));
        assert_eq!(case(Cancelled, true, false, true), Decision::Refund("booking_cancelled"));
        assert_eq!(case(Unknown, false, false, true), Decision::Refund("unknown_state"));
    }

    #[test]
    fn a_confirmation_is_an_edge_and_what_is_none_is_refunded() {
        use BookingState::{Cancelled, Confirmed, Expired, Pending};
        for (state, name) in
            [(Pending, "PENDING"), (Confirmed, "CONFIRMED"), (Expired, "EXPIRED"), (Cancelled, "CANCELLED")]
        {
            let facts =
                Facts { state, ever_confirmed: state == Confirmed, ended_by_operator: false, amount_matches: true };
            let confirms = !matches!(decide(facts), Decision::Refund(_));
            assert_eq!(confirms, crate::db::edges::is_edge("booking", name, "CONFIRMED"), "{name}");
        }
    }
}
