//! `extend_hold`.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{ExtendHold, HoldInfo};

use super::settled;
use crate::app::App;

pub(crate) async fn run(app: &App, command: ExtendHold) -> Result<HoldInfo, ErrorBody> {
    let ExtendHold { show, customer, hold, key } = command;
    settled(app, show, app.holds.allow(&customer).await).await?;
    let outcome = app.holds.extend(show, &customer, hold, &key).await;
    failpoint!("extend.reply");
    settled(app, show, outcome).await
}
