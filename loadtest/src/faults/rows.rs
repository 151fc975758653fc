//! What each fault is called, how it is fired, what must hold, and within which time everything is right again. The
//! numbers are those of the table in docs/FAULTS.md.

use std::time::Duration;

use super::Fault;

/// From when the time to be right again is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The system has to get over it by itself.
    Fired,
    /// Nothing can be right before the fault is taken away.
    Healed,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub number: u8,
    pub name: &'static str,
    /// How it is fired.
    pub how: &'static str,
    /// What must hold, beside the audit and every viewer's history.
    pub hypothesis: &'static str,
    pub bound: Duration,
    pub since: Since,
}

impl Fault {
    pub fn row(self) -> Row {
        let (number, name, how, hypothesis) = self.texts();
        let (bound_ms, since) = self.bound();
        Row { number, name, how, hypothesis, bound: Duration::from_millis(bound_ms), since }
    }

    fn bound(self) -> (u64, Since) {
        match self {
            Self::KillGateway | Self::StopGateway | Self::StopPostgres => (2_000, Since::Healed),
            Self::KillPostgres | Self::DrainGateway | Self::DrainCore => (10_000, Since::Fired),
            Self::KillBackends => (5_000, Since::Fired),
            Self::CutCores => (2_000, Since::Fired),
            Self::KillProvider => (60_000, Since::Fired),
            Self::StopProvider => (60_000, Since::Healed),
            Self::FailProvider | Self::ThrottleProvider | Self::HangProvider => (60_000, Since::Healed),
            Self::KillCoresInRefund | Self::DelayCaptures => (60_000, Since::Healed),
            Self::KillCoreAfterWebhook => (5_000, Since::Fired),
            Self::RepeatWebhooks => (10_000, Since::Healed),
            // A claim's time, and then the pause until its order is asked for.
            Self::WithholdWebhooks => (20_000, Since::Healed),
            // The longest pause between tries that fail for seconds.
            Self::LoseRefundAnswers => (30_000, Since::Healed),
            Self::RepeatFeed | Self::RepeatCommands | Self::StallViewers => (2_000, Since::Fired),
            Self::ScatterViewers => (10_000, Since::Fired),
            // With the pauses between the five tries, which the fault makes short.
            Self::PoisonInbox | Self::PoisonOutbox => (10_000, Since::Fired),
            // Workers that failed for seconds pause before they try again.
            Self::FillLedgerDisk => (5_000, Since::Healed),
            // As after its kill.
            Self::FillWalDisk => (10_000, Since::Healed),
            Self::ExhaustDescriptors => (2_000, Since::Healed),
            Self::Clog => (15_000, Since::Healed),
            Self::KillCoreInClaim | Self::KillCoreInSettle => (2_000, Since::Fired),
            Self::StopCore => (1_000, Since::Healed),
            // Two to serve again, one for the relay.
            Self::KillCoresBeforeApply => (3_000, Since::Healed),
            Self::EmptyRedis | Self::KillRedis => (5_000, Since::Fired),
            Self::FailOver => (10_000, Since::Fired),
            Self::StopRedis => (2_000, Since::Healed),
            Self::FillMemory | Self::FillDisk => (2_000, Since::Healed),
            Self::FlushScripts => (1_000, Since::Fired),
            Self::DropFeed | Self::DeafFeed => (2_000, Since::Fired),
            Self::SlowFeed | Self::HalfOpenFeed => (2_000, Since::Healed),
            Self::ClockAhead(_) | Self::ClockBehind(_) => (5_000, Since::Fired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_in_the_documents_with_its_bound() {
        let document = include_str!("../../../docs/FAULTS.md");
        for fault in Fault::ALL {
            let row = fault.row();
            let line = format!("| {} | {} | {} | {} | {} |", row.number, row.name, row.how, row.hypothesis, bound(row));
            assert!(document.contains(&line), "docs/FAULTS.md lacks: {line}");
        }
    }

    fn bound(row: Row) -> String {
        let seconds = row.bound.as_secs();
        match row.since {
            Since::Fired => format!("{seconds} s"),
            Since::Healed => format!("{seconds} s after it is healed"),
        }
    }
}
