//! Customers who come by the clock, whether those before them are done or not: first a herd, then one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Mix;
use super::deck::Deck;
use super::shopping::Shopping;
use crate::run::say;
use crate::times::Times;

/// When customers come.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct Pace {
    /// So many evenly within this time.
    pub(in crate::run) herd: u32,
    pub(in crate::run) within: Duration,
    /// Then so many a second.
    pub(in crate::run) per_second: f64,
    /// Who finds so many others in the house turns away.
    pub(in crate::run) most: usize,
}

impl Pace {
    /// When the customer of this number comes, since the doors opened.
    fn due(&self, number: u32) -> Duration {
        match number.checked_sub(self.herd) {
            None => self.within.mul_f64(f64::from(number) / f64::from(self.herd)),
            Some(later) => self.within + Duration::from_secs_f64(f64::from(later) / self.per_second),
        }
    }
}

/// Lets customers come until `over`, then waits for those who are here. Answers how many turned away.
pub(in crate::run) async fn come(
    shopping: Arc<Shopping>,
    pace: Pace,
    (mix, seed): (Mix, u64),
    behind: Times,
    over: CancellationToken,
) -> u64 {
    let (began, mut here, turned_away) = (Instant::now(), JoinSet::new(), AtomicU64::new(0));
    for number in 0..u32::MAX {
        let due = began + pace.due(number);
        tokio::select! {
            () = tokio::time::sleep_until(due) => behind.note(due.elapsed()),
            () = over.cancelled() => break,
        }
        while let Some(ended) = here.try_join_next() {
            told(ended);
        }
        if here.len() >= pace.most {
            turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let card = match shopping.take() {
            Some(card) => card,
            None => {
                shopping.add(Deck::shuffled(DECK, &mix, seed.wrapping_add(number.into())));
                let Some(card) = shopping.take() else { break };
                card
            }
        };
        let shopping = Arc::clone(&shopping);
        // A card that was put back is somebody else's.
        here.spawn(async move {
            let _ = shopping.play(card, Some(due.into_std())).await;
        });
    }
    while let Some(ended) = here.join_next().await {
        told(ended);
    }
    turned_away.into_inner()
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        say(&format!("a customer's task ended: {error}"));
    }
}

/// Cards dealt at a time.
const DECK: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_comes_first_and_then_one_after_another() {
        let pace = Pace { herd: 100, within: Duration::from_secs(5), per_second: 10.0, most: 1 };
        let due = [0, 50, 100, 120].map(|number| pace.due(number).as_millis());
        assert_eq!(due, [0, 2_500, 5_000, 7_000]);
    }
}
