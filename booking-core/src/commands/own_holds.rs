//! `own_holds`: live holds of customers at a show, and pending bookings of those among them that have some. The store
//! knows who has; nobody else costs a query.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{CustomerHolds, OwnHolds, OwnHoldsReply};
use seatwire_protocol::limits::CUSTOMERS_PER_COMMAND_MAX;

use super::{db_error, settled};
use crate::app::App;
use crate::db;

pub(crate) async fn run(app: &App, command: OwnHolds) -> Result<OwnHoldsReply, ErrorBody> {
    let OwnHolds { show, customers } = command;
    if customers.len() > CUSTOMERS_PER_COMMAND_MAX {
        let text = format!("{} customers in one command; at most {CUSTOMERS_PER_COMMAND_MAX}", customers.len());
        return Err(ErrorBody::bad_request("customers", text));
    }
    let found = settled(app, show, app.holds.own_holds(show, &customers).await).await?;
    let with_pending: Vec<_> = customers
        .iter()
        .zip(&found)
        .filter(|(_, (_, pending))| *pending > 0)
        .map(|(customer, _)| customer.clone())
        .collect();
    let mut bookings = Vec::new();
    if !with_pending.is_empty() {
        bookings = db::bookings::pending_of(&app.db, show, &with_pending).await.map_err(db_error)?;
    }
    let customers = customers
        .into_iter()
        .zip(found)
        .map(|(customer, (holds, _))| {
            let own = bookings.iter().filter(|(owner, _)| *owner == customer);
            let pending = own.map(|(_, booking)| app.saga.with_checkout(booking.clone())).collect();
            CustomerHolds { customer, holds, pending }
        })
        .collect();
    Ok(OwnHoldsReply { customers })
}
