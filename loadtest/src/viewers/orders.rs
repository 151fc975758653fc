//! What the leading process and those that play viewers say to each other, a JSON object a line.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use seatwire_protocol::{Position, ShowId};
use serde::{Deserialize, Serialize};

use super::steps::Step;

/// Which viewers, and what they are going to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub show: ShowId,
    pub gateways: Vec<SocketAddr>,
    /// Where the show's feed is listened to, for the times of changes.
    pub redis: String,
    /// Signs the tokens of the viewers.
    pub jwt: String,
    pub viewers: usize,
    /// The first of them comes then, milliseconds of the Unix epoch; the rest until `within_ms` later.
    pub come_at_ms: u64,
    pub within_ms: u64,
    pub habits: Habits,
    pub seed: u64,
    /// Of this process among all.
    pub number: usize,
}

/// What viewers do beside looking, in percent of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Habits {
    /// Drop their connection every few seconds and come back.
    pub drop: u8,
    /// Stop reading for some seconds.
    pub stall: u8,
    /// Hide the page for some seconds.
    pub hide: u8,
}

impl Plan {
    /// A part of the viewers for each of so many processes.
    pub fn split(self, processes: usize) -> Vec<Self> {
        let each = self.viewers.div_ceil(processes.max(1));
        let of = |number: usize| {
            let viewers = self.viewers.saturating_sub(number * each).min(each);
            Self { viewers, number, ..self.clone() }
        };
        (0..processes).map(of).filter(|plan| plan.viewers > 0).collect()
    }
}

/// To a process that plays viewers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Once, at first.
    Begin(Box<Plan>),
    /// Redis is another server now.
    Listen { redis: String },
    /// All connections of this gateway's viewers are dropped, to come back within so long.
    Scatter { within_ms: u64 },
    /// Seconds are counted from this moment on, milliseconds of the Unix epoch; until then from the first viewer on.
    Count { from_ms: u64 },
    /// Every second viewer stops reading, or reads again.
    Read { reading: bool },
    /// Nobody drops, stalls or hides any more; whoever is away comes back.
    Settle,
    /// The ledger's map at rest, packed; then the process ends.
    Compare { position: Position, statuses: String },
}

/// From a process that plays viewers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Telling {
    /// Its tokens are signed: it is ready to begin in time.
    Ready,
    /// Now and then.
    Progress(Progress),
    /// After each second.
    Step(Step),
    /// In the end.
    Outcome(Box<Outcome>),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Progress {
    pub live: u64,
    pub frames: u64,
    pub violations: u64,
}

/// What the viewers of one process saw. Times are in microseconds with their counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) viewers: u64,
    pub(super) connected: u64,
    /// Their maps differ from the ledger's, or they are not where Redis is.
    pub(super) diverged: Vec<String>,
    pub(super) diverged_total: u64,
    pub(super) violations: Vec<String>,
    pub(super) violations_total: u64,
    pub(super) errors: Vec<String>,
    pub(super) resumed_by_catch_up: u64,
    pub(super) resumed_by_snapshot: u64,
    pub(super) reconnects: u64,
    pub(super) stalls: u64,
    pub(super) hides: u64,
    pub(super) deltas: u64,
    pub(super) catch_ups: u64,
    pub(super) snapshots: u64,
    pub(super) beats: u64,
    pub(super) changes: u64,
    /// Of those who were there without a break; nobody may have been.
    pub(super) frames_per_s_least: Option<f64>,
    /// From the first viewer until the order to settle.
    pub(super) seconds: f64,
    pub(super) cpu_s: f64,
    pub(super) lag: Vec<(u64, u64)>,
    pub(super) joins: Vec<(u64, u64)>,
    pub(super) behind: Vec<(u64, u64)>,
}

/// Milliseconds of the Unix epoch, which all processes of a machine share.
pub(super) fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The same moment by this process's own clock.
pub(super) fn instant(unix: u64) -> Instant {
    let (now, here) = (unix_ms(SystemTime::now()), Instant::now());
    if unix >= now {
        here + Duration::from_millis(unix - now)
    } else {
        here.checked_sub(Duration::from_millis(now - unix)).unwrap_or(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_understood_when_nobody_stayed() {
        for least in [None, Some(21.5)] {
            let outcome = Outcome { frames_per_s_least: least, ..Outcome::default() };
            let line = serde_json::to_string(&Telling::Outcome(Box::new(outcome))).unwrap();
            let Telling::Outcome(told) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
            assert_eq!(told.frames_per_s_least, least);
        }
    }

    #[test]
    fn every_viewer_is_played_by_one_process() {
        let plan = Plan {
            show: ShowId::new(1).unwrap(),
            gateways: Vec::new(),
            redis: String::new(),
            jwt: String::new(),
            viewers: 10,
            come_at_ms: 0,
            within_ms: 0,
            habits: Habits { drop: 0, stall: 0, hide: 0 },
            seed: 1,
            number: 0,
        };
        let viewers = |processes| plan.clone().split(processes).iter().map(|part| part.viewers).collect::<Vec<_>>();
        assert_eq!(viewers(1), [10]);
        assert_eq!(viewers(3), [4, 4, 2]);
        assert_eq!(viewers(4), [3, 3, 3, 1]);
        assert_eq!(viewers(20).iter().sum::<usize>(), 10);
    }
}
