//! Customers who stay connected and take turns, so that a command costs no connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

    /// Lets the one who was idle longest act.
    pub(super) async fn act<T>(&self, act: impl AsyncFnOnce(&Customer<'a>) -> T) -> Option<T> {
        let _there = self.there.acquire().await.ok()?;
        let customer = self.lock().pop_front()?;
        let done = act(&customer).await;
        self.lock().push_back(customer);
        Some(done)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Customer<'a>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const AT_A_TIME: usize = 50;
