//! Acts that begin by the clock, whether those before them are done or not: who waits for an answer before asking again
//! does not notice that a server is slow.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::times::Times;

/// When acts begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) per_second: f64,
    /// No more than so many at a time: who comes then is turned away, and counted.
    pub(super) most: usize,
}

/// How many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) acts: u64,
    pub(super) turned_away: u64,
}

/// Begins `act` with its number and its moment, again and again until `over`; then waits for all that began. `behind` gets
/// how late each was begun.
pub(super) async fn play<F: Future<Output = ()>>(
    schedule: Schedule,
    behind: &Times,
    over: &CancellationToken,
    mut act: impl FnMut(u32, Instant) -> F,
) -> Begun {
    let (began, mut begun, mut under_way) = (tokio::time::Instant::now(), Begun::default(), FuturesUnordered::new());
    'coming: for number in 0..u32::MAX {
        let due = began + Duration::from_secs_f64(f64::from(number) / schedule.per_second);
        loop {
            tokio::select! {
                biased;
                () = over.cancelled() => break 'coming,
                () = tokio::time::sleep_until(due) => break,
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
            }
        }
        behind.note(due.elapsed());
        if under_way.len() >= schedule.most {
            begun.turned_away += 1;
        } else {
            begun.acts += 1;
            under_way.push(act(number, due.into_std()));
        }
    }
    while under_way.next().await.is_some() {}
    begun
}

/// Cancels `over` after this time, or with `stop`.
pub(super) async fn end_after(length: Duration, stop: &CancellationToken, over: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = stop.cancelled() => {}
    }
    over.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn acts_begin_though_none_before_them_is_done_until_the_house_is_full() {
        let (behind, over) = (Times::new().unwrap(), CancellationToken::new());
        let schedule = Schedule { per_second: 1_000.0, most: 10 };
        let begun = play(schedule, &behind, &over, |number, _| {
            // Nobody leaves before all are there.
            if number == 9 {
                over.cancel();
            }
            over.cancelled()
        });
        let begun = tokio::time::timeout(Duration::from_secs(30), begun).await.unwrap();
        assert_eq!(begun, Begun { acts: 10, turned_away: 0 });
    }
}
