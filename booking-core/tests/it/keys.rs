//! Idempotency keys at the port (B22): one effect for one customer, told in its present state, for a day.

use futures_util::future::join_all;
use seatwire_protocol::ErrorCode;
use seatwire_protocol::command::{Book, BookingState, CancelBooking, HoldInfo};

use crate::world::{World, customer, key, until};

fn book(who: &str, hold: &HoldInfo, with: &str, email: &str) -> Book {
    Book { show: hold.show, customer: customer(who), hold: hold.hold, key: key(with), email: email.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_one_effect_for_its_customer_and_tells_what_became_of_it() {
    let world = World::start().await;
    let (show, _) = world.open_show().await;
    let shortest = "k";
    let longest = "~".repeat(255);
    for (at, with) in [shortest, longest.as_str()].into_iter().enumerate() {
        let (ann, bob) = (format!("ann{at}"), format!("bob{at}"));
        let seat = u32::try_from(at).unwrap() * 10;
        let hold = world.hold(&ann, show, with, &[seat]).await.unwrap();
        // Eight at once: each waits for the first, or is told that it is at work.
        let command = book(&ann, &hold, with, "ann@example.org");
        let answers = join_all((0..8).map(|_| world.call(&command))).await;
        let mut bookings = Vec::new();
        for answer in answers {
            match answer {
                Ok(booking) => bookings.push(booking.booking),
                Err(error) => assert_eq!(error.code, ErrorCode::InProgress, "{error}"),
            }
        }
        bookings.dedup();
        assert_eq!(bookings.len(), 1, "{with}: one effect");
        let pending = world.call(&command).await.unwrap();
        assert_eq!((pending.booking, pending.state), (bookings[0], BookingState::Pending));

        // Another body, in any of its fields.
        let other_email = book(&ann, &hold, with, "other@example.org");
        let other_hold =
            book(&ann, &world.hold(&ann, show, "second", &[seat + 2]).await.unwrap(), with, "ann@example.org");
        for other in [other_email, other_hold] {
            let refused = world.call(&other).await.unwrap_err();
            assert_eq!((refused.code, refused.field.as_deref()), (ErrorCode::KeyReused, Some("key")));
        }
        // Another customer's key of the same name is another key.
        let his = world.hold(&bob, show, with, &[seat + 4]).await.unwrap();
        let other = world.call(&book(&bob, &his, with, "ann@example.org")).await.unwrap();
        assert_ne!(other.booking, pending.booking);
        // So is that of another operation; and one key cancels one booking.
        let cancel = |booking| CancelBooking { customer: customer(&bob), booking, key: key(with) };
        let cancelled = world.call(&cancel(other.booking)).await.unwrap();
        assert_eq!(cancelled.state, BookingState::Cancelled);
        let hers = world.call(&cancel(pending.booking)).await.unwrap_err();
        assert_eq!((hers.code, hers.field.as_deref()), (ErrorCode::KeyReused, Some("key")));
        let now_cancelled = world.call(&book(&bob, &his, with, "ann@example.org")).await.unwrap();
        assert_eq!((now_cancelled.booking, now_cancelled.state), (other.booking, BookingState::Cancelled));

        // The present state, also when the hold is long forgotten.
        world.pay(&pending).await;
        let confirmed = || async { world.call(&command).await.unwrap().state == BookingState::Confirmed };
        until("the key tells of the payment", confirmed).await;
        let sql = world.sql().await;
        sql.batch_execute("UPDATE idempotency_keys SET created_at = created_at - interval '23 hours'").await.unwrap();
        let mut connection = redis::Client::open(world.redis.url()).unwrap().get_connection().unwrap();
        let _: () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
        until("almost a day later", confirmed).await;
        let counted = sql.query_one("SELECT count(*) FROM bookings", &[]).await.unwrap().get::<_, i64>(0);
        assert_eq!(counted, 2 * (i64::try_from(at).unwrap() + 1));
    }
    world.end().await;
}
