//! What callers and one connection's task share: the table of waiters and the bytes to write.
//!
//! A caller puts its frame into the outgoing buffer and its waiter into the table in one step under the lock; the task
//! takes the whole buffer for one write. The lock is held for a copy of some bytes and never across an await.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, oneshot};

use super::LinkStatus;
use super::connection::LinkError;
use super::pending::{Full, Pending};
use crate::PROTOCOL_VERSION;
use crate::codec::Frame;
use crate::limits::CORE_FRAME_BYTES_MAX;

/// Bytes that may wait for a socket that takes nothing; above it the link counts as full.
const OUT_BYTES_MAX: usize = 2 * CORE_FRAME_BYTES_MAX;

/// Why a link does not take a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SubmitError {
    Down,
    Full,
}

/// One connection, up or down.
pub(super) struct Link {
    core: usize,
    address: String,
    shared: Mutex<Shared>,
    /// Copy of the table's size, to choose a link without taking every lock.
    in_flight: AtomicUsize,
    /// Tells the task that there is something to write.
    wake: Notify,
}

struct Shared {
    pending: Pending<oneshot::Sender<Frame>>,
    out: BytesMut,
    up: bool,
    core_name: Option<String>,
    last_error: Option<LinkError>,
}

impl Link {
    pub(super) fn new(core: usize, address: &str, in_flight_max: usize) -> Self {
        let shared = Shared {
            pending: Pending::new(in_flight_max),
            out: BytesMut::new(),
            up: false,
            core_name: None,
            last_error: None,
        };
        let (in_flight, wake) = (AtomicUsize::new(0), Notify::new());
        Self { core, address: address.to_owned(), shared: Mutex::new(shared), in_flight, wake }
    }

    /// Which of the configured cores it goes to.
    pub(super) fn core(&self) -> usize {
        self.core
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> LinkStatus {
        let shared = self.lock();
        LinkStatus {
            address: self.address.clone(),
            connected: shared.up,
            core: shared.core_name.clone(),
            in_flight: shared.pending.len(),
            last_error: shared.last_error.clone(),
        }
    }

    /// Queues a command for writing.
    pub(super) fn submit(
        self: &Arc<Self>,
        kind: u8,
        body: &Bytes,
        deadline_ms: u32,
        trace: u64,
    ) -> Result<Ticket, SubmitError> {
        let (sender, receiver) = oneshot::channel();
        let mut shared = self.lock();
        if !shared.up {
            return Err(SubmitError::Down);
        }
        if shared.out.len() > OUT_BYTES_MAX {
            return Err(SubmitError::Full);
        }
        let id = shared.pending.add(sender).map_err(|Full| SubmitError::Full)?;
        let body = body.clone();
        Frame { version: PROTOCOL_VERSION, kind, request_id: id, deadline_ms, trace, body }.put(&mut shared.out);
        self.in_flight.store(shared.pending.len(), Ordering::Relaxed);
        drop(shared);
        self.wake.notify_one();
        Ok(Ticket { link: Arc::clone(self), id, receiver, over: false })
    }

    /// The handshake is done: commands may come.
    pub(super) fn up(&self, core_name: String, in_flight_max: usize) {
        let mut shared = self.lock();
        shared.up = true;
        shared.core_name = Some(core_name);
        shared.pending.set_max(in_flight_max);
    }

    /// The connection is lost, or could not be made: every waiter learns it, and nothing of the old stream is written.
    pub(super) fn down(&self, error: LinkError) {
        let mut shared = self.lock();
        shared.up = false;
        shared.last_error = Some(error);
        shared.out = BytesMut::new();
        let waiters = shared.pending.take_all();
        self.in_flight.store(0, Ordering::Relaxed);
        drop(shared);
        // Dropping the senders wakes the waiters, who may at once submit elsewhere: not under the lock.
        drop(waiters);
    }

    /// Gives answers to their waiters; an id that nobody waits for is a late answer, and ignored.
    pub(super) fn answer(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut shared = self.lock();
        for frame in frames {
            if let Some(waiter) = shared.pending.take(frame.request_id) {
                // The waiter may have given up a moment ago.
                let _ = waiter.send(frame);
            }
        }
        self.in_flight.store(shared.pending.len(), Ordering::Relaxed);
    }

    /// Queues a frame that nobody waits for.
    pub(super) fn send_unasked(&self, frame: &Frame) {
        frame.put(&mut self.lock().out);
        self.wake.notify_one();
    }

    /// Waits until there is something to write, and takes all of it.
    pub(super) async fn take_out(&self) -> BytesMut {
        loop {
            let out = std::mem::take(&mut self.lock().out);
            if !out.is_empty() {
                return out;
            }
            self.wake.notified().await;
        }
    }

    fn give_up(&self, id: u64) {
        let mut shared = self.lock();
        shared.pending.take(id);
        self.in_flight.store(shared.pending.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Each change under the lock is complete by itself, so a poisoned lock holds good data.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the table of waiters; dropping it gives the place back.
pub(super) struct Ticket {
    link: Arc<Link>,
    id: u64,
    receiver: oneshot::Receiver<Frame>,
    /// Answered or lost: the place is given back already.
    over: bool,
}

impl Ticket {
    /// The answer; `None` when the connection was lost before it.
    pub(super) async fn answer(mut self) -> Option<Frame> {
        let answer = (&mut self.receiver).await;
        self.over = true;
        answer.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.over {
            self.link.give_up(self.id);
        }
    }
}
