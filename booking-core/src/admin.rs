//! `seatwire-core admin`: the operator's command line. It talks to a core's authenticated HTTP routes and nothing else,
//! so it may run wherever those can be reached, and everything that it does is judged and logged by the core.

mod call;
mod print;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use seatwire_protocol::{BookingId, HoldId, ShowId};
use serde_json::{Value, json};

use crate::config::Secret;
use crate::form::percent_encoded;
use call::Core;

/// Where the token is looked for when no file is named.
const TOKEN_VARIABLE: &str = "SEATWIRE_ADMIN_TOKEN";

#[derive(Debug, Args)]
#[command(
    after_help = "The token is read from --token-file, else from the variable SEATWIRE_ADMIN_TOKEN; it is never an \
    argument, which other users of the machine could see.\n\
    Exit codes: 0 when it is done, 1 when the core refused or is out of reach, 2 when the command line is wrong."
)]
pub struct AdminArgs {
    /// Base URL of a core's HTTP listener
    #[arg(long, env = "SEATWIRE_ADMIN_URL", default_value = "http://127.0.0.1:7101", value_name = "URL")]
    url: String,
    /// File whose first line is the admin token [default: the variable SEATWIRE_ADMIN_TOKEN]
    #[arg(long, env = "SEATWIRE_ADMIN_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Who you are, for the core's log
    #[arg(long, env = "SEATWIRE_OPERATOR", value_name = "NAME", default_value = "")]
    operator: String,
    /// Why you do it, for the core's log
    #[arg(long, global = true, value_name = "TEXT", default_value = "")]
    note: String,
    /// Prints the core's answer as JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Shows sale state, position and counts of a show, in the ledger and in Redis
    Show { show: ShowId },
    /// Lists who changed a seat, when, from what to what, and why; newest first
    History {
        show: ShowId,
        /// Index of the seat, or its label, such as C7
        seat: String,
    },
    /// Lists the live holds of a show
    Holds { show: ShowId },
    /// Ends a hold; its owner is told
    Release {
        show: ShowId,
        /// Id of the hold, as `holds` lists it
        hold: HoldId,
    },
    /// Takes available seats off sale, all or none; holds on them end
    Block(Seats),
    /// Puts blocked seats on sale again, all or none
    Unblock(Seats),
    /// Opens the sale of a show now
    Open { show: ShowId },
    /// Closes the sale of a show
    Close { show: ShowId },
    /// Lets the sale of a show open by itself later
    Schedule {
        show: ShowId,
        /// When, in milliseconds since 1970
        #[arg(value_name = "MS")]
        opens_at_ms: i64,
    },
    /// Sets whether holds may leave a single seat alone: refuse or allow
    SingleSeats {
        show: ShowId,
        /// What holds that would leave one get
        #[arg(value_parser = ["refuse", "allow"])]
        rule: String,
    },
    /// Shows a booking: its state, seats and money, and so whether a scanned ticket is good
    Booking {
        /// Id of the booking: what stands after `SEATWIRE:` in a ticket's code
        booking: BookingId,
    },
    /// Cancels a booking whose customer can't or won't, with its refund
    CancelBooking {
        /// Id of the booking, as its customer sees it, or as `history` lists it
        booking: BookingId,
    },
    /// Cancels a show for good: the sale is closed, its seats are blocked, its bookings are cancelled and refunded
    CancelShow {
        show: ShowId,
        /// That this is meant: it can't be undone
        #[arg(long)]
        yes: bool,
    },
    /// Loads the seat map of a show from the ledger again, under a new generation
    Reload { show: ShowId },
    /// Counts what waits in the queues, and what is parked and waits for you
    Backlog,
    /// Lists the parked rows, the oldest first: what each is about, since when, and why
    Parked,
    /// Gives a parked row another try
    Requeue {
        /// The row, as `parked` lists it: inbox-NUMBER, outbox-NUMBER, refund-UUID, bus-UUID or mail-UUID
        #[arg(value_name = "ROW")]
        id: String,
    },
    /// Ends the wait of a parked row that you have looked at: an event that is not ours, or a mail that nobody gets.
    /// What money or seats depend on can only be requeued
    Dismiss {
        /// The row, as `parked` lists it
        #[arg(value_name = "ROW")]
        id: String,
    },
}

#[derive(Debug, Args)]
struct Seats {
    show: ShowId,
    /// Indexes of seats, and ranges of them: 3 5 10-19
    #[arg(required = true, value_parser = seat_range)]
    seats: Vec<(u32, u32)>,
}

