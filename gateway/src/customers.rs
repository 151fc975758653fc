//! Which connections get which customer's pushes: all that watch a show, so that a hold made in one window or on one
//! device is known in the others at once. One subscription a customer, however many connections.
//!
//! Against lost pushes: pending bookings are kept here, for the gateway to ask for now and then; and a hold whose end the
//! show's feed tells, but not its owner's channel, makes the owner read own things again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seatwire_protocol::command::{BookingInfo, BookingState, HoldPhase};
use seatwire_protocol::ws::Push;
use seatwire_protocol::{BookingId, CustomerId, HoldId};

use crate::app::App;
use crate::feed::Topic;
use crate::own;
use crate::ws::connection::Connection;

/// Pending bookings remembered for one customer; the core allows one a show.
const PENDING_PER_CUSTOMER_MAX: usize = 16;

/// Live holds remembered for one customer, over all shows.
const HOLDS_PER_CUSTOMER_MAX: usize = 16;
/// The owner of a hold hears of its end within this, or is asked to read.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// Ends that wait to be told. What does not fit is not checked: the owner's page finds out by its own countdown.
const ENDS_MAX: usize = 16_384;

/// Customers who may have something to be told.
#[derive(Default)]
pub struct Customers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<CustomerId, Entry>,
    /// Live holds of customers who are connected here, as they were told.
    holds: HashMap<HoldId, CustomerId>,
    /// Of these, the ones whose end the feed told, and when.
    ends: VecDeque<(Instant, HoldId)>,
}

#[derive(Default)]
struct Entry {
    connections: Vec<Arc<Connection>>,
    /// Whether it was seen to hold or book something.
    owns: bool,
    /// Live holds that were told.
    holds: Vec<HoldId>,
    /// Pending bookings and the version that was told last.
    pending: Vec<(BookingId, u64)>,
}

impl Customers {
    /// The connection gets its customer's pushes from now on; the first one makes the gateway subscribe.
    pub fn join(&self, app: &App, customer: &CustomerId, connection: &Arc<Connection>) {
        if connection.interested.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut inner = self.lock();
        let entry = inner.entries.entry(customer.clone()).or_default();
        let first = entry.connections.is_empty();
        entry.connections.push(Arc::clone(connection));
        drop(inner);
        if first {
            app.feed.add(Topic::Customer(customer.clone()));
        }
    }

    /// The same, from a task that may have outlived the connection's session, which then would not clean up after it.
    pub fn join_late(&self, app: &App, customer: &CustomerId, connection: &Arc<Connection>) {
        if connection.customer().as_ref() == Some(customer) {
            self.join(app, customer, connection);
        }
        if connection.is_over() {
            self.leave(app, connection);
        }
    }

    /// The customer holds or books something.
    pub fn note_owner(&self, customer: &CustomerId) {
        if let Some(entry) = self.lock().entries.get_mut(customer) {
            entry.owns = true;
        }
    }

