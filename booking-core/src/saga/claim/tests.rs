//! Claims of several seats that overlap, and the ends of those that were granted: nobody waits in a circle.
//!
//! `SEATWIRE_TEST_CLAIMS` sets how many; 100,000 take some minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::seq::{SliceRandom, index::sample};
use rand::{Rng, SeedableRng, rngs::StdRng};
use seatwire_loadtest::launcher::Postgres;
use seatwire_protocol::{HoldId, ShowId};
use tokio_postgres::NoTls;

use super::*;
use crate::db::Db;
use crate::db::bookings::EndedBy;
use crate::migrate::{self, Direction};
use crate::saga::expire::{Freed, free_seats};

const CLAIMS: usize = 400;
const TASKS: usize = 12;
/// Everybody wants two to six of so many.
const SEATS: usize = 40;
/// Those of a default run are over far sooner.
const LONG_ENOUGH: Duration = Duration::from_secs(180);

/// A seeded ledger; its first show is on sale.
async fn ledger() -> (Postgres, Db, tokio_postgres::Client) {
    let postgres = Postgres::start().await.unwrap();
    migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
    let db = Db::new(&postgres.core_url(), TASKS).unwrap();
    crate::seed::run(&db, 3_600_000).await.unwrap();
    let (sql, connection) = tokio_postgres::connect(&postgres.superuser_url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    (postgres, db, sql)
}

/// Deadlocks so far. A backend counts its own at its end, if not before.
async fn deadlocks(sql: &tokio_postgres::Client) -> i64 {
    let core = "FROM pg_stat_activity WHERE usename = 'seatwire_core'";
    sql.query(&format!("SELECT pg_terminate_backend(pid) {core}"), &[]).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while sql.query_one(&format!("SELECT count(*) {core}"), &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < deadline, "backends go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sql.query_one(counted, &[]).await.unwrap().get(0)
}

fn some_seats(rng: &mut StdRng) -> Vec<SeatIndex> {
    let count = rng.random_range(2..=6);
    sample(rng, SEATS, count).into_iter().map(|seat| SeatIndex(u32::try_from(seat).unwrap())).collect()
}

/// The prices of the seats must be what the order says.
async fn new_claim(db: &Db, seats: Vec<SeatIndex>) -> Claim {
    let show = ShowId::new(1).unwrap();
    let (amount, currency) = seats::quote(db, show, &seats).await.unwrap().unwrap();
    let id = BookingId(*Uuid::new_v4().as_bytes());
    let name = id.to_hex();
    Claim {
        booking: NewBooking {
            id,
            show,
            customer: CustomerId::new(&name).unwrap(),
            hold: HoldId(id.0),
            seats: u32::try_from(seats.len()).unwrap(),
            amount,
            currency: currency.clone(),
            email: "ann@example.org".to_owned(),
            claim_ms: 60_000,
        },
        seats,
        key: IdempotencyKey::new("k").unwrap(),
        key_row: KeyRow { booking: id, body_hash: [0; 32] },
        order: OrderRow { id: name, provider: "test", booking: Some(id), receipt: receipt(id), amount, currency },
        caps: Caps { seats_max: 10, lapses_max: 9, lapse_window_ms: 1, cool_down_ms: 1, check_ms: 60_000 },
    }
}

/// Ends a pending booking as its customer would.
async fn end(db: &Db, booking: BookingId) {
    let ended = db.write("end", move |conn| {
        Box::pin(async move {
            let booking = bookings::lock(conn, booking).await?.unwrap();
            let freed = Freed { from: LedgerStatus::Claimed, actor: "test", reason: "cancel", cause: Cause::default() };
            free_seats(conn, &booking, EndedBy::Customer, freed).await?;
            Ok(End::Commit(()))
        })
    });
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_claims_never_wait_in_a_circle() {
    let claims: usize = std::env::var("SEATWIRE_TEST_CLAIMS").map_or(CLAIMS, |n| n.parse().expect("a number"));
    let (_postgres, db, sql) = ledger().await;
    let [asked, granted, refused] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (db, asked) = (db.clone(), Arc::clone(&asked));
            let (granted, refused) = (Arc::clone(&granted), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut rng = StdRng::from_rng(&mut rand::rng());
                // So many, and on until some have met.
                while asked.fetch_add(1, Ordering::Relaxed) < claims || refused.load(Ordering::Relaxed) == 0 {
                    assert!(began.elapsed() < LONG_ENOUGH || claims > CLAIMS, "no claims overlap");
                    let claim = Arc::new(new_claim(&db, some_seats(&mut rng)).await);
                    let (booking, body) = (claim.booking.id, claim);
                    let claimed = db.write("claim", move |conn| {
                        let claim = Arc::clone(&body);
                        Box::pin(async move { transact(conn, &claim).await })
                    });
                    match claimed.await.unwrap() {
                        Claimed::New(..) => {
                            granted.fetch_add(1, Ordering::Relaxed);
                            end(&db, booking).await;
                        }
                        Claimed::Refused(Refusal::Taken(_)) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (granted, seconds) = (granted.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
    let found = deadlocks(&sql).await;
    println!("{claims} claims, {granted} granted, {found} deadlocks, {seconds:.0} s");
    assert!(granted > 0 && refused.load(Ordering::Relaxed) > 0, "claims overlapped");
    assert_eq!(found, 0);
}

/// The control: without the order there are deadlocks, and they are counted.
#[tokio::test(flavor = "multi_thread")]
async fn seats_that_are_locked_in_any_order_deadlock() {
    let (_postgres, db, sql) = ledger().await;
    // A wait in a circle must be found before a waiter gives up.
    sql.batch_execute("ALTER SYSTEM SET deadlock_timeout = '10ms'").await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while deadlocks(&sql).await == 0 {
        assert!(Instant::now() < deadline, "no deadlock was counted");
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let mut seats = some_seats(&mut StdRng::from_rng(&mut rand::rng()));
                        seats.shuffle(&mut rand::rng());
                        let locked = db.write("any_order", move |conn| {
                            let seats = seats.clone();
                            Box::pin(async move {
                                for seat in &seats {
                                    lock_seats(conn, ShowId::new(1).unwrap(), &[*seat]).await?;
                                }
                                Ok(End::Commit(()))
                            })
                        });
                        // One of a circle is refused, and tries again; on a slow machine it may give up.
                        drop(locked.await);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
