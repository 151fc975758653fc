//! A house full of viewers: who comes, when, and in how many processes they are played.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seatwire_protocol::ShowId;

use super::flags::HouseFlags;
use crate::launcher::Addresses;
use crate::viewers::{Habits, Herd, Plan};

#[derive(Debug, Clone)]
pub(super) struct House {
    viewers: u32,
    /// All come within this time.
    within: Duration,
    habits: Habits,
    /// Processes that play them; `None`: as many as they need.
    processes: Option<usize>,
    seed: u64,
}

impl House {
    pub(super) fn of(flags: &HouseFlags, habits: Habits, seed: u64) -> Self {
        let processes = flags.processes.map(usize::from);
        Self { viewers: flags.viewers, within: flags.within.0, habits, processes, seed }
    }

    /// Starts the processes; the first viewers come at this time. Processes that are ready later are late with them, and
    /// say so.
    pub(super) async fn fill(&self, at: &Addresses, show: ShowId, come_at: SystemTime) -> anyhow::Result<Herd> {
        let gateways = at.gateways.iter().map(|url| Ok(url.trim_start_matches("http://").parse()?));
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let plan = Plan {
            show,
            gateways: gateways.collect::<anyhow::Result<_>>()?,
            redis: at.redis.clone(),
            jwt: at.secrets.jwt.clone(),
            viewers: usize::try_from(self.viewers)?,
            come_at_ms: ms(come_at.duration_since(UNIX_EPOCH)?),
            within_ms: ms(self.within),
            habits: self.habits,
            seed: self.seed,
            number: 0,
        };
        let processes = self.processes.unwrap_or_else(|| plan.viewers.div_ceil(VIEWERS_OF_A_PROCESS));
        Herd::start(plan, processes).await
    }

    /// So long before the first of them comes their tokens have to be begun to be signed.
    pub(super) fn lead(&self) -> Duration {
        LEAD + Duration::from_millis(u64::from(self.viewers) / 5)
    }
}

/// Each has some descriptors beside them, of the 20,000 that a process may have.
const VIEWERS_OF_A_PROCESS: usize = 5_000;
const LEAD: Duration = Duration::from_secs(4);
