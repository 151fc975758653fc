//! What must be so, said as plainly as can be: one step after the other, nothing at the same time, nothing lost.

use super::ops::{CUSTOMERS, SEATS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    Free,
    /// By a customer.
    Held(usize),
    /// Of a booking.
    Claimed(usize),
    Booked(usize),
    Blocked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Confirmed,
    Expired,
    Cancelled,
}

#[derive(Debug, Clone)]
pub(super) struct Booking {
    pub(super) who: usize,
    pub(super) seats: Vec<u32>,
    pub(super) state: State,
    pub(super) ever_confirmed: bool,
    by_operator: bool,
    /// A captured payment that nobody told of yet.
    pub(super) untold: bool,
    /// Why each payment that is not kept goes back.
    pub(super) refunds: Vec<&'static str>,
    pub(super) captured: usize,
}

pub(super) struct Model {
    pub(super) seats: Vec<Seat>,
    pub(super) bookings: Vec<Booking>,
    pub(super) cancelled: bool,
    /// What came up.
    pub(super) facts: Vec<&'static str>,
}

impl Model {
    pub(super) fn new() -> Self {
        let seats = (0..SEATS).map(|_| Seat::Free).collect();
        Self { seats, bookings: Vec::new(), cancelled: false, facts: Vec::new() }
    }

    fn set(&mut self, seats: &[u32], to: Seat) {
        for seat in seats {
            self.seats[*seat as usize] = to;
        }
    }

    /// The seats that a customer holds.
    pub(super) fn held(&self, who: usize) -> Vec<u32> {
        (0..SEATS).filter(|seat| self.seats[*seat as usize] == Seat::Held(who)).collect()
    }

    /// A customer's booking, counted from the latest.
    pub(super) fn booking_of(&self, who: usize, back: usize) -> Option<usize> {
        (0..self.bookings.len()).filter(|booking| self.bookings[*booking].who == who).rev().nth(back)
    }

    /// All or nothing.
    pub(super) fn hold(&mut self, who: usize, seats: &[u32]) -> Result<(), &'static str> {
        assert!(who < CUSTOMERS);
        if self.cancelled {
            return Err("SaleClosed");
        }
        if seats.iter().any(|seat| self.seats[*seat as usize] != Seat::Free) {
            return Err("Taken");
        }
        self.set(seats, Seat::Held(who));
        Ok(())
    }

    pub(super) fn release(&mut self, who: usize) {
        self.set(&self.held(who), Seat::Free);
    }

    /// One pending booking a customer; the hold stays when there is one.
    pub(super) fn book(&mut self, who: usize) -> Result<(), &'static str> {
        if self.bookings.iter().any(|booking| booking.who == who && booking.state == State::Pending) {
            return Err("Limit");
        }
        let seats = self.held(who);
        self.set(&seats, Seat::Claimed(self.bookings.len()));
        self.bookings.push(Booking {
            who,
            seats,
            state: State::Pending,
            ever_confirmed: false,
            by_operator: false,
            untold: false,
            refunds: Vec::new(),
            captured: 0,
        });
        Ok(())
    }

    /// A captured payment that we know of: kept, or given back.
    pub(super) fn settle(&mut self, booking: usize, right_amount: bool) {
        let Booking { who, seats, state, ever_confirmed, by_operator, .. } = self.bookings[booking].clone();
        let free = |seat: &u32| {
            matches!(self.seats[*seat as usize], Seat::Free) || self.seats[*seat as usize] == Seat::Held(who)
        };
        let has_its_seats = match state {
            State::Pending => true,
            State::Expired | State::Cancelled => !self.cancelled && seats.iter().all(free),
            State::Confirmed => false,
        };
        let refund = match state {
            _ if !right_amount => Some("wrong_amount"),
            State::Confirmed => Some("second_payment"),
            State::Expired | State::Cancelled if ever_confirmed || by_operator => Some("booking_cancelled"),
            _ if !has_its_seats => Some("late"),
            _ => None,
        };
        if let Some(reason) = refund {
            self.bookings[booking].refunds.push(reason);
            self.facts.push(match reason {
                "wrong_amount" => "refund wrong_amount",
                "second_payment" => "refund second_payment",
                "booking_cancelled" => "refund booking_cancelled",
                _ => "refund late",
            });
            return;
        }
        if seats.iter().any(|seat| self.seats[*seat as usize] == Seat::Held(who)) {
            // His own hold makes room.
            self.release(who);
        }
        self.facts.push(if state == State::Pending { "confirmed" } else { "rescued" });
        self.set(&seats, Seat::Booked(booking));
        let booking = &mut self.bookings[booking];
        (booking.state, booking.ever_confirmed) = (State::Confirmed, true);
    }

    /// Ends a booking that is not over; a confirmed one gives its money back.
    pub(super) fn cancel(&mut self, booking: usize, by_operator: bool) {
        let ended = &mut self.bookings[booking];
        if !matches!(ended.state, State::Pending | State::Confirmed) {
            return;
        }
        if ended.state == State::Confirmed {
            ended.refunds.push("cancel");
            self.facts.push("refund cancel");
        }
        (ended.state, ended.by_operator) = (State::Cancelled, by_operator);
        let seats = ended.seats.clone();
        self.set(&seats, Seat::Free);
    }

    /// The time of a pending booking is over. Who has paid is asked for first.
    pub(super) fn expire(&mut self, booking: usize) {
        if std::mem::take(&mut self.bookings[booking].untold) {
            self.settle(booking, true);
        } else {
            self.facts.push("expired");
            self.bookings[booking].state = State::Expired;
            let seats = self.bookings[booking].seats.clone();
            self.set(&seats, Seat::Free);
        }
    }

    /// Nothing of the show is sold any more; what was free or held is blocked.
    pub(super) fn cancel_show(&mut self) {
        if self.cancelled {
            return;
        }
        self.facts.push("show cancelled");
        self.cancelled = true;
        for seat in &mut self.seats {
            if matches!(seat, Seat::Free | Seat::Held(_)) {
                *seat = Seat::Blocked;
            }
        }
        for booking in 0..self.bookings.len() {
            self.cancel(booking, true);
        }
    }
}
