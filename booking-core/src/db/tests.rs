//! Guards inside transactions that no caller gets wrong, on a real PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel_async::SimpleAsyncConnection;
use seatwire_loadtest::launcher::Postgres;
use seatwire_protocol::{SeatIndex, ShowId};

use super::outbox::{self, AppliedRow};
use super::seats::{SeatChange, change_seats};
use super::{Db, DbError, End, inbox, shows};
use crate::holds::ledger::{LedgerChange, LedgerStatus};
use crate::migrate::{self, Direction};

/// A seeded ledger; its first show is on sale.
async fn ledger() -> (Postgres, Db, ShowId) {
    let postgres = Postgres::start().await.unwrap();
    migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
    let db = Db::new(&postgres.core_url(), 4).unwrap();
    crate::seed::run(&db, 3_600_000).await.unwrap();
    (postgres, db, ShowId::new(1).unwrap())
}

async fn change(db: &Db, show: ShowId, from: LedgerStatus, to: LedgerStatus, seats: &[u32]) -> Result<usize, DbError> {
    let seats: Vec<SeatIndex> = seats.iter().copied().map(SeatIndex).collect();
    db.write("test", move |conn| {
        let seats = seats.clone();
        Box::pin(async move {
            let change = SeatChange { show, seats: &seats, from, to, booking: None, actor: "test", reason: "test" };
            Ok(End::Commit(change_seats(conn, &change).await?.len()))
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_seats_is_whole_or_none() {
    let (_postgres, db, show) = ledger().await;
    let (free, blocked) = (LedgerStatus::Available, LedgerStatus::Blocked);
    assert_eq!(change(&db, show, free, blocked, &[1]).await.unwrap(), 1);
    // Of these one is not as its caller says, or not there.
    for seats in [[0, 1], [0, 100_000]] {
        let failed = change(&db, show, free, blocked, &seats).await;
        assert!(matches!(failed, Err(DbError::Fault(_))), "{failed:?}");
    }
    // The same status again would pass the trigger.
    assert!(change(&db, show, blocked, free, &[0]).await.is_err());
    let map = super::seats::read_map(&db, show).await.unwrap().unwrap();
    let changed: Vec<_> = map.seats.iter().filter(|seat| seat.version > 1).map(|seat| seat.seat.0).collect();
    assert_eq!(changed, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_taken_by_one_and_marks_count_only_under_it() {
    let (_postgres, db, show) = ledger().await;
    let bump = async |expected, seen| shows::bump_generation(&db, show, expected, seen, "run").await.unwrap();
    assert_eq!(bump(0, 0).await, Some(1));
    assert_eq!(bump(0, 0).await, None, "somebody was faster");
    assert_eq!(bump(1, 5).await, Some(6), "above what Redis has");
    assert_eq!(bump(1, 9).await, None);
    let (one, two) = tokio::join!(bump(6, 0), bump(6, 0));
    assert_eq!([one, two].into_iter().flatten().collect::<Vec<_>>(), [7]);

    let change = LedgerChange {
        show,
        generation: 7,
        seats: vec![(SeatIndex(0), LedgerStatus::Available, 1)],
        hold: None,
        booking: None,
        customer: None,
        sale: None,
        operator: false,
    };
    let row = db.write("test", move |conn| {
        let change = change.clone();
        Box::pin(async move { Ok(End::Commit(outbox::insert(conn, &change).await?)) })
    });
    let id = row.await.unwrap();
    for (generation, marked) in [(6, 0), (8, 0), (7, 1), (7, 0)] {
        let applied = vec![AppliedRow { id, show, generation }];
        assert_eq!(outbox::mark(&db, applied).await.unwrap(), marked, "applied under {generation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_worked_on_by_one_and_done_once() {
    let (_postgres, db, _) = ledger().await;
    let event = inbox::NewEvent {
        provider: "test",
        body_hash: [1; 32],
        event_id: None,
        fetched: false,
        kind: "test".to_owned(),
        order: None,
        payment: None,
        body: serde_json::Value::Null,
    };
    assert!(inbox::store(&db, event.clone()).await.unwrap());
    assert!(!inbox::store(&db, event).await.unwrap(), "the same body again");
    let id = inbox::open_events(&db, false, 10).await.unwrap()[0].id;
    let lock = async |done: bool| {
        let locked = db.write("test", move |conn| {
            Box::pin(async move {
                let locked = inbox::lock(conn, id).await?;
                if done {
                    inbox::done(conn, id, "test", false).await?;
                }
                Ok(End::Commit(locked))
            })
        });
        locked.await.unwrap()
    };
    assert!(lock(false).await);
    assert!(lock(true).await);
    assert!(!lock(false).await, "done is done");
}

/// How often a transaction is tried that fails with this code the first time, and what it comes to.
async fn tries_of(db: &Db, code: &'static str) -> (usize, Result<(), DbError>) {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let result = db.write("test", move |conn| {
        let tries = counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if tries == 0 {
                // In words of another language: only the code counts.
                let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'Das ging schief' USING ERRCODE = '{code}'; END $$");
                conn.batch_execute(&raise).await?;
            }
            Ok(End::Commit(()))
        })
    });
    let result = result.await;
    (tries.load(Ordering::Relaxed), result)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_what_would_fail_again_is_not() {
    let (_postgres, db, _) = ledger().await;
    for code in
        ["40001", "40P01", "55P03", "57014", "53100", "53200", "58030", "57P01", "57P03", "25P03", "25006", "08006"]
    {
        let (tries, result) = tries_of(&db, code).await;
        assert!(tries == 2 && result.is_ok(), "{code}: {tries} tries, {result:?}");
    }
    for code in ["22021", "22003", "22012", "22P02", "23505", "42501", "0A000", "54000", "P0001", "XX000"] {
        let (tries, result) = tries_of(&db, code).await;
        let text = format!("{code}: Das ging schief");
        assert!(tries == 1 && matches!(&result, Err(DbError::Fault(t)) if *t == text), "{code}: {tries}, {result:?}");
    }
    // Errors of the server's own, without a position or a name.
    let zero = db.read("test", |conn| Box::pin(async move { Ok(conn.batch_execute("SELECT 1 / 0").await?) })).await;
    assert!(matches!(&zero, Err(DbError::Fault(text)) if text.starts_with("22012")), "{zero:?}");
    let (retries, killed) = (db.retries(), Arc::new(AtomicUsize::new(0)));
    let end_oneself = db.write("test", move |conn| {
        let killed = killed.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if killed == 0 {
                conn.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await?;
            }
            Ok(End::Commit(()))
        })
    });
    end_oneself.await.unwrap();
    assert_eq!(db.retries(), retries + 1);
}
