//! Which shows are looked at, and when: those that gateways ask for, each within 30 seconds. Cores share the work: who
//! looks at a show takes a short lease on it in Redis, the others pass over it.
//!
//! One core looks at up to 200 shows a second, so that the ledger has no more than so many reads from it; that is 5,000
//! watched shows. With more, each is looked at as often as that allows, the longest waiting first.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::Value;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use seatwire_protocol::ShowId;

use crate::holds::HoldError;
use crate::holds::keys::{scrubbed_key, watched_key};
use crate::holds::store::HoldStore;
use crate::metrics as names;

/// Each watched show is looked at once in this time.
const ROTA: Duration = Duration::from_secs(20);
/// A show that another core looked at is tried again after this.
const RETRY: Duration = Duration::from_secs(8);
/// How long nobody else looks at a show that somebody just looked at. Lease, retry and tick stay below 30 s together, so
/// that the death of a core delays no look for longer.
const LEASE_MS: u64 = 15_000;
/// A show counts as watched for so long after a gateway asked for its position: here, and for all cores.
const WATCHED_FOR: Duration = Duration::from_secs(30);
const WATCHED_EVERYWHERE_S: u64 = 90;
/// Shows that one tick looks at, and at a time.
const PER_TICK: usize = 100;
const AT_A_TIME: usize = 8;
const TICK: Duration = Duration::from_millis(500);
/// Beyond this a look is overdue.
const PROMISED: Duration = Duration::from_secs(30);
/// Shows remembered as watched.
pub(in crate::holds) const WATCHED_MAX: usize = 20_000;

/// The shows that gateways ask for: when last, and when to look next.
#[derive(Default)]
pub(in crate::holds) struct Watched(HashMap<ShowId, Turn>);

struct Turn {
    asked: Instant,
    next: Instant,
}

impl Watched {
    pub(in crate::holds) fn note(&mut self, shows: &[ShowId], now: Instant) {
        for show in shows {
            if let Some(turn) = self.0.get_mut(show) {
                turn.asked = now;
            } else if self.0.len() < WATCHED_MAX {
                // Spread, so that shows which were opened together are not looked at together.
                let next = now + ROTA.mul_f64(rand::random_range(0.2..1.0));
                self.0.insert(*show, Turn { asked: now, next });
            }
        }
    }

    pub(in crate::holds) fn contains(&self, show: ShowId) -> bool {
        self.0.get(&show).is_some_and(|turn| turn.asked.elapsed() < WATCHED_FOR)
    }

    /// The shows whose turn it is, longest waiting first, and how many wait beyond the promised time.
    fn take(&mut self, now: Instant) -> (Vec<ShowId>, usize) {
        self.0.retain(|_, turn| now.duration_since(turn.asked) < WATCHED_FOR);
        let mut due: Vec<(Instant, ShowId)> =
            self.0.iter().filter(|(_, turn)| turn.next <= now).map(|(show, turn)| (turn.next, *show)).collect();
        due.sort_unstable();
        let overdue = due.iter().take_while(|(next, _)| now.duration_since(*next) > PROMISED - ROTA).count();
        due.truncate(PER_TICK);
        for (_, show) in &due {
            self.again(*show, now + ROTA);
        }
        (due.into_iter().map(|(_, show)| show).collect(), overdue)
    }

    fn again(&mut self, show: ShowId, next: Instant) {
        if let Some(turn) = self.0.get_mut(&show) {
            turn.next = next;
        }
    }
}

/// Scrubs watched shows on a rota.
pub(in crate::holds) async fn run(store: HoldStore, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (shows, overdue) = store.watched().take(Instant::now());
        metrics::gauge!(names::SCRUBS_OVERDUE).set(u32::try_from(overdue).unwrap_or(u32::MAX));
        if shows.is_empty() {
            continue;
        }
        let leased = match store.lease(&shows).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::debug!(%error, "no scrubbing");
                continue;
            }
        };
        let looks = leased.into_iter().map(|show| {
            let store = store.clone();
            async move {
                if let Err(error) = store.scrub_once(show).await {
                    tracing::debug!(show.id = %show, %error, "not scrubbed");
                }
            }
        });
        let all = futures_util::stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(AT_A_TIME);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = all.for_each(|()| async {}) => {}
        }
    }
}

impl HoldStore {
    /// The shows among these that no other core looked at just now; notes all of them as watched.
    async fn lease(&self, shows: &[ShowId]) -> Result<Vec<ShowId>, HoldError> {
        let connected = self.link().get().await?;
        let mut pipe = redis::pipe();
        for show in shows {
            pipe.cmd("SET").arg(watched_key(*show)).arg(1).arg("EX").arg(WATCHED_EVERYWHERE_S).ignore();
            pipe.cmd("SET").arg(scrubbed_key(*show)).arg(1).arg("NX").arg("PX").arg(LEASE_MS);
        }
        let answers = self.link().pipeline(&connected, &pipe).await?;
        let mut leased = Vec::new();
        let again = Instant::now() + RETRY;
        for (show, answer) in shows.iter().zip(&answers) {
            if matches!(answer, Value::Okay) {
                leased.push(*show);
            } else {
                self.watched().again(*show, again);
            }
        }
        Ok(leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_come_first_and_each_has_its_turn() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        let shows: Vec<ShowId> = (1..=150).map(|id| ShowId::new(id).unwrap()).collect();
        watched.note(&shows, start);
        assert!(watched.take(start).0.is_empty());
        let later = start + ROTA;
        let (first, _) = watched.take(later);
        assert_eq!(first.len(), PER_TICK);
        let (second, _) = watched.take(later);
        assert_eq!(second.len(), 50);
        assert!(second.iter().all(|show| !first.contains(show)));
        assert!(watched.take(later).0.is_empty());
        // Nobody asked again: not watched any more.
        assert!(watched.take(start + WATCHED_FOR).0.is_empty());
        assert!(watched.0.is_empty());
    }

    #[test]
    fn a_rota_that_ticks_is_never_overdue() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        let shows: Vec<ShowId> = (1..=150).map(|id| ShowId::new(id).unwrap()).collect();
        watched.note(&shows, start);
        let mut looked = Vec::new();
        for tick in 0..=ROTA.as_secs() * 2 {
            let (due, overdue) = watched.take(start + TICK * u32::try_from(tick).unwrap());
            assert_eq!(overdue, 0);
            looked.extend(due);
        }
        looked.sort_unstable();
        assert_eq!(looked, shows, "each had its turn, once");
    }
}
