//! Notes each second what customers have done so far, for the report's series.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

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

    pub(super) fn of_crowd(crowd: &Arc<Crowd>) -> Self {
        let crowd = Arc::clone(crowd);
        Self::of(move || Done::of(&crowd))
    }

    fn of(look: impl Fn() -> Done + Send + Sync + 'static) -> Self {
        let done = Arc::<Mutex<Vec<Done>>>::default();
        let seconds = Arc::clone(&done);
        let ticker = tokio::spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            // The first tick is at once. One that was missed is made up for, so that numbers stay seconds.
            second.tick().await;
            loop {
                second.tick().await;
                seconds.lock().unwrap_or_else(PoisonError::into_inner).push(look());
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
