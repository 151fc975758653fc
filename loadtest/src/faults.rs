//! Named faults of a running stack: each with what it does, what must hold under it, and the time in which everything is
//! right again. Tests fire them one by one, load tests by a plan.
//!
//! [`Fault::fire`] waits until commands are in flight, so that a fault always meets work, and answers a [`Shot`];
//! [`Shot::heal`] takes the fault away; [`Normal`] measures how long it takes until a newcomer can hold seats at each
//! gateway, every viewer sees it, and nothing that was committed is missing in Redis. [`Report`] is the table of a run.

mod commit_gap;
mod descriptors;
mod disks;
mod in_flight;
mod inject;
mod ledger_admin;
mod names;
mod newcomer;
mod normal;
mod poison;
mod provider_gaps;
mod redis_admin;
mod report;
mod rows;
mod shot;
mod switches;
mod texts;
mod webhook_gap;

pub use in_flight::{InFlight, Kind};
pub use names::Part;
pub use normal::{Normal, Right};
pub use report::{Outcome, Report};
pub use rows::{Row, Since};
pub use shot::Shot;

use crate::launcher::Clock;

/// What can be done to a stack. A load test picks from [`Fault::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The first gateway is killed.
    KillGateway,
    /// The first gateway is stopped.
    StopGateway,
    /// The first core is killed while bookings are being made.
    KillCoreInClaim,
    /// The first core is killed while payments are being settled.
    KillCoreInSettle,
    /// The first core is stopped.
    StopCore,
    /// All cores are killed between a commit and its way into Redis.
    KillCoresBeforeApply,
    /// PostgreSQL is killed, all its processes.
    KillPostgres,
    /// Every connection of the cores to PostgreSQL is ended by the server.
    KillBackends,
    StopPostgres,
    /// Nothing more fits where PostgreSQL keeps its data.
    FillLedgerDisk,
    /// Nothing more fits where PostgreSQL keeps its write-ahead log.
    FillWalDisk,
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
    /// What is published comes twice and out of order.
    RepeatFeed,
    /// Everything between gateways and cores is reset; answers on their way are lost.
    CutCores,
    /// Every command reaches its core twice, the second time behind later ones.
    RepeatCommands,
    /// The core that takes webhooks is killed when the provider was told that it has one, and the ledger not yet.
    KillCoreAfterWebhook,
    /// All cores are killed when the provider has made a refund that they asked for and not answered.
    KillCoresInRefund,
    /// Webhooks of everything in flight come three times, the latest first.
    RepeatWebhooks,
    /// Webhooks come long after whatever they tell of is found by asking.
    WithholdWebhooks,
    /// Payments are captured when their booking's time is over.
    DelayCaptures,
    /// The provider's API answers 500.
    FailProvider,
    /// It answers 429.
    ThrottleProvider,
    /// It does not answer, and its connections stay open.
    HangProvider,
    /// It makes refunds and ends the connection instead of answering.
    LoseRefundAnswers,
    /// The payment provider is killed.
    KillProvider,
    /// The payment provider does not answer.
    StopProvider,
    /// Every viewer's connection breaks at once.
    ScatterViewers,
    /// Half of the viewers stop reading.
    StallViewers,
    /// An event in the inbox can't be processed.
    PoisonInbox,
    /// A change in the outbox can't be applied.
    PoisonOutbox,
    /// The first gateway has no file descriptor left for a new connection.
    ExhaustDescriptors,
    /// The last gateway is restarted as a deploy does it, with SIGTERM.
    DrainGateway,
    /// The last core is.
    DrainCore,
    /// Link after link between the parts stands still, and comes back in another order.
    Clog,
    /// A clock runs a quarter of an hour ahead.
    ClockAhead(Clock),
    /// A clock runs a quarter of an hour behind.
    ClockBehind(Clock),
}

impl Fault {
    pub const ALL: [Self; 50] = [
        Self::KillGateway,
        Self::StopGateway,
        Self::KillCoreInClaim,
        Self::KillCoreInSettle,
        Self::StopCore,
        Self::KillCoresBeforeApply,
        Self::KillPostgres,
        Self::KillBackends,
        Self::StopPostgres,
        Self::FillLedgerDisk,
        Self::FillWalDisk,
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
        Self::RepeatFeed,
        Self::CutCores,
        Self::RepeatCommands,
        Self::KillCoreAfterWebhook,
        Self::KillCoresInRefund,
        Self::RepeatWebhooks,
        Self::WithholdWebhooks,
        Self::DelayCaptures,
        Self::FailProvider,
        Self::ThrottleProvider,
        Self::HangProvider,
        Self::LoseRefundAnswers,
        Self::KillProvider,
        Self::StopProvider,
        Self::ScatterViewers,
        Self::StallViewers,
        Self::PoisonInbox,
        Self::PoisonOutbox,
        Self::ExhaustDescriptors,
        Self::DrainGateway,
        Self::DrainCore,
        Self::Clog,
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
            Self::KillCoreInSettle | Self::KillCoreAfterWebhook => Kind::Pay,
            _ => match self.part() {
                Part::Provider => Kind::Pay,
                _ => Kind::Any,
            },
        }
    }
}
