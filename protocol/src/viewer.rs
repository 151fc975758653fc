//! The client-side state machine of one watched show: seat frames in, a seat map and the customer's own things out.
//!
//! No socket, no clock, no runtime: the caller reads and writes, and tells [`ShowViewer`] what arrived and what was
//! sent. It follows the delta rule of [`crate::seat_frame`], knows whether the map may be shown as live, keeps own
//! holds and bookings, and says what to ask the gateway for next ([`Ask`]).
//!
//! Two rules keep a customer's own seats right although replies, pushes and seat frames travel in separate lanes:
//! a seat that was asked for is judged only by the reply, and a hold taken at position p is over only by an end that
//! happened after it (see [`OwnThings`]).

mod own;
mod seat_map;

use std::collections::BTreeMap;

pub use self::own::OwnThings;
pub use self::seat_map::{Applied, SeatMap};

use crate::id::{BookingId, SeatIndex, ShowId};
use crate::position::Position;
use crate::seat::SeatStatus;
use crate::seat_frame::SeatFrame;
use crate::ws::{ClientMessage, Push, ReplyBody, ServerMessage};

/// What to send to the gateway next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Send [`ClientMessage::Watch`] with this position: of the map at hand, `None` when there is none.
    Watch {
        /// Position to resume from.
        pos: Option<Position>,
    },
    /// Send [`ClientMessage::OwnHolds`]: own holds and pending bookings may have changed unseen.
    OwnHolds,
    /// Send [`ClientMessage::Booking`]: it was pending, and its end was not seen.
    Booking {
        /// The booking.
        booking: BookingId,
    },
}

/// A seat as this customer should see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatView {
    /// As everybody sees it.
    Status(SeatStatus),
    /// Asked for; the reply is not here yet and alone decides.
    Asked,
    /// In a live hold or pending booking of this customer.
    Own,
}

/// Everything that a client knows of one show.
#[derive(Debug, Clone)]
pub struct ShowViewer {
    show: ShowId,
    map: SeatMap,
    own: OwnThings,
    /// Seats of hold commands in flight, by request id; bounded by the commands that the caller has in flight.
    asked: BTreeMap<u64, Vec<SeatIndex>>,
    connected: bool,
    /// A frame of the show has come over this connection.
    heard: bool,
    stale: bool,
    want_watch: bool,
    want_own: bool,
    want_bookings: Vec<BookingId>,
    /// An own-holds command failed; asked again by [`ShowViewer::retry`].
    retry_own: bool,
}

impl ShowViewer {
    /// A viewer that has seen nothing and is not connected.
    #[must_use]
    pub const fn new(show: ShowId) -> Self {
        Self {
            show,
            map: SeatMap::new(show),
            own: OwnThings::new(show),
            asked: BTreeMap::new(),
            connected: false,
            heard: false,
            stale: false,
            want_watch: false,
            want_own: false,
            want_bookings: Vec::new(),
            retry_own: false,
        }
    }

    /// A connection is ready: the map at hand stays, and is resumed from its position. It is live again with the first
    /// frame.
    pub fn on_connected(&mut self) {
        self.connected = true;
        self.heard = false;
        self.stale = false;
        self.want_watch = true;
        self.want_own = true;
    }

    /// The connection is gone. Outcomes of commands in flight are unknown: repeat them with the same key.
    pub fn on_disconnected(&mut self) {
        self.connected = false;
        self.want_watch = false;
        self.want_own = false;
        self.retry_own = false;
        self.want_bookings.clear();
        self.asked.clear();
        self.own.on_disconnected();
    }

