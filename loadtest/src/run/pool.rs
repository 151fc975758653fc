//! Customers who stay connected and take turns, so that a command costs no connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Semaphore;

use crate::crowd::{Crowd, Customer};

pub(super) struct Pool<'a> {
    free: Mutex<VecDeque<Customer<'a>>>,
    /// One for each that is free; who finds none waits in turn.
    there: Semaphore,
}

impl<'a> Pool<'a> {
    /// Of so many, who look at nothing.
    ///
    /// # Errors
    /// When a gateway is away.
    pub(super) async fn of(crowd: &'a Crowd, customers: usize) -> anyhow::Result<Self> {
        let entering = stream::iter(0..customers).map(|_| crowd.enter_blind()).buffer_unordered(AT_A_TIME);
        let entered: Vec<_> = entering.collect().await;
        let free = entered.into_iter().collect::<Result<VecDeque<_>, _>>()?;
        Ok(Self { there: Semaphore::new(free.len()), free: Mutex::new(free) })
    }

    /// So many that each sends no more than four commands a second, at a rate of holds that are given back: far below what
    /// gateways and cores allow one customer.
    pub(super) fn enough_for(holds_per_s: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
        let customers = (holds_per_s / 2.0).clamp(10.0, 5_000.0) as usize;
        customers
    }

    /// The one who was idle longest holds these seats and gives them back after this time. Whoever finds none idle waits;
    /// times are taken from the moment that was meant all the same.
    pub(super) async fn hold_for(&self, seats: &[u32], keep: Duration, meant: Instant) {
        let Ok(_there) = self.there.acquire().await else { return };
        let Some(customer) = self.lock().pop_front() else { return };
        if let Ok(hold) = customer.hold_meant(seats, meant).await {
            tokio::time::sleep(keep).await;
            // One that is not given back ends by itself, and is missing meanwhile.
            let _ = customer.release(&hold).await;
        }
        self.lock().push_back(customer);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Customer<'a>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const AT_A_TIME: usize = 50;
