//! `list_shows`, `list_availability` and `get_layout`: what is on sale, how much is left, and where the seats are.

use std::sync::Arc;

use seatwire_protocol::ErrorBody;
use seatwire_protocol::catalogue::Layout;
use seatwire_protocol::command::{AvailabilityReply, GetLayout, ListAvailability, ListShows, ShowsReply};
use time::macros::format_description;

use super::{db_error, no_such_show};
use crate::app::App;
use crate::db;

/// Longest name that is searched for, bytes: as long as the schema allows.
const NAME_BYTES_MAX: usize = 200;

pub(crate) async fn shows(app: &App, command: ListShows) -> Result<ShowsReply, ErrorBody> {
    check_filters(&command)?;
    let shows = db::shows::list(&app.db, &command).await.map_err(db_error)?;
    Ok(ShowsReply { shows })
}

pub(crate) async fn availability(app: &App, command: ListAvailability) -> Result<AvailabilityReply, ErrorBody> {
    let ListAvailability(filters) = command;
    check_filters(&filters)?;
    let shows = db::availability::list(&app.db, &filters).await.map_err(db_error)?;
    Ok(AvailabilityReply { shows })
}

pub(crate) async fn layout(app: &App, command: GetLayout) -> Result<Layout, ErrorBody> {
    let layout = app.layouts.get(command.show).await.map_err(db_error)?;
    layout.map(Arc::unwrap_or_clone).ok_or_else(|| no_such_show(command.show))
}

fn check_filters(filters: &ListShows) -> Result<(), ErrorBody> {
    check_name("city", filters.city.as_deref())?;
    check_name("movie", filters.movie.as_deref())?;
    if let Some(date) = &filters.date
        && time::Date::parse(date, format_description!("[year]-[month]-[day]")).is_err()
    {
        return Err(ErrorBody::bad_request("date", "date must be a day such as 2026-11-21"));
    }
    Ok(())
}

fn check_name(field: &str, name: Option<&str>) -> Result<(), ErrorBody> {
    let wrong = |name: &str| name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control);
    if name.is_some_and(wrong) {
        let text = format!("{field} must be 1-{NAME_BYTES_MAX} bytes without control characters");
        return Err(ErrorBody::bad_request(field, text));
    }
    Ok(())
}