    /// The connection is over, or speaks for somebody else now; the last one makes the gateway unsubscribe.
    pub fn leave(&self, app: &App, connection: &Arc<Connection>) {
        if !connection.interested.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(identity) = connection.identity() else { return };
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&identity.customer) else { return };
        entry.connections.retain(|other| !Arc::ptr_eq(other, connection));
        if entry.connections.is_empty() {
            let gone = inner.entries.remove(&identity.customer);
            for hold in gone.into_iter().flat_map(|entry| entry.holds) {
                inner.holds.remove(&hold);
            }
            drop(inner);
            app.feed.remove(Topic::Customer(identity.customer));
        }
    }

    pub fn has(&self, customer: &CustomerId) -> bool {
        self.lock().entries.contains_key(customer)
    }

    /// Every customer now, to subscribe again.
    pub fn all(&self) -> Vec<CustomerId> {
        self.lock().entries.keys().cloned().collect()
    }

    /// Gives a push to all connections of its customer.
    pub fn push(&self, customer: &CustomerId, push: &Push) {
        match push {
            Push::Booking { booking } => self.note_booking(customer, booking),
            Push::Hold { hold } if hold.phase == HoldPhase::Ended => self.forget_hold(&hold.hold),
            Push::Hold { hold } => self.note_hold(customer, hold.hold),
            Push::HoldEnded { hold, .. } => self.forget_hold(hold),
            _ => {}
        }
        for connection in self.connections(customer) {
            connection.push(push.clone());
        }
    }

    /// Pushes may have been lost: who is known to own something should read it again; the others are looked up in
    /// batches, since one of their other devices may have made a hold meanwhile.
    pub fn reread_all(&self, app: &Arc<App>) {
        let (mut owners, mut others) = (Vec::new(), Vec::new());
        for (customer, entry) in &self.lock().entries {
            if entry.owns {
                owners.push(customer.clone());
            } else {
                others.extend(entry.connections.iter().map(|connection| (customer.clone(), Arc::clone(connection))));
            }
        }
        for customer in owners {
            self.push(&customer, &Push::Reread);
        }
        for (customer, connection) in others {
            let rooms: Vec<_> = connection.outbound().watches().iter().map(|watch| Arc::clone(&watch.room)).collect();
            for room in rooms {
                own::ask(app, &room, customer.clone(), &connection);
            }
        }
    }

    /// The customer was told of a live hold.
    pub fn note_hold(&self, customer: &CustomerId, hold: HoldId) {
        let mut inner = self.lock();
        let Inner { entries, holds, .. } = &mut *inner;
        let Some(entry) = entries.get_mut(customer) else { return };
        entry.owns = true;
        if entry.holds.len() < HOLDS_PER_CUSTOMER_MAX && !entry.holds.contains(&hold) {
            entry.holds.push(hold);
            holds.insert(hold, customer.clone());
        }
    }

    fn forget_hold(&self, hold: &HoldId) {
        let mut inner = self.lock();
        let Some(customer) = inner.holds.remove(hold) else { return };
        if let Some(entry) = inner.entries.get_mut(&customer) {
            entry.holds.retain(|other| other != hold);
        }
    }

    /// The feed told the end of these holds; their owners should be told as well, soon.
    pub fn holds_ended(&self, holds: &[HoldId]) {
        let mut inner = self.lock();
        let now = Instant::now();
        for hold in holds {
            if inner.holds.contains_key(hold) && inner.ends.len() < ENDS_MAX {
                inner.ends.push_back((now, *hold));
            }
        }
    }

    /// Owners who were not told of an end in time should read own things again.
    pub fn reread_untold(&self) {
        let mut untold = Vec::new();
        {
            let mut inner = self.lock();
            let now = Instant::now();
            while let Some((at, hold)) = inner.ends.front().copied() {
                if now.duration_since(at) < TOLD_WITHIN {
                    break;
                }
                inner.ends.pop_front();
                untold.extend(inner.holds.get(&hold).cloned().map(|customer| (customer, hold)));
            }
        }
        for (customer, hold) in untold {
            self.forget_hold(&hold);
            self.push(&customer, &Push::Reread);
        }
    }

    /// Remembers or forgets a booking by its state.
    pub fn note_booking(&self, customer: &CustomerId, booking: &BookingInfo) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(customer) else { return };
        entry.owns = true;
        entry.pending.retain(|(id, _)| *id != booking.booking);
        if booking.state == BookingState::Pending && entry.pending.len() < PENDING_PER_CUSTOMER_MAX {
            entry.pending.push((booking.booking, booking.version));
        }
    }

    /// All pending bookings: whose, which, and the version told last.
    pub fn pending(&self) -> Vec<(CustomerId, BookingId, u64)> {
        let inner = self.lock();
        let each = inner.entries.iter().flat_map(|(customer, entry)| {
            entry.pending.iter().map(|(booking, version)| (customer.clone(), *booking, *version))
        });
        each.collect()
    }

    fn connections(&self, customer: &CustomerId) -> Vec<Arc<Connection>> {
        self.lock().entries.get(customer).map(|entry| entry.connections.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
