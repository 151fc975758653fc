//! The words of the table in docs/FAULTS.md: number, name, how it is fired, and what must hold.

use super::Fault;
use crate::launcher::Clock;

impl Fault {
    pub(super) fn texts(self) -> (u8, &'static str, &'static str, &'static str) {
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
            Self::FillLedgerDisk => (
                11,
                "PostgreSQL's data disk full",
                "its data are on a small tmpfs that shrinks to what is on it; room made",
                "bookings are refused as retryable, webhooks come again; nothing is half written; maps are served",
            ),
            Self::FillWalDisk => (
                12,
                "PostgreSQL's log disk full",
                "its write-ahead log is on a small tmpfs that shrinks to what is on it; room made, restart",
                "the server ends itself; nothing told is lost; maps are served",
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
                "append-only file on a small tmpfs that shrinks to what is on it; room made",
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
            Self::KillCoreAfterWebhook => (
                6,
                "core killed after its answer to a webhook",
                "settlements wait for a table lock; SIGKILL once the provider has its 2xx for an event that waits",
                "what was answered with success is in the inbox, and another core settles it",
            ),
            Self::KillCoresInRefund => (
                7,
                "cores killed between a refund and its record",
                "the provider makes a refund, holds its answer and sends no webhook; SIGKILL of all cores meanwhile",
                "the same key and body are sent again and get the same refund",
            ),
            Self::RepeatFeed => (
                21,
                "feed repeated and out of order",
                "the proxy sends what is published again behind later messages, and swaps neighbours",
                "positions and versions decide: nobody's map goes back, a gap ends in a snapshot",
            ),
            Self::RepeatCommands => (
                21,
                "commands repeated",
                "the proxy sends each command once more, behind later ones",
                "a key has one effect; an answer that nobody waits for is dropped",
            ),
            Self::RepeatWebhooks => (
                23,
                "webhooks three times, in reverse",
                "webhooks are held back, then each is sent three times, the latest first",
                "each payment has one outcome, each customer is told of it once",
            ),
            Self::WithholdWebhooks => (
                24,
                "webhooks withheld",
                "webhooks are held back, then come half a minute late",
                "the core asks the provider: every claim that waited ends as confirmed or expired",
            ),
            Self::DelayCaptures => (
                25,
                "captures after the claim's end",
                "payments are captured six seconds after they are made, later than their booking waits",
                "confirmed when the seats are still free, else given back",
            ),
            Self::FailProvider => (
                26,
                "provider answers 500",
                "a switch of the simulated provider, three seconds",
                "calls are repeated with their key; purchases come through again",
            ),
            Self::ThrottleProvider => (
                26,
                "provider answers 429",
                "a switch of the simulated provider, three seconds",
                "calls wait as they are told to; purchases come through again",
            ),
            Self::HangProvider => (
                26,
                "provider hangs",
                "it takes calls and does not answer, longer than a call may take",
                "calls end in time, nothing piles up; purchases come through again",
            ),
            Self::LoseRefundAnswers => (
                27,
                "answers to refunds lost",
                "the provider makes each refund and ends the connection without an answer",
                "the next try with the same key finds the same refund: the money is given back once",
            ),
            Self::ScatterViewers => (
                28,
                "all viewers dropped at once",
                "every viewer's connection is closed; all come back within two seconds",
                "they resume, and newcomers are served all the while",
            ),
            Self::StallViewers => (
                29,
                "half of the viewers do not read",
                "they leave their sockets alone for three seconds",
                "nobody else waits for them; each is right again by one frame",
            ),
            Self::PoisonInbox => (
                30,
                "events that can't be processed",
                "one in the inbox that is no event, one whose body can't be read",
                "parked, the former after five tries; the rest flows; an operator requeues or dismisses them",
            ),
            Self::PoisonOutbox => (
                30,
                "a change that can't be applied",
                "a row of the outbox that is no change",
                "parked after five tries; the rest flows; an operator requeues it once it is mended",
            ),
            Self::ExhaustDescriptors => (
                31,
                "gateway out of descriptors",
                "the running gateway's limit is set below what it has open, and back",
                "who is connected notices nothing; accepting waits instead of spinning",
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
