//! A sale as scenarios play it: a deck of purchases with every disorder of a payment provider, customers who play the
//! cards, the provider's bad moments, and what became of the payments in the ledger.

pub(super) mod arrivals;
pub(super) mod deck;
pub(super) mod figures;
mod purchase;
mod share;
pub(super) mod shopping;
pub(super) mod upsets;

use std::time::Duration;

use clap::Args;

pub use share::Share;

use crate::launcher::{Service, StackOptions};

/// Which disorders, and how much of each. Shares are percent of the payments.
#[derive(Debug, Clone, Args)]
pub struct Mix {
    /// Payments whose webhooks are sent two to four times.
    #[arg(long, env = "SEATWIRE_RUN_DUPLICATES", default_value = "13", value_name = "PERCENT")]
    pub duplicates: Share,
    /// Paid or captured after the booking's end: a third finds the seats with somebody else.
    #[arg(long, env = "SEATWIRE_RUN_LATE", default_value = "7.5", value_name = "PERCENT")]
    pub late: Share,
    /// Another amount than the booking's, then mostly the right one.
    #[arg(long, env = "SEATWIRE_RUN_WRONG_AMOUNT", default_value = "3", value_name = "PERCENT")]
    pub wrong_amount: Share,
    /// Two payments for one booking.
    #[arg(long, env = "SEATWIRE_RUN_DOUBLE", default_value = "3", value_name = "PERCENT")]
    pub double: Share,
    /// No webhook ever tells of them; a third of them late as well.
    #[arg(long, env = "SEATWIRE_RUN_UNANNOUNCED", default_value = "3", value_name = "PERCENT")]
    pub unannounced: Share,
    /// Declined first, then paid by another card or captured after all.
    #[arg(long, env = "SEATWIRE_RUN_DECLINED", default_value = "3", value_name = "PERCENT")]
    pub declined: Share,
    /// Cancelled by the customer before, or in the moment of, the payment.
    #[arg(long, env = "SEATWIRE_RUN_CANCELLED", default_value = "3", value_name = "PERCENT")]
    pub cancelled: Share,
    /// Beside the payments: holds released or left alone.
    #[arg(long, env = "SEATWIRE_RUN_ABANDONED", default_value = "5", value_name = "PERCENT")]
    pub abandoned: Share,
}

/// Holds and bookings last seconds instead of minutes, by the core's own settings, so that lateness is real and short.
pub(super) fn short_lives(options: StackOptions) -> StackOptions {
    let lives = [
        ("SEATWIRE_HOLD_MS", HOLD),
        ("SEATWIRE_HOLD_GRACE_MS", GRACE),
        ("SEATWIRE_CLAIM_MS", CLAIM),
        ("SEATWIRE_PAYING_MS", CLAIM),
        ("SEATWIRE_RECONCILE_MS", RECONCILE),
    ];
    lives.iter().fold(options, |options, (name, time)| options.env(Service::Core, *name, time.as_millis()))
}

const HOLD: Duration = Duration::from_millis(3_000);
const GRACE: Duration = Duration::from_millis(500);
/// How long a booking waits for its payment.
pub(super) const CLAIM: Duration = Duration::from_millis(5_000);
/// Longer than a booking lives, so that what is found so was late.
const RECONCILE: Duration = Duration::from_millis(9_000);
/// An order that is paid just after it was asked for is asked for again after twice the time.
pub(super) const AT_REST_WITHIN: Duration = Duration::from_secs(180);
