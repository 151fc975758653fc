//! Two sessions, every named step: book, expire, settle and cancel, each against each.

use super::all_steps;
use super::schedule::{Scene, walk};
use super::stage::{Side, Stage};
use super::wire::{LOCKING, PAYING, ROWS};

use Side::{Left, Right};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_sessions_come_to_no_unexpected_end() {
    let stage = &Stage::new((!all_steps()).then_some(LOCKING)).await;
    let mut schedules = 0;

    let scene = Scene::new(
        "book, book: a seat in common",
        &["ann PENDING | book: Pending, book: Taken", "bob PENDING | book: Taken, book: Pending"],
    );
    schedules += walk(stage, &scene, async |n| {
        let (ann, bob) = (stage.hold(Left, "ann", n, &[0, 1]).await, stage.hold(Right, "bob", n, &[1, 2]).await);
        vec![stage.book(0, Left, "ann", n, ann), stage.book(1, Right, "bob", n, bob)]
    })
    .await;

    let scene = Scene::new(
        "book, book: one customer, two holds",
        &["ann PENDING | book: Limit, book: Pending", "ann PENDING | book: Pending, book: Limit"],
    );
    schedules += walk(stage, &scene, async |n| {
        let (one, two) = (stage.hold(Left, "ann", n, &[0]).await, stage.hold(Left, "ann", n, &[1]).await);
        vec![stage.book(0, Left, "ann", n, one), stage.book_with(1, Left, "ann", n, two, "other")]
    })
    .await;

    let scene = Scene::new("book, book: one key twice", &["ann PENDING | book: Pending, book: Pending"]);
    schedules += walk(stage, &scene, async |n| {
        let hold = stage.hold(Left, "ann", n, &[0]).await;
        vec![stage.book(0, Left, "ann", n, hold), stage.book(1, Left, "ann", n, hold)]
    })
    .await;

    let scene = Scene::new(
        "book, expire: the seats of an overdue booking",
        &["ann EXPIRED | book: Taken, expire: 1 ended", "ann EXPIRED, bob PENDING | book: Pending, expire: 1 ended"],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.overdue("ann", n, &[0, 1]).await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.expire(1)]
    })
    .await;

    let scene = Scene::new(
        "book, settle: the seats of a late payer",
        &[
            "ann CONFIRMED kept | book: Taken, settle: done",
            "ann EXPIRED seats_taken, bob PENDING | book: Pending, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.expired("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "book, cancel: the seats of a booking that is cancelled",
        &[
            "ann CANCELLED cancel | book: Taken, cancel: Cancelled",
            "ann CANCELLED cancel, bob PENDING | book: Pending, cancel: Cancelled",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.cancel(1, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "expire, expire",
        &["ann EXPIRED | expire: 0 ended, expire: 1 ended", "ann EXPIRED | expire: 1 ended, expire: 0 ended"],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.expire(0), stage.expire(1)]
    })
    .await;

    let scene = Scene::new(
        "expire, settle: paid at the last moment",
        &["ann CONFIRMED kept | expire: 0 ended, settle: done", "ann CONFIRMED kept | expire: 1 ended, settle: done"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.expire(0), stage.pay_and_settle(1, &booking, "late")]
    })
    .await;

    let scene = Scene::new(
        "expire, cancel",
        &["ann CANCELLED | expire: 0 ended, cancel: Cancelled", "ann EXPIRED | expire: 1 ended, cancel: Expired"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.expire(0), stage.cancel(1, "ann", n, &booking, "c")]
    })
    .await;

    let scene =
        Scene::new("settle, settle: one event, two workers", &["ann CONFIRMED kept | settle: done, settle: done"]);
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        vec![stage.settle(0), stage.settle(1)]
    })
    .await;

    let scene =
        Scene::new("settle, settle: paid twice", &["ann CONFIRMED second_payment+kept | settle: done, settle: done"]);
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "one").await;
        vec![stage.settle(0), stage.pay_and_settle(1, &booking, "two")]
    })
    .await;

    let scene = Scene::new(
        "settle, settle: paid twice when it was over",
        &["ann CONFIRMED second_payment+kept | settle: done, settle: done"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.expired("ann", n, &[0, 1]).await;
        stage.paid(&booking, "one").await;
        vec![stage.settle(0), stage.pay_and_settle(1, &booking, "two")]
    })
    .await;

    // A payment's foreign key locks the booking too: whoever stores one before has the order wrong.
    let scene =
        Scene::new("settle, settle: declined and captured", &["ann CONFIRMED kept | settle: done, settle: done"])
            .stopping(PAYING);
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.told(&booking, "late", "failed").await;
        stage.paid(&booking, "late").await;
        vec![stage.settle(0), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "settle, cancel",
        &[
            "ann CANCELLED cancel | settle: done, cancel: Cancelled",
            "ann CONFIRMED kept | settle: done, cancel: Cancelled",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        vec![stage.settle(0), stage.cancel(1, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "cancel, cancel: a confirmed booking, two keys",
        &["ann CANCELLED cancel | cancel: Cancelled, cancel: Cancelled"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        vec![stage.cancel(0, "ann", n, &booking, "c"), stage.cancel(1, "ann", n, &booking, "d")]
    })
    .await;
    println!("two sessions: {schedules} schedules");
}

/// An operator cancels a booking or its whole show.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_operator_and_another_session_come_to_no_unexpected_end() {
    let stage = &Stage::new(Some(if all_steps() { LOCKING } else { ROWS })).await;
    let mut schedules = 0;
    let scene = Scene::new(
        "operator, settle",
        &[
            "ann CANCELLED booking_cancelled | operator: Cancelled, settle: done",
            "ann CANCELLED cancel | operator: Cancelled, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        vec![stage.cancel_by_operator(0, &booking), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "operator, expire",
        &["ann CANCELLED | operator: Cancelled, expire: 0 ended", "ann EXPIRED | operator: Expired, expire: 1 ended"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.cancel_by_operator(0, &booking), stage.expire(1)]
    })
    .await;

    let scene = Scene::new(
        "operator, cancel: a confirmed booking",
        &["ann CANCELLED cancel | operator: Cancelled, cancel: Cancelled"],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        vec![stage.cancel_by_operator(0, &booking), stage.cancel(1, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "cancel, settle: a confirmed booking, and a second payment",
        &[
            "ann CANCELLED booking_cancelled+cancel | cancel: Cancelled, settle: done",
            "ann CANCELLED cancel+second_payment | cancel: Cancelled, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        stage.paid(&booking, "second").await;
        vec![stage.cancel(0, "ann", n, &booking, "c"), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, book",
        &["ann CANCELLED | cancel show: 1 ended, book: Pending", "nothing | cancel show: 0 ended, book: Taken"],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let hold = stage.hold(Left, "ann", n, &[0, 1]).await;
        vec![stage.cancel_show(0), stage.book(1, Left, "ann", n, hold)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, settle",
        &[
            "ann CANCELLED booking_cancelled | cancel show: 1 ended, settle: done",
            "ann CANCELLED cancel | cancel show: 1 ended, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        vec![stage.cancel_show(0), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, settle: a late payer",
        &[
            "ann CANCELLED cancel | cancel show: 1 ended, settle: done",
            "ann EXPIRED sale_closed | cancel show: 0 ended, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let booking = stage.expired("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        vec![stage.cancel_show(0), stage.settle(1)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, expire",
        &[
            "ann CANCELLED | cancel show: 1 ended, expire: 0 ended",
            "ann EXPIRED | cancel show: 0 ended, expire: 1 ended",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.cancel_show(0), stage.expire(1)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, cancel: a confirmed booking",
        &[
            "ann CANCELLED cancel | cancel show: 0 ended, cancel: Cancelled",
            "ann CANCELLED cancel | cancel show: 1 ended, cancel: Cancelled",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        vec![stage.cancel_show(0), stage.cancel(1, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "cancel show, cancel show",
        &[
            "ann CANCELLED cancel | cancel show: 0 ended, cancel show: 1 ended",
            "ann CANCELLED cancel | cancel show: 1 ended, cancel show: 0 ended",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        stage.confirmed("ann", n, &[0, 1]).await;
        vec![stage.cancel_show(0), stage.cancel_show(1)]
    })
    .await;
    println!("an operator and another: {schedules} schedules");
}
