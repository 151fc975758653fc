//! A backend that sells seats without a gateway: holds the best seats, books them, and waits for the payment.
//!
//! ```sh
//! SEATWIRE_CORE_SECRET=… cargo run -p seatwire-protocol --features client --example sell_seats -- \
//!     127.0.0.1:7100 SHOW SEATS CUSTOMER E-MAIL
//! ```
//!
//! Everything that has an effect carries a key of its own. Run it twice with the same customer within five minutes and
//! it goes on with the same hold and the same booking: that is what a backend does after a crash.

use std::time::Duration;

use anyhow::{Context as _, bail};
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::{BestAvailable, Book, BookingState, GetBooking, HoldSeats, RefundState};
use seatwire_protocol::{CustomerId, ErrorBody, IdempotencyKey, ShowId};

/// For one command, retries of the client included.
const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [core, show, count, customer, email] = args.as_slice() else {
        bail!("usage: sell_seats HOST:PORT SHOW SEATS CUSTOMER E-MAIL, with the secret in SEATWIRE_CORE_SECRET");
    };
    let secret = std::env::var("SEATWIRE_CORE_SECRET").context("SEATWIRE_CORE_SECRET")?;
    let client = CoreClient::new(CoreClientConfig::new(vec![core.clone()], secret, "sell_seats"));
    let show: ShowId = show.parse()?;
    let customer: CustomerId = customer.parse()?;
    let best = BestAvailable { count: count.parse().context("SEATS wants a number")?, tier: None };

    let key: IdempotencyKey = format!("sell/{show}/{count}/hold").parse()?;
    let hold = HoldSeats { show, customer: customer.clone(), key, seats: Vec::new(), best: Some(best) };
    let hold = client.call(&hold, DEADLINE, 0).await.map_err(|error| explain("no hold", &error))?;
    println!("held seats {:?} for {} s", hold.seats, hold.remaining_ms / 1_000);

    let key: IdempotencyKey = format!("sell/{show}/{count}/book").parse()?;
    let book = Book { show, customer: customer.clone(), hold: hold.hold, key, email: email.clone() };
    let mut booking = client.call(&book, DEADLINE, 0).await.map_err(|error| explain("no booking", &error))?;
    println!("booked {} for {} {}", booking.labels.join(" "), booking.amount, booking.currency);
    println!("pay at {}", booking.checkout_url.as_deref().unwrap_or("(nothing to pay)"));

    // A backend that books thousands reads the event bus instead, see docs/EVENTS.md.
    let ask = GetBooking { customer, booking: booking.booking };
    while booking.state == BookingState::Pending {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match client.call(&ask, DEADLINE, 0).await {
            Ok(now) => booking = now,
            Err(error) if error.code.is_retryable() => eprintln!("asking again: {}", error.message),
            Err(error) => return Err(explain("the booking can't be read", &error)),
        }
    }
    match booking.state {
        BookingState::Confirmed => println!("confirmed"),
        state => {
            let back = booking.refunds.iter().filter(|refund| refund.state != RefundState::Failed);
            println!("{state:?}; {} comes back", back.map(|refund| refund.amount).sum::<u64>());
        }
    }
    Ok(())
}

fn explain(what: &str, error: &ErrorBody) -> anyhow::Error {
    let seats: Vec<String> = error.seats.iter().map(|seat| format!("{:?} {:?}", seat.label, seat.reason)).collect();
    anyhow::anyhow!("{what}: {}: {} {}", error.code, error.message, seats.join(", "))
}
