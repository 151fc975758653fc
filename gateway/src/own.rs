//! What a customer has of its own: who begins to watch a show is told of own holds and pending bookings, asked for in
//! batches; a pending booking is asked for every ten seconds, in case its push was lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use seatwire_protocol::command::{CustomerHolds, GetBooking, OwnHolds};
use seatwire_protocol::limits::CUSTOMERS_PER_COMMAND_MAX;
use seatwire_protocol::ws::Push;
use seatwire_protocol::{CustomerId, ShowId};
use tracing::debug;

use crate::app::App;
use crate::room::Room;
use crate::ws::connection::Connection;

/// Who joins within this time is asked for together.
const GATHER: Duration = Duration::from_millis(25);
const PENDING_EVERY: Duration = Duration::from_secs(10);

type Askers = HashMap<CustomerId, Vec<Arc<Connection>>>;

/// Looks up what the customer has at the show, soon, and pushes it.
pub fn ask(app: &Arc<App>, room: &Arc<Room>, customer: CustomerId, connection: &Arc<Connection>) {
    if !room.ask_own(customer, connection) {
        return;
    }
    let (for_task, room) = (Arc::clone(app), Arc::clone(room));
    app.spawn(async move {
        tokio::time::sleep(GATHER).await;
        let mut askers = Askers::new();
        for (customer, connection) in room.take_own_asks() {
            askers.entry(customer).or_default().push(connection);
        }
        let customers: Vec<CustomerId> = askers.keys().cloned().collect();
        for some in customers.chunks(CUSTOMERS_PER_COMMAND_MAX) {
            look_up(&for_task, room.show, some, &askers).await;
        }
    });
}

async fn look_up(app: &App, show: ShowId, customers: &[CustomerId], askers: &Askers) {
    let command = OwnHolds { show, customers: customers.to_vec() };
    match app.core.call(&command, app.config.command, 0).await {
        Ok(reply) => reply.customers.iter().for_each(|own| tell(app, own, askers)),
        // The client asks by itself as well; what it does not learn now it learns then.
        Err(error) => debug!(%show, code = %error.code, "own holds could not be asked for"),
    }
}

fn tell(app: &App, own: &CustomerHolds, askers: &Askers) {
    if own.holds.is_empty() && own.pending.is_empty() {
        return;
    }
    for connection in askers.get(&own.customer).into_iter().flatten() {
        // It may speak for somebody else by now.
        if connection.customer().as_ref() != Some(&own.customer) {
            continue;
        }
        app.customers.join_late(app, &own.customer, connection);
        app.customers.note_owner(&own.customer);
        for hold in &own.holds {
            app.customers.note_hold(&own.customer, hold.hold);
            connection.push(Push::Hold { hold: hold.clone() });
        }
        for booking in &own.pending {
            app.customers.note_booking(&own.customer, booking);
            connection.push(Push::Booking { booking: booking.clone() });
        }
    }
}

/// Asks for pending bookings, for the life of the process.
pub async fn watch_pending(app: Arc<App>) {
    let mut timer = tokio::time::interval(PENDING_EVERY);
    loop {
        timer.tick().await;
        pending_once(&app).await;
    }
}

/// Asks for each pending booking once; one at a time, since there are few and nobody waits.
pub async fn pending_once(app: &App) {
    for (customer, booking, told) in app.customers.pending() {
        let command = GetBooking { customer: customer.clone(), booking };
        match app.core.call(&command, app.config.command, 0).await {
            Ok(booking) if booking.version > told => app.customers.push(&customer, &Push::Booking { booking }),
            Ok(_) => {}
            Err(error) => debug!(?booking, code = %error.code, "a pending booking could not be asked for"),
        }
    }
}
