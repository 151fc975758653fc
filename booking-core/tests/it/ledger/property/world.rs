//! Runs a list on the real servers and on the model, side by side.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use hyper::Method;
use seatwire_protocol::command::{BookingInfo, BookingState, CancelBooking};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{CustomerId, HoldId, SeatIndex, SeatStatus, ShowId};
use serde_json::{Value, json};

use super::model::{Model, Seat, State};
use super::ops::{CUSTOMERS, How, Op};
use crate::ledger::rig::{PATIENCE, Rig, book, customer, idempotency_key};

pub(super) struct World<'r> {
    rig: &'r Rig,
    show: ShowId,
    model: Model,
    holds: [Option<HoldId>; CUSTOMERS],
    bookings: Vec<BookingInfo>,
    /// Of keys that were used.
    keys: u32,
}

type Checked = Result<(), String>;

fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Checked {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, and {expected:?} was to be expected")) }
}

/// As the rig's, but a failure is the list's.
async fn until(what: &str, condition: impl AsyncFn() -> bool) -> Checked {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The word of a refusal.
fn word(refusal: &impl Debug) -> String {
    format!("{refusal:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

impl<'r> World<'r> {
    /// The facts that came up; or what was not as it has to be.
    pub(super) async fn run(rig: &'r Rig, ops: &[Op]) -> Result<Vec<&'static str>, String> {
        let show = rig.new_show().await;
        let (holds, bookings) = ([None; CUSTOMERS], Vec::new());
        let mut world = Self { rig, show, model: Model::new(), holds, bookings, keys: 0 };
        // A busy machine may load the map for longer than a command waits.
        until("the map", async || matches!(rig.holds.snapshot(show).await, Ok(Ok(_)))).await?;
        for (n, op) in ops.iter().enumerate() {
            world.step(op).await.map_err(|error| format!("step {n}, {op:?}: {error}"))?;
            world.mark_applied().await;
        }
        world.finish().await.map_err(|error| format!("at the end: {error}"))?;
        Ok(world.model.facts)
    }

    fn customer(&self, who: usize) -> CustomerId {
        customer(&format!("{}-{}", ["ann", "bob", "cid"][who], self.show))
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("key-{}", self.keys)
    }

    async fn step(&mut self, op: &Op) -> Checked {
        match op {
            Op::Hold { who, seats } => self.hold(*who, seats).await,
            Op::Release { who } => self.release(*who).await,
            Op::Book { who, twice } => self.book(*who, *twice).await,
            Op::Pay { who, back, how } => match self.model.booking_of(*who, *back) {
                Some(booking) => self.pay(booking, *how).await,
                None => Ok(()),
            },
            Op::Cancel { who, back, twice } => match self.model.booking_of(*who, *back) {
                Some(booking) => self.cancel(*who, booking, *twice).await,
                None => Ok(()),
            },
            Op::Expire { who, back } => match self.model.booking_of(*who, *back) {
                Some(booking) if self.model.bookings[booking].state == State::Pending => self.expire(booking).await,
                _ => Ok(()),
            },
            Op::CancelByOperator { who, back } => match self.model.booking_of(*who, *back) {
                Some(booking) => {
                    let id = self.bookings[booking].booking;
                    self.rig.saga.cancel_by_operator(id).await.unwrap().unwrap();
                    self.model.cancel(booking, true);
                    self.has_its_state(booking).await
                }
                None => Ok(()),
            },
            Op::Reconcile { who, back } => match self.model.booking_of(*who, *back) {
                Some(booking) => self.reconcile(booking).await,
                None => Ok(()),
            },
            Op::Refund => {
                self.rig.saga.refund_once().await.unwrap();
                Ok(())
            }
            Op::CancelShow => {
                self.rig.saga.cancel_show(self.show).await.unwrap().unwrap();
                let left = format!("SELECT count(*) FROM booking_seats WHERE show_id = {} AND active", self.show);
                until("the end of every booking", async || {
                    self.rig.saga.cancel_shows_once().await.unwrap();
                    self.rig.count(&left).await == 0
                })
                .await?;
                self.model.cancel_show();
                self.holds = [None; CUSTOMERS];
                Ok(())
            }
        }
    }

    /// One hold a customer at a time.
    async fn hold(&mut self, who: usize, seats: &[u32]) -> Checked {
        if self.holds[who].is_some() {
            return Ok(());
        }
        let (customer, key) = (self.customer(who), idempotency_key(&self.key()));
        let indexes: Vec<SeatIndex> = seats.iter().copied().map(SeatIndex).collect();
        let held = self.rig.holds.hold(self.show, &customer, &key, &indexes, None).await.unwrap();
        self.holds[who] = held.as_ref().ok().map(|hold| hold.hold);
        let expected = self.model.hold(who, seats).map_err(str::to_owned);
        same("answer", &held.map(|_| ()).map_err(|refusal| word(&refusal)), &expected)
    }

    async fn release(&mut self, who: usize) -> Checked {
        let Some(hold) = self.holds[who].take() else { return Ok(()) };
        let released = self.rig.holds.release(self.show, &self.customer(who), hold).await.unwrap();
        self.model.release(who);
        same("released", &released.is_ok(), &true)
    }

    async fn book(&mut self, who: usize, twice: bool) -> Checked {
        let Some(hold) = self.holds[who] else { return Ok(()) };
        let command = book(self.show, &self.customer(who), hold, &self.key());
        let booked = self.rig.saga.book(&command).await.unwrap();
        let expected = self.model.book(who).map_err(str::to_owned);
        same("answer", &booked.as_ref().map(|_| ()).map_err(word), &expected)?;
        let Ok(booking) = booked else { return Ok(()) };
        self.holds[who] = None;
        same("state", &booking.state, &BookingState::Pending)?;
        if twice {
            let again = self.rig.saga.book(&command).await.unwrap().map_err(|refusal| word(&refusal))?;
            same("the same key again", &again.booking, &booking.booking)?;
        }
        self.bookings.push(booking);
        Ok(())
    }

    async fn pay(&mut self, booking: usize, how: How) -> Checked {
        if how == How::Untold && self.model.bookings.iter().any(|booking| booking.untold) {
            // Two of them would be settled in any order.
            return Ok(());
        }
        let order = self.bookings[booking].order.clone().ok_or("no order")?;
        let switches = match how {
            How::Right => json!({"outcome": "success"}),
            How::Copied => json!({"outcome": "success", "copies": 3}),
            How::Wrong => json!({"outcome": "success", "amount": 100}),
            How::Double => json!({"outcome": "success", "double": true}),
            How::Declined => json!({"outcome": "failure"}),
            How::Revived => json!({"outcome": "failure", "capture_after_ms": 1}),
            How::Untold => json!({"outcome": "success", "lose": true}),
        };
        let (status, answer) = self.rig.call(Method::POST, &format!("/checkout/{order}/pay"), Some(switches)).await;
        if status == 400 && self.model.bookings[booking].captured > 0 {
            // Paid for already, says the provider.
            return Ok(());
        }
        same("status at the checkout", &(status, &answer), &(200, &answer))?;
        let payments = match how {
            How::Double => answer["payments"].as_array().cloned().unwrap_or_default(),
            How::Declined | How::Untold => Vec::new(),
            _ => vec![answer["payment"].clone()],
        };
        let ids: Vec<&str> = payments.iter().filter_map(Value::as_str).collect();
        let settled =
            format!("SELECT count(*) FROM payments WHERE outcome IS NOT NULL AND id IN ('{}')", ids.join("', '"));
        until("settlement", async || {
            self.rig.saga.settle_once().await.unwrap();
            usize::try_from(self.rig.count(&settled).await).unwrap() == ids.len()
        })
        .await?;
        let paid = &mut self.model.bookings[booking];
        paid.captured += if how == How::Untold { 1 } else { ids.len() };
        paid.untold |= how == How::Untold;
        for _ in &ids {
            self.model.settle(booking, how != How::Wrong);
        }
        self.forget_lost_holds();
        self.has_its_state(booking).await
    }

    /// A late payment may have replaced the payer's own hold.
    fn forget_lost_holds(&mut self) {
        for who in 0..CUSTOMERS {
            if self.model.held(who).is_empty() {
                self.holds[who] = None;
            }
        }
    }

    async fn cancel(&mut self, who: usize, booking: usize, twice: bool) -> Checked {
        let key = idempotency_key(&self.key());
        let command = CancelBooking { customer: self.customer(who), booking: self.bookings[booking].booking, key };
        self.model.cancel(booking, false);
        for _ in 0..=u8::from(twice) {
            let answer = self.rig.saga.cancel(&command).await.unwrap().map_err(|refusal| word(&refusal))?;
            same("answer", &state(answer.state), &Some(self.model.bookings[booking].state))?;
        }
        Ok(())
    }

    async fn expire(&mut self, booking: usize) -> Checked {
        let id = self.bookings[booking].booking;
        let late = format!("UPDATE bookings SET expires_at = now() - interval '1 s' WHERE id = '{}'", id.to_hex());
        self.rig.sql.batch_execute(&late).await.unwrap();
        until("the end of a booking's time", async || {
            self.rig.saga.expire_once().await.unwrap();
            self.rig.saga.settle_once().await.unwrap();
            self.rig.booking(id).await.state != BookingState::Pending
        })
        .await?;
        self.model.expire(booking);
        self.has_its_state(booking).await
    }

    async fn reconcile(&mut self, booking: usize) -> Checked {
        let order = self.bookings[booking].order.clone().ok_or("no order")?;
        let ask = format!("UPDATE orders SET next_check_at = now() WHERE id = '{order}'");
        let open = format!("SELECT count(*) FROM payments WHERE order_id = '{order}' AND outcome IS NOT NULL");
        let expected = self.model.bookings[booking].captured;
        until("what the provider knows", async || {
            self.rig.sql.batch_execute(&ask).await.unwrap();
            self.rig.saga.reconcile_once().await.unwrap();
            self.rig.saga.settle_once().await.unwrap();
            usize::try_from(self.rig.count(&open).await).unwrap() == expected
        })
        .await?;
        if std::mem::take(&mut self.model.bookings[booking].untold) {
            self.model.settle(booking, true);
            self.forget_lost_holds();
        }
        self.has_its_state(booking).await
    }

    async fn has_its_state(&self, booking: usize) -> Checked {
        let found = self.rig.booking(self.bookings[booking].booking).await;
        same("state", &state(found.state), &Some(self.model.bookings[booking].state))
    }

    /// What is applied at once is not marked without the workers; a late payment would wait for that.
    async fn mark_applied(&self) {
        let mark = "UPDATE outbox SET applied_at = now() WHERE applied_at IS NULL AND show_id =";
        self.rig.sql.batch_execute(&format!("{mark} {}", self.show)).await.unwrap();
    }

    /// Everything is told and given back; then the ledger and the map are compared with the model.
    async fn finish(&mut self) -> Checked {
        for booking in 0..self.bookings.len() {
            if self.model.bookings[booking].untold {
                self.reconcile(booking).await?;
                self.mark_applied().await;
            }
        }
        let open = format!(
            "SELECT count(*) FROM refunds r JOIN bookings b ON b.id = r.booking_id
                WHERE b.show_id = {} AND r.ended_at IS NULL",
            self.show
        );
        until("refunds", async || {
            self.rig.saga.refund_once().await.unwrap();
            self.rig.count(&open).await == 0
        })
        .await?;
        for booking in 0..self.bookings.len() {
            self.is_as_in_the_model(booking).await.map_err(|error| format!("booking {booking}, {error}"))?;
        }
        self.seats_are_as_in_the_model().await
    }

    async fn is_as_in_the_model(&self, booking: usize) -> Checked {
        let model = &self.model.bookings[booking];
        self.has_its_state(booking).await?;
        let id = self.bookings[booking].booking.to_hex();
        let facts = format!(
            "SELECT b.ever_confirmed,
                (SELECT count(*) FROM payments p WHERE p.booking_id = b.id AND p.status = 'captured'),
                (SELECT count(*) FROM payments p WHERE p.booking_id = b.id AND p.outcome = 'BOOKING'),
                ARRAY(SELECT CASE WHEN r.reason IN ('seats_taken', 'sale_closed') THEN 'late' ELSE r.reason END
                    FROM refunds r WHERE r.booking_id = b.id AND r.state = 'PROCESSED' ORDER BY 1),
                (SELECT coalesce(sum(p.amount), 0)::bigint FROM payments p
                    WHERE p.booking_id = b.id AND p.status = 'captured')
                = CASE WHEN b.state = 'CONFIRMED' THEN b.amount ELSE 0 END
                    + (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r
                        WHERE r.booking_id = b.id AND r.state = 'PROCESSED')
            FROM bookings b WHERE b.id = '{id}'"
        );
        let row = self.rig.sql.query_one(&facts, &[]).await.unwrap();
        let mut refunds: Vec<String> = model.refunds.iter().map(|reason| (*reason).to_owned()).collect();
        refunds.sort_unstable();
        same("ever confirmed", &row.get::<_, bool>(0), &model.ever_confirmed)?;
        same("captured", &row.get::<_, i64>(1), &i64::try_from(model.captured).unwrap())?;
        same("kept once", &row.get::<_, i64>(2), &i64::from(model.ever_confirmed))?;
        same("refunds", &row.get::<_, Vec<String>>(3), &refunds)?;
        same("captured is booked and refunded", &row.get::<_, bool>(4), &true)
    }

    async fn seats_are_as_in_the_model(&self) -> Checked {
        let query = format!("SELECT status, booking_id FROM show_seats WHERE show_id = {} ORDER BY seat", self.show);
        let rows = self.rig.sql.query(&query, &[]).await.unwrap();
        let map = self.rig.holds.snapshot(self.show).await.unwrap().map_err(|refusal| word(&refusal))?;
        let map = PackedStatuses::from_bytes(map.seats, &map.statuses).ok_or("no map")?;
        for (seat, (expected, row)) in self.model.seats.iter().zip(&rows).enumerate() {
            let (ledger, shown, owner) = match expected {
                Seat::Free => ("available", SeatStatus::Available, None),
                Seat::Held(_) => ("available", SeatStatus::Held, None),
                Seat::Claimed(booking) => ("claimed", SeatStatus::Held, Some(booking)),
                Seat::Booked(booking) => ("booked", SeatStatus::Booked, Some(booking)),
                Seat::Blocked => ("blocked", SeatStatus::Blocked, None),
            };
            let owner = owner.map(|booking| uuid::Uuid::from_bytes(self.bookings[*booking].booking.0));
            same(&format!("seat {seat} in the ledger"), &row.get::<_, String>(0).as_str(), &ledger)?;
            same(&format!("owner of seat {seat}"), &row.get::<_, Option<uuid::Uuid>>(1), &owner)?;
            let index = SeatIndex(u32::try_from(seat).unwrap());
            same(&format!("seat {seat} on the map"), &map.get(index), &Some(shown))?;
        }
        Ok(())
    }
}

fn state(of: BookingState) -> Option<State> {
    match of {
        BookingState::Pending => Some(State::Pending),
        BookingState::Confirmed => Some(State::Confirmed),
        BookingState::Expired => Some(State::Expired),
        BookingState::Cancelled => Some(State::Cancelled),
        _ => None,
    }
}
