//! `release_hold`.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{ReleaseHold, Released};

use super::settled;
use crate::app::App;

pub(crate) async fn run(app: &App, command: ReleaseHold) -> Result<Released, ErrorBody> {
    let ReleaseHold { show, customer, hold } = command;
    settled(app, show, app.holds.allow(&customer).await).await?;
    let outcome = app.holds.release(show, &customer, hold).await;
    failpoint!("release.reply");
    settled(app, show, outcome).await
}