    /// What to send now, each thing once.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        if std::mem::take(&mut self.want_watch) {
            asks.push(Ask::Watch { pos: self.map.position() });
        }
        if std::mem::take(&mut self.want_own) {
            asks.push(Ask::OwnHolds);
        }
        asks.extend(self.want_bookings.drain(..).map(|booking| Ask::Booking { booking }));
        asks
    }

    /// To be called about once a second while connected: what could not be answered is asked again. The caller's timer
    /// keeps a failing server from being asked without end.
    pub fn retry(&mut self) {
        self.want_own |= self.connected && std::mem::take(&mut self.retry_own);
    }

    /// Applies a seat frame. Frames of other shows are ignored.
    pub fn on_frame(&mut self, frame: &SeatFrame) -> Applied {
        let before = self.map.position();
        let applied = self.map.apply(frame);
        self.heard |= frame.show() == self.show;
        match applied {
            // A gateway knows each viewer's position and never leaves a gap: one means that something was lost on the
            // way, so ask instead of waiting.
            Applied::Gap | Applied::NeedsSnapshot => self.want_watch = self.connected,
            // Holds may have been lost with the old generation, and nobody was left to tell.
            Applied::Applied if before.is_some_and(|p| Some(p.generation) != self.map.generation()) => {
                self.want_own = self.connected;
            }
            // The push that tells of a hold's end is sent once and can get lost; the map can't.
            Applied::Applied if self.own.contradicts(&self.map) => self.want_own = self.connected,
            Applied::Applied | Applied::Ignored => {}
        }
        applied
    }

    /// Notes a message that is about to be sent.
    pub fn on_sent(&mut self, message: &ClientMessage) {
        match message {
            ClientMessage::Hold { id, show, seats, .. } if *show == self.show => {
                self.asked.insert(*id, seats.clone());
            }
            ClientMessage::OwnHolds { id, show } if *show == self.show => self.own.on_asked(*id),
            _ => {}
        }
    }

    /// Notes a message that arrived; messages that don't concern this show change nothing.
    pub fn on_message(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Stale { show, stale } if *show == self.show => {
                if self.stale && !stale {
                    self.want_own = self.connected;
                }
                self.stale = *stale;
            }
            ServerMessage::Reply { id, ok } => {
                self.asked.remove(id);
                self.on_reply(*id, ok);
            }
            ServerMessage::Error { id: Some(id), .. } => {
                self.asked.remove(id);
                self.retry_own |= self.own.on_failed(*id);
            }
            ServerMessage::Push { push } => self.on_push(push),
            _ => {}
        }
    }

    fn on_reply(&mut self, id: u64, reply: &ReplyBody) {
        match reply {
            ReplyBody::Hold(hold) => self.own.on_hold(hold),
            ReplyBody::Released(released) => self.own.on_ended(released.hold, released.position),
            ReplyBody::Booking(booking) => self.own.on_booking(booking),
            ReplyBody::OwnHolds { show, holds, pending } if *show == self.show => {
                self.want_bookings = self.own.on_own_holds(id, holds, pending);
            }
            ReplyBody::Bookings { bookings, .. } => {
                for booking in bookings {
                    self.own.on_booking(booking);
                }
            }
            ReplyBody::OwnHolds { .. } => {}
        }
    }

    fn on_push(&mut self, push: &Push) {
        match push {
            Push::Hold { hold } => self.own.on_hold(hold),
            Push::HoldEnded { show, hold, position, .. } if *show == self.show => self.own.on_ended(*hold, *position),
            Push::Booking { booking } => self.own.on_booking(booking),
            Push::Reread => self.want_own = self.connected,
            Push::HoldEnded { .. } | Push::Unknown => {}
        }
    }

    /// The show.
    #[must_use]
    pub const fn show(&self) -> ShowId {
        self.show
    }

    /// The map as everybody sees it.
    #[must_use]
    pub const fn map(&self) -> &SeatMap {
        &self.map
    }

    /// Own holds and bookings.
    #[must_use]
    pub const fn own(&self) -> &OwnThings {
        &self.own
    }

    /// Whether the map may be shown as the present state: connected, told something of the show since, followed without
    /// a gap, and the gateway has not said that it is out of touch itself.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.connected && self.heard && !self.stale && self.map.is_followed()
    }

    /// Whether the gateway said that it does not know the present state.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// A seat as this customer should see it; `None` when there is no map yet or no such seat.
    #[must_use]
    pub fn seat(&self, seat: SeatIndex) -> Option<SeatView> {
        let status = self.map.status(seat)?;
        if self.own.has(seat) {
            return Some(SeatView::Own);
        }
        if self.asked.values().any(|seats| seats.contains(&seat)) {
            return Some(SeatView::Asked);
        }
        Some(SeatView::Status(status))
    }
}

#[cfg(test)]
mod tests;
