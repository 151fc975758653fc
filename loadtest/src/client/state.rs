//! Everything a client knows, behind one mutex that is never held across an await, with a counter that tells waiters of
//! changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::{Ask, ShowViewer};
use seatwire_protocol::ws::{ClientMessage, ReplyBody, ServerMessage};
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, ShowId};
use tokio::sync::{oneshot, watch};

use super::history::{Event, History};

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Close code; `None` when the connection broke without a close frame.
    pub code: Option<u16>,
    /// The close frame's reason, or what broke.
    pub reason: String,
}

impl Closed {
    pub(super) fn dropped(reason: &str) -> Self {
        Self { code: None, reason: reason.to_owned() }
    }
}

type Answer = Result<ReplyBody, ErrorBody>;

/// Everything a client knows.
#[derive(Debug, Default)]
pub struct State {
    customer: Option<CustomerId>,
    closed: Option<Closed>,
    viewers: BTreeMap<ShowId, ShowViewer>,
    history: History,
    connections: u64,
    beat_ms: Option<u64>,
    last_id: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl State {
    /// Who the token says this is; `None` before the welcome.
    #[must_use]
    pub const fn customer(&self) -> Option<&CustomerId> {
        self.customer.as_ref()
    }

    /// Why the connection ended; `None` while it is open.
    #[must_use]
    pub const fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// The viewer of a watched show.
    #[must_use]
    pub fn viewer(&self, show: ShowId) -> Option<&ShowViewer> {
        self.viewers.get(&show)
    }

    /// What this client saw.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// How often this client was connected.
    #[must_use]
    pub const fn connections(&self) -> u64 {
        self.connections
    }

    pub(super) const fn beat_ms(&self) -> Option<u64> {
        self.beat_ms
    }

    /// One line for the text of a failed wait.
    #[must_use]
    pub fn describe(&self) -> String {
        let viewers = self.viewers.values().map(|viewer| {
            let (map, own) = (viewer.map(), viewer.own());
            format!(
                "show {}: live {}, stale {}, position {:?}, sale {:?}, holds {:?}, bookings {:?}",
                viewer.show(),
                viewer.is_live(),
                viewer.is_stale(),
                map.position(),
                map.sale(),
                own.holds().map(|hold| (hold.hold, &hold.seats, hold.phase)).collect::<Vec<_>>(),
                own.bookings().map(|booking| (booking.booking, booking.state)).collect::<Vec<_>>(),
            )
        });
        let viewers: Vec<String> = viewers.collect();
        format!("customer {:?}, closed {:?}, {}", self.customer, self.closed, viewers.join("; "))
    }

    pub(super) fn watch(&mut self, show: ShowId) -> Vec<ClientMessage> {
        let mut viewer = ShowViewer::new(show);
        if self.customer.is_some() && self.closed.is_none() {
            viewer.on_connected();
        }
        self.viewers.insert(show, viewer);
        self.take_asks()
    }

    pub(super) fn unwatch(&mut self, show: ShowId) {
        self.viewers.remove(&show);
    }

    pub(super) const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A place for the answer to request `id`.
    pub(super) fn expect_answer(&mut self, id: u64) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(id, sender);
        receiver
    }

    pub(super) fn forget_answer(&mut self, id: u64) {
        self.waiting.remove(&id);
    }

    pub(super) fn on_sent(&mut self, message: &ClientMessage) {
        for viewer in self.viewers.values_mut() {
            viewer.on_sent(message);
        }
    }

    pub(super) fn on_connected(&mut self) {
        self.closed = None;
        self.connections += 1;
        self.history.push(Event::Connected);
    }

    pub(super) fn on_disconnected(&mut self, closed: Closed) {
        self.customer = None;
        if self.closed.is_none() {
            self.history.push(Event::Disconnected(closed.clone()));
            self.closed = Some(closed);
        }
        for viewer in self.viewers.values_mut() {
            viewer.on_disconnected();
        }
        let lost = "the connection was lost before the answer";
        for (_, waiter) in std::mem::take(&mut self.waiting) {
            // A waiter that gave up is no longer interested.
            let _ = waiter.send(Err(ErrorBody::new(ErrorCode::Unavailable, lost)));
        }
    }

    /// Returns what to ask again.
    pub(super) fn retry(&mut self) -> Vec<ClientMessage> {
        self.viewers.values_mut().for_each(ShowViewer::retry);
        self.take_asks()
    }

    /// Returns what to send in answer.
    pub(super) fn on_frame(&mut self, frame: SeatFrame) -> Vec<ClientMessage> {
        if let Some(viewer) = self.viewers.get_mut(&frame.show()) {
            let applied = viewer.on_frame(&frame);
            self.history.push(Event::Frame { at: Instant::now(), frame, applied });
        }
        self.take_asks()
    }

    /// Returns what to send in answer.
    pub(super) fn on_message(&mut self, message: ServerMessage) -> Vec<ClientMessage> {
        for viewer in self.viewers.values_mut() {
            viewer.on_message(&message);
        }
        match &message {
            ServerMessage::Welcome { customer, beat_ms, .. } => {
                self.beat_ms = Some(*beat_ms);
                let first = self.customer.is_none();
                self.customer = Some(customer.clone());
                if first {
                    self.viewers.values_mut().for_each(ShowViewer::on_connected);
                }
            }
            ServerMessage::Reply { id, ok } => self.answer(*id, Ok(ok.clone())),
            ServerMessage::Error { id: Some(id), error } => self.answer(*id, Err(error.clone())),
            _ => {}
        }
        self.history.push(Event::Message(message));
        self.take_asks()
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        if let Some(waiter) = self.waiting.remove(&id) {
            // A waiter that gave up is no longer interested.
            let _ = waiter.send(answer);
        }
    }

    fn take_asks(&mut self) -> Vec<ClientMessage> {
        let mut messages = Vec::new();
        for (show, viewer) in &mut self.viewers {
            for ask in viewer.take_asks() {
                self.last_id += 1;
                let (id, show) = (self.last_id, *show);
                let message = match ask {
                    Ask::Watch { pos } => ClientMessage::Watch { show, pos },
                    Ask::OwnHolds => ClientMessage::OwnHolds { id, show },
                    Ask::Booking { booking } => ClientMessage::Booking { id, booking },
                };
                messages.push(message);
            }
        }
        messages
    }
}

/// The state, and a counter that tells of its changes.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Shared {
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        result
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
