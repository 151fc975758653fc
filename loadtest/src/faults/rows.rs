//! What each fault is called, how it is fired, what must hold, and within which time everything is right again. The
//! numbers are those of the table in docs/FAULTS.md.

use std::time::Duration;

use super::Fault;
use crate::launcher::Clock;

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

    fn texts(self) -> (u8, &'static str, &'static str, &'static str) {
        match self {
            Self::KillGateway => (
                1,
                "gateway killed",
                "SIGKILL, restart",
                "holds are kept, commands under way are finished; viewers come back and resume",
            ),
            Self::StopGateway => (
                2,
                "gateway stopped",
                "SIGSTOP, SIGCONT",
                "late answers are right answers: the same key gives the same; no old map is taken for the present one",
            ),
            Self::KillCoreInClaim => (
                3,
                "core killed in a claim",
                "SIGKILL while bookings are in flight",
                "holds are kept; a claim is whole or not there, its key decides; nothing told is lost",
            ),
            Self::KillCoreInSettle => (
                3,
                "core killed in a settlement",
                "SIGKILL while paid bookings wait for their confirmation",
                "a payment settles once, by another core; nothing told is lost",
            ),
            Self::StopCore => (
                4,
                "core stopped past a hold's end",
                "SIGSTOP until a hold is over, with a command for that hold in its socket; SIGCONT",
                "others end the hold and sell the seat; what the core does when it wakes is refused",
            ),
            Self::KillCoresBeforeApply => (
                5,
                "cores killed between commit and apply",
                "claims wait for a table lock; Redis is cut off, the lock let go, SIGKILL once they are committed",
                "the seats stay claimed; the relay brings every committed change into Redis",
            ),
            Self::KillPostgres => (
                8,
                "PostgreSQL killed",
                "SIGKILL of all its processes, restart",
                "nothing told is lost, what is in doubt is decided by its key; maps are served",
            ),
            Self::KillBackends => (
                9,
                "PostgreSQL's connections ended",
                "pg_terminate_backend for every connection of the cores",
                "transactions are repeated, nobody is told",
            ),
            Self::StopPostgres => (
                10,
                "PostgreSQL stopped",
                "SIGSTOP, SIGCONT",
                "holds go on; bookings are refused as retryable; nothing piles up",
            ),
            Self::EmptyRedis => (
                13,
                "Redis killed, restarts empty",
                "SIGKILL, append-only file removed, restart",
                "holds are gone and said to be; claims and money untouched; new generation",
            ),
            Self::KillRedis => (
                14,
                "Redis killed, append-only file",
                "SIGKILL, restart with appendfsync everysec",
                "holds are kept; new generation all the same",
            ),
            Self::FailOver => (
                15,
                "Redis failover losing writes",
                "replication cut, holds acknowledged, SIGKILL, the replica promoted",
                "two may hold one seat: the first claim wins, the other is refused before paying; new generation",
            ),
            Self::StopRedis => (
                16,
                "Redis stopped",
                "SIGSTOP, SIGCONT",
                "holds are refused as retryable; payments settle; viewers are told that the map is not current",
            ),
            Self::FillMemory => (
                17,
                "Redis out of memory",
                "maxmemory 1 under noeviction; limit taken away",
                "holds are refused as retryable; payments settle; the old map is served; the outbox drains",
            ),
            Self::FillDisk => (
                17,
                "Redis disk full",
                "append-only file on a small tmpfs that is filled; room made",
                "holds are refused as retryable; payments settle; the old map is served; the outbox drains",
            ),
            Self::FlushScripts => {
                (18, "script cache flushed", "SCRIPT FLUSH", "nobody notices: the same request loads them again")
            }
            Self::DropFeed => (
                19,
                "subscriptions dropped",
                "CLIENT KILL TYPE pubsub",
                "no viewer is silently stale: snapshot after the reconnect",
            ),
            Self::SlowFeed => (
                19,
                "feed slow",
                "every byte between gateways and Redis 300 ms late",
                "changes come late, in order, and nobody is cut off",
            ),
            Self::HalfOpenFeed => (
                19,
                "feed half open",
                "the proxy cuts Redis' side only",
                "found by the missing PONG; viewers are told, then get a snapshot once a new connection is possible",
            ),
            Self::DeafFeed => (
                19,
                "feed deaf",
                "the proxy drops what is published",
                "found by the core's position; viewers get the change by snapshot while the fault lasts",
            ),
            Self::CutCores => (
                20,
                "gateways cut off from cores",
                "every connection between them reset, answers under way lost",
                "the same key gives the same hold and the same booking",
            ),
            Self::KillProvider => (
                26,
                "provider killed",
                "SIGKILL, restart",
                "calls are repeated with their key; purchases come through again",
            ),
            Self::StopProvider => (
                26,
                "provider stopped",
                "SIGSTOP, SIGCONT",
                "calls end in time and are repeated with their key; purchases come through again",
            ),
            Self::DrainGateway => (
                32,
                "gateway restarted under load",
                "SIGTERM, started again when it has ended",
                "viewers are sent away over a while and resume; nothing told is lost",
            ),
            Self::DrainCore => (
                32,
                "core restarted under load",
                "SIGTERM, started again when it has ended",
                "commands under way are finished or refused as retryable; nothing told is lost",
            ),
            Self::Clog => (
                33,
                "links stand still one by one",
                "each fault proxy stops carrying, link after link, and carries again in another order",
                "nothing is lost and nothing happens twice, whichever link is back first",
            ),
            Self::ClockAhead(clock) => (22, clock_ahead(clock), "+15 min by a preloaded shim", CLOCK_AHEAD),
            Self::ClockBehind(clock) => (22, clock_behind(clock), "-15 min by a preloaded shim", CLOCK_BEHIND),
        }
    }
}

fn clock_ahead(clock: Clock) -> &'static str {
    match clock {
        Clock::Redis => "Redis' clock +15 min",
        Clock::Postgres => "PostgreSQL's clock +15 min",
        Clock::Cores => "cores' clock +15 min",
    }
}

fn clock_behind(clock: Clock) -> &'static str {
    match clock {
        Clock::Redis => "Redis' clock -15 min",
        Clock::Postgres => "PostgreSQL's clock -15 min",
        Clock::Cores => "cores' clock -15 min",
    }
}

const CLOCK_AHEAD: &str = "holds and claims may end early, never late; nothing is confirmed twice";
const CLOCK_BEHIND: &str = "holds end in time by the logical clock; nothing is confirmed twice";

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
