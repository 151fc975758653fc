//! Names of faults for plans, and what each of them touches: faults that touch the same part can't overlap.

use std::str::FromStr;
use std::time::Duration;

use super::Fault;
use crate::launcher::Clock;

/// What a fault breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Gateway,
    Core,
    CoreLink,
    Redis,
    Feed,
    Postgres,
    Provider,
    Clock,
    Viewers,
    /// More than one: such a fault is fired alone.
    Many,
}

impl Fault {
    /// As in `kill-core-in-claim`, `clock-ahead-redis`.
    pub fn key(self) -> String {
        let mut key = String::new();
        for letter in format!("{self:?}").chars().filter(|letter| letter.is_ascii_alphabetic()) {
            if letter.is_ascii_uppercase() && !key.is_empty() {
                key.push('-');
            }
            key.push(letter.to_ascii_lowercase());
        }
        key
    }

    pub const fn part(self) -> Part {
        match self {
            Self::KillGateway | Self::StopGateway | Self::DrainGateway => Part::Gateway,
            Self::KillCoreInClaim | Self::KillCoreInSettle | Self::StopCore | Self::DrainCore => Part::Core,
            Self::ExhaustDescriptors => Part::Gateway,
            Self::CutCores | Self::RepeatCommands => Part::CoreLink,
            Self::EmptyRedis | Self::KillRedis | Self::StopRedis | Self::FillMemory | Self::FillDisk => Part::Redis,
            // It is a command to Redis.
            Self::FlushScripts | Self::DropFeed => Part::Redis,
            Self::SlowFeed | Self::HalfOpenFeed | Self::DeafFeed | Self::RepeatFeed => Part::Feed,
            Self::KillPostgres | Self::KillBackends | Self::StopPostgres => Part::Postgres,
            Self::FillLedgerDisk | Self::FillWalDisk => Part::Postgres,
            Self::KillProvider | Self::StopProvider => Part::Provider,
            Self::RepeatWebhooks | Self::WithholdWebhooks | Self::DelayCaptures => Part::Provider,
            Self::FailProvider | Self::ThrottleProvider | Self::HangProvider => Part::Provider,
            Self::LoseRefundAnswers => Part::Provider,
            Self::ScatterViewers | Self::StallViewers => Part::Viewers,
            Self::ClockAhead(_) | Self::ClockBehind(_) => Part::Clock,
            Self::KillCoresBeforeApply | Self::FailOver | Self::Clog => Part::Many,
            // They hold the ledger, or need a core that works.
            Self::KillCoreAfterWebhook | Self::KillCoresInRefund => Part::Many,
            Self::PoisonInbox | Self::PoisonOutbox => Part::Many,
        }
    }

    /// Whether both can be in effect at the same time.
    pub fn overlaps(self, other: Self) -> bool {
        self.part() != other.part() && self.part() != Part::Many && other.part() != Part::Many
    }

    /// How long a run lets it be in effect before it is taken away.
    pub const fn lasts(self) -> Duration {
        Duration::from_millis(match self {
            // Past the end of a hold.
            Self::StopCore => 4_500,
            // Longer than a call to it may take.
            Self::HangProvider => 6_000,
            Self::FailProvider | Self::ThrottleProvider | Self::StallViewers | Self::FillLedgerDisk => 3_000,
            Self::StopGateway | Self::StopPostgres | Self::StopProvider | Self::HalfOpenFeed => 3_000,
            Self::StopRedis | Self::FillWalDisk => 2_000,
            Self::LoseRefundAnswers | Self::WithholdWebhooks | Self::DelayCaptures => 2_000,
            Self::ExhaustDescriptors => 2_000,
            Self::FillMemory | Self::FillDisk | Self::SlowFeed => 1_500,
            Self::RepeatFeed | Self::RepeatCommands | Self::RepeatWebhooks => 1_500,
            Self::ClockAhead(_) | Self::ClockBehind(_) => 1_000,
            Self::KillGateway => 300,
            _ => 0,
        })
    }

    /// Whether taking it away needs the other servers: those that do come last.
    pub const fn heals_by_restart(self) -> bool {
        matches!(self, Self::KillGateway | Self::KillCoreInClaim | Self::KillCoreInSettle | Self::KillCoresBeforeApply)
            || matches!(self, Self::KillCoreAfterWebhook | Self::KillCoresInRefund)
    }

    /// Whether it needs servers on disks of their own.
    pub const fn needs_disks(self) -> bool {
        matches!(self, Self::FillDisk | Self::FillLedgerDisk | Self::FillWalDisk)
    }

    /// Whether a run may fire it at random: unpaid bookings made while PostgreSQL's clock is ahead wait for a quarter of
    /// an hour.
    pub fn is_for_random(self) -> bool {
        !matches!(self, Self::ClockAhead(Clock::Postgres))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|fault| fault.key() == text).ok_or_else(|| {
            let known: Vec<String> = Self::ALL.into_iter().map(Self::key).collect();
            format!("{text} is no fault; known are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_that_is_in_the_documents() {
        let document = include_str!("../../../docs/LOADTEST.md");
        for fault in Fault::ALL {
            assert_eq!(fault.key().parse(), Ok(fault));
            assert!(document.contains(&format!("`{}`", fault.key())), "docs/LOADTEST.md lacks {}", fault.key());
        }
        assert_eq!(Fault::ClockAhead(Clock::Redis).key(), "clock-ahead-redis");
        assert!("kill-cor".parse::<Fault>().unwrap_err().contains("kill-core-in-claim"));
    }

    #[test]
    fn faults_of_one_part_do_not_overlap() {
        assert!(Fault::KillGateway.overlaps(Fault::StopPostgres));
        assert!(!Fault::KillRedis.overlaps(Fault::FlushScripts));
        assert!(!Fault::FailOver.overlaps(Fault::KillGateway));
    }
}