impl Seats {
    fn body(&self) -> Value {
        let seats: Vec<u32> = self.seats.iter().flat_map(|(first, last)| *first..=*last).collect();
        json!({ "seats": seats })
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The command line or its surroundings are wrong.
    #[error("{0}")]
    Usage(String),
    /// The core refused, or is out of reach.
    #[error("{0}")]
    Failed(String),
}

/// Does what the command line says; answers what is to be printed.
///
/// # Errors
/// [`AdminError`], with a text for the operator.
pub async fn run(args: AdminArgs) -> Result<String, AdminError> {
    let core = Core::new(&args.url, &token(&args)?, &args.operator, &args.note)?;
    let show = |show: &ShowId| format!("/admin/shows/{show}");
    let sale = |of: &ShowId, body| (Method::POST, format!("{}/sale", show(of)), body);
    let (method, path, body) = match &args.act {
        Act::Show { show: of } => (Method::GET, show(of), Value::Null),
        Act::History { show: of, seat } => {
            (Method::GET, format!("{}/seats/{}/history", show(of), percent_encoded(seat)), Value::Null)
        }
        Act::Holds { show: of } => (Method::GET, format!("{}/holds", show(of)), Value::Null),
        Act::Release { show: of, hold } => {
            (Method::POST, format!("{}/holds/{}/release", show(of), hold.to_hex()), Value::Null)
        }
        Act::Block(seats) => (Method::POST, format!("{}/block", show(&seats.show)), seats.body()),
        Act::Unblock(seats) => (Method::POST, format!("{}/unblock", show(&seats.show)), seats.body()),
        Act::Open { show: of } => sale(of, json!({ "state": "open" })),
        Act::Close { show: of } => sale(of, json!({ "state": "closed" })),
        Act::Schedule { show: of, opens_at_ms } => sale(of, json!({ "state": "before", "opens_at_ms": opens_at_ms })),
        Act::SingleSeats { show: of, rule } => {
            (Method::POST, format!("{}/options", show(of)), json!({ "no_orphan": rule == "refuse" }))
        }
        Act::Booking { booking } => (Method::GET, format!("/admin/bookings/{}", booking.to_hex()), Value::Null),
        Act::CancelBooking { booking } => {
            (Method::POST, format!("/admin/bookings/{}/cancel", booking.to_hex()), Value::Null)
        }
        Act::CancelShow { show: of, yes: true } => (Method::POST, format!("{}/cancel", show(of)), Value::Null),
        Act::CancelShow { show: of, yes: false } => {
            let text = format!("cancelling show {of} refunds all its bookings and can't be undone; repeat with --yes");
            return Err(AdminError::Usage(text));
        }
        Act::Reload { show: of } => (Method::POST, format!("{}/reload", show(of)), Value::Null),
        Act::Backlog => (Method::GET, "/admin/backlog".to_owned(), Value::Null),
        Act::Parked => (Method::GET, "/admin/parked".to_owned(), Value::Null),
        Act::Dismiss { id } => (Method::POST, format!("/admin/dismiss/{}", percent_encoded(id)), Value::Null),
        Act::Requeue { id } => (Method::POST, format!("/admin/requeue/{}", percent_encoded(id)), Value::Null),
    };
    let answer = core.call(method, &path, &body).await?;
    if args.json {
        return Ok(format!("{answer:#}"));
    }
    Ok(match &args.act {
        Act::History { .. } => print::history(&answer),
        Act::Holds { .. } => print::holds(&answer),
        Act::Backlog => print::backlog(&answer),
        Act::Parked => print::parked(&answer),
        _ => print::fields(&answer),
    })
}

fn token(args: &AdminArgs) -> Result<Secret, AdminError> {
    let text = match &args.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| AdminError::Usage(format!("can't read the token file {}: {error}", path.display())))?,
        None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
            AdminError::Usage(format!("no admin token: set {TOKEN_VARIABLE}, or name a file with --token-file"))
        })?,
    };
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(Secret::new(token.to_owned())),
        _ => Err(AdminError::Usage("the admin token is empty".to_owned())),
    }
}

/// `7`, or `10-19`.
fn seat_range(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.parse::<u16>().map(u32::from).map_err(|_| format!("{text:?} is no seat index"));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("{first} is above {last}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_indexes_and_ranges() {
        assert_eq!(seat_range("7"), Ok((7, 7)));
        assert_eq!(seat_range("10-19"), Ok((10, 19)));
        for wrong in ["", "-", "a", "3-", "-3", "5-4", "70000", "1-2-3"] {
            assert!(seat_range(wrong).is_err(), "{wrong:?}");
        }
    }
}
