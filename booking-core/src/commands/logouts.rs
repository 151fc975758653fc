//! `log_out` and `get_logouts`. The ledger remembers, so that a Redis that lost its data brings no token back to life;
//! the control channel tells every gateway at once.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{GetLogouts, LogOut, LoggedOut, Logout, LogoutsReply};
use seatwire_protocol::feed::ControlMessage;
use seatwire_protocol::limits::LOGOUTS_PER_REPLY_MAX;

use super::{allowed, db_error, hold_error};
use crate::app::App;
use crate::db;

pub(crate) async fn log_out(app: &App, command: LogOut) -> Result<LoggedOut, ErrorBody> {
    let LogOut { customer, issued_at_ms, keep_ms } = command;
    allowed(app, &customer).await?;
    let logged_out = db::logouts::log_out(&app.db, &customer, issued_at_ms, keep_ms).await;
    let Logout { before_ms, .. } = logged_out.map_err(db_error)?;
    // Not told: the client repeats it. Who does not is logged out all the same, where gateways ask next.
    let told = app.holds.tell_gateways(&ControlMessage::Logout { customer, before_ms }).await;
    told.map_err(hold_error)?;
    Ok(LoggedOut { before_ms })
}

pub(crate) async fn list(app: &App, command: GetLogouts) -> Result<LogoutsReply, ErrorBody> {
    let GetLogouts { after, within_ms } = command;
    let found = db::logouts::list(&app.db, after, within_ms, LOGOUTS_PER_REPLY_MAX.saturating_add(1)).await;
    let mut logouts = found.map_err(db_error)?;
    let more = logouts.len() > LOGOUTS_PER_REPLY_MAX;
    logouts.truncate(LOGOUTS_PER_REPLY_MAX);
    Ok(LogoutsReply { logouts, more })
}
