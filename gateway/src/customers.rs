//! Which connections get which customer's pushes: those that hold or book something. Also keeps their pending bookings,
//! whose state the gateway asks for now and then, in case a push was lost.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::ws::Push;
use seatwire_protocol::{BookingId, CustomerId};

use crate::app::App;
use crate::feed::Topic;
use crate::ws::connection::Connection;

/// Pending bookings remembered for one customer; the core allows one a show.
const PENDING_PER_CUSTOMER_MAX: usize = 16;

/// Customers with something to be told.
#[derive(Default)]
pub struct Customers {
    entries: Mutex<HashMap<CustomerId, Entry>>,
}

#[derive(Default)]
struct Entry {
    connections: Vec<Arc<Connection>>,
    /// Pending bookings and the version that was told last.
    pending: Vec<(BookingId, u64)>,
}

impl Customers {
    /// The connection gets its customer's pushes from now on; the first one makes the gateway subscribe.
    pub fn join(&self, app: &App, customer: &CustomerId, connection: &Arc<Connection>) {
        if connection.interested.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut entries = self.lock();
        let entry = entries.entry(customer.clone()).or_default();
        let first = entry.connections.is_empty();
        entry.connections.push(Arc::clone(connection));
        drop(entries);
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

    /// The connection is over, or speaks for somebody else now; the last one makes the gateway unsubscribe.
    pub fn leave(&self, app: &App, connection: &Arc<Connection>) {
        if !connection.interested.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(identity) = connection.identity() else { return };
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&identity.customer) else { return };
        entry.connections.retain(|other| !Arc::ptr_eq(other, connection));
        if entry.connections.is_empty() {
            entries.remove(&identity.customer);
            drop(entries);
            app.feed.remove(Topic::Customer(identity.customer));
        }
    }

    pub fn has(&self, customer: &CustomerId) -> bool {
        self.lock().contains_key(customer)
    }

    /// Every customer now, to subscribe again.
    pub fn all(&self) -> Vec<CustomerId> {
        self.lock().keys().cloned().collect()
    }

    /// Gives a push to all connections of its customer.
    pub fn push(&self, customer: &CustomerId, push: &Push) {
        if let Push::Booking { booking } = push {
            self.note_booking(customer, booking);
        }
        for connection in self.connections(customer) {
            connection.push(push.clone());
        }
    }

    /// Pushes may have been lost: everybody should read own things again.
    pub fn reread_all(&self) {
        for customer in self.all() {
            self.push(&customer, &Push::Reread);
        }
    }

    /// Remembers or forgets a booking by its state.
    pub fn note_booking(&self, customer: &CustomerId, booking: &BookingInfo) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(customer) else { return };
        entry.pending.retain(|(id, _)| *id != booking.booking);
        if booking.state == BookingState::Pending && entry.pending.len() < PENDING_PER_CUSTOMER_MAX {
            entry.pending.push((booking.booking, booking.version));
        }
    }

    /// All pending bookings: whose, which, and the version told last.
    pub fn pending(&self) -> Vec<(CustomerId, BookingId, u64)> {
        let entries = self.lock();
        let each = entries.iter().flat_map(|(customer, entry)| {
            entry.pending.iter().map(|(booking, version)| (customer.clone(), *booking, *version))
        });
        each.collect()
    }

    fn connections(&self, customer: &CustomerId) -> Vec<Arc<Connection>> {
        self.lock().get(customer).map(|entry| entry.connections.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CustomerId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
