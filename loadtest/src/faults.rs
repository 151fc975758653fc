//! Named faults of a running stack: each with what it does, what must hold under it, and the time in which everything is
//! right again. Tests fire them one by one, load tests by a plan.
//!
//! [`Fault::fire`] waits until commands are in flight, so that a fault always meets work, and answers a [`Shot`];
//! [`Shot::heal`] takes the fault away; [`Normal`] measures how long it takes until a newcomer can hold seats at each
//! gateway, every viewer sees it, and nothing that was committed is missing in Redis. [`Report`] is the table of a run.

mod commit_gap;
mod in_flight;
mod inject;
mod newcomer;
mod normal;
mod redis_admin;
mod report;
mod rows;
mod shot;

pub use in_flight::{InFlight, Kind};
pub use normal::{Normal, Right};
pub use report::{Outcome, Report};
pub use rows::{Row, Since};
pub use shot::Shot;

use crate::launcher::Clock;

/// What can be done to a stack. A load test picks from [`Fault::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The first core is killed while bookings are being made.
    KillCoreInClaim,
    /// The first core is killed while payments are being settled.
    KillCoreInSettle,
    /// The first core is stopped.
    StopCore,
    /// All cores are killed between a commit and its way into Redis.
    KillCoresBeforeApply,
    /// Redis is killed and comes back empty.
    EmptyRedis,
    /// Redis is killed and comes back with its append-only file.
    KillRedis,
    /// A replica that has not heard of the last writes takes the place of a killed Redis. First [`Fault::prepare`].
    FailOver,
    StopRedis,
    /// Redis has no memory for anything new.
    FillMemory,
    /// Redis can't write its append-only file.
    FillDisk,
    FlushScripts,
    /// The gateways' subscriptions are cut.
    DropFeed,
    /// Everything between gateways and Redis is late.
    SlowFeed,
    /// Redis is gone for the gateways, and they are not told.
    HalfOpenFeed,
    /// The gateways' subscriptions are confirmed and hear nothing.
    DeafFeed,
    /// A clock runs a quarter of an hour ahead.
    ClockAhead(Clock),
    /// A clock runs a quarter of an hour behind.
    ClockBehind(Clock),
}

impl Fault {
    pub const ALL: [Self; 21] = [
        Self::KillCoreInClaim,
        Self::KillCoreInSettle,
        Self::StopCore,
        Self::KillCoresBeforeApply,
        Self::EmptyRedis,
        Self::KillRedis,
        Self::FailOver,
        Self::StopRedis,
        Self::FillMemory,
        Self::FillDisk,
        Self::FlushScripts,
        Self::DropFeed,
        Self::SlowFeed,
        Self::HalfOpenFeed,
        Self::DeafFeed,
        Self::ClockAhead(Clock::Redis),
        Self::ClockBehind(Clock::Redis),
        Self::ClockAhead(Clock::Cores),
        Self::ClockBehind(Clock::Cores),
        Self::ClockAhead(Clock::Postgres),
        Self::ClockBehind(Clock::Postgres),
    ];

    /// What has to be in flight for this fault to mean something.
    pub const fn needs(self) -> Kind {
        match self {
            Self::KillCoreInClaim | Self::KillCoresBeforeApply => Kind::Book,
            Self::KillCoreInSettle => Kind::Pay,
            _ => Kind::Any,
        }
    }
}
