//! Notes each second what customers have done so far, for the report's series.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::live::{Live, Now};
use super::report::Done;
use super::sale::shopping::Shopping;
use crate::crowd::Crowd;

/// Records from its beginning until it is dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    done: Arc<Mutex<Vec<Done>>>,
    ticker: AbortHandle,
}

impl Recorder {
    pub(super) fn begin(shopping: Arc<Shopping>) -> Self {
        Self::of(move || Done::of(&shopping.crowd))
    }

    /// Shows it live, too.
    pub(super) fn of_crowd(crowd: &Arc<Crowd>) -> Self {
        let (crowd, mut live) = (Arc::clone(crowd), Live::begin());
        Self::of(move || {
            let done = Done::of(&crowd);
            live.show(|| Now {
                levels: vec![("hold errors", crowd.holds().errors)],
                counts: vec![("granted", done.granted), ("refused", done.refused), ("confirmed", done.confirmed)],
                times: vec![("hold", crowd.hold_times.spread())],
                ..Now::default()
            });
            done
        })
    }

    fn of(mut look: impl FnMut() -> Done + Send + 'static) -> Self {
        let done = Arc::<Mutex<Vec<Done>>>::default();
        let seconds = Arc::clone(&done);
        let ticker = tokio::spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            // The first tick is at once. One that was missed is made up for, so that numbers stay seconds.
            second.tick().await;
            loop {
                second.tick().await;
                let now = look();
                seconds.lock().unwrap_or_else(PoisonError::into_inner).push(now);
            }
        });
        Self { done, ticker: ticker.abort_handle() }
    }

    /// What was done by the end of each second.
    pub(super) fn end(self) -> Vec<Done> {
        std::mem::take(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}
