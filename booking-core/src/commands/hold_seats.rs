//! `hold_seats`: checks the shape of the wish and how much this customer wanted of late; everything that depends on the
//! show's state is judged by the script.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{HoldInfo, HoldSeats};
use seatwire_protocol::limits::SEATS_PER_HOLD_MAX;

use super::settled;
use crate::app::App;

pub(crate) async fn run(app: &App, mut command: HoldSeats) -> Result<HoldInfo, ErrorBody> {
    check(&mut command)?;
    let HoldSeats { show, customer, key, seats, best } = command;
    settled(app, show, app.holds.allow_hold(show, &customer, &key).await).await?;
    let outcome = app.holds.hold(show, &customer, &key, &seats, best.as_ref()).await;
    if let Ok(Ok(hold)) = &outcome {
        app.holds.count_hold(&customer, hold.hold).await;
    }
    failpoint!("hold.reply");
    settled(app, show, outcome).await
}

/// 1 to 10 different seats, or a wish for adjacent ones, not both. Leaves the seats sorted.
fn check(command: &mut HoldSeats) -> Result<(), ErrorBody> {
    let seats = &mut command.seats;
    let Some(best) = &command.best else {
        if seats.is_empty() {
            return Err(ErrorBody::bad_request("seats", "name at least one seat, or ask for the best available"));
        }
        if seats.len() > SEATS_PER_HOLD_MAX {
            let text = format!("{} seats asked for; a hold has at most {SEATS_PER_HOLD_MAX}", seats.len());
            return Err(ErrorBody::bad_request("seats", text));
        }
        seats.sort_unstable();
        let twice = seats.windows(2).find_map(|pair| (pair.first() == pair.last()).then(|| pair.first()).flatten());
        return match twice {
            Some(seat) => Err(ErrorBody::bad_request("seats", format!("seat number {seat} is named twice"))),
            None => Ok(()),
        };
    };
    if !seats.is_empty() {
        return Err(ErrorBody::bad_request("best", "name seats or ask for the best available, not both"));
    }
    if best.count == 0 || usize::try_from(best.count).is_ok_and(|count| count > SEATS_PER_HOLD_MAX) {
        let text = format!("{} adjacent seats asked for; it must be 1 to {SEATS_PER_HOLD_MAX}", best.count);
        return Err(ErrorBody::bad_request("best.count", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::command::BestAvailable;
    use seatwire_protocol::{CustomerId, IdempotencyKey, SeatIndex, ShowId};

    use super::*;

    fn checked(seats: &[u32], best: Option<u32>) -> Result<Vec<u32>, String> {
        let mut command = HoldSeats {
            show: ShowId::new(1).unwrap(),
            customer: CustomerId::new("ann").unwrap(),
            key: IdempotencyKey::new("k").unwrap(),
            seats: seats.iter().map(|seat| SeatIndex(*seat)).collect(),
            best: best.map(|count| BestAvailable { count, tier: None }),
        };
        check(&mut command).map_err(|error| error.field.unwrap())?;
        Ok(command.seats.iter().map(|seat| seat.0).collect())
    }

    #[test]
    fn one_to_ten_different_seats_or_a_wish() {
        assert_eq!(checked(&[3, 1, 2], None), Ok(vec![1, 2, 3]));
        assert_eq!(checked(&[], Some(10)), Ok(vec![]));
        for (seats, best, field) in [
            (&[][..], None, "seats"),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], None, "seats"),
            (&[7, 1, 7], None, "seats"),
            (&[1], Some(1), "best"),
            (&[], Some(0), "best.count"),
            (&[], Some(11), "best.count"),
            (&[], Some(u32::MAX), "best.count"),
        ] {
            assert_eq!(checked(seats, best), Err(field.to_owned()));
        }
    }
}
