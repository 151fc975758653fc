//! Three sessions: book, expire, settle and cancel, each three of them.

use super::all_steps;
use super::schedule::{Scene, walk};
use super::stage::{Side, Stage};
use super::wire::{LOCKING, ROWS, SEATS};

use Side::{Left, Right};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn three_sessions_come_to_no_unexpected_end() {
    let stage = &Stage::new(Some(if all_steps() { LOCKING } else { ROWS })).await;
    let mut schedules = 0;

    let scene = Scene::new(
        "book, expire, settle: paid at the last moment, and another wants the seats",
        &[
            "ann CONFIRMED kept | book: Taken, expire: 0 ended, settle: done",
            "ann CONFIRMED kept | book: Taken, expire: 1 ended, settle: done",
            "ann EXPIRED seats_taken, bob PENDING | book: Pending, expire: 1 ended, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.expire(1), stage.pay_and_settle(2, &booking, "late")]
    })
    .await;

    let scene = Scene::new(
        "book, expire, cancel",
        &[
            "ann CANCELLED | book: Taken, expire: 0 ended, cancel: Cancelled",
            "ann CANCELLED, bob PENDING | book: Pending, expire: 0 ended, cancel: Cancelled",
            "ann EXPIRED | book: Taken, expire: 1 ended, cancel: Expired",
            "ann EXPIRED, bob PENDING | book: Pending, expire: 1 ended, cancel: Expired",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.expire(1), stage.cancel(2, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "book, settle, cancel",
        &[
            "ann CANCELLED cancel | book: Taken, settle: done, cancel: Cancelled",
            "ann CANCELLED cancel, bob PENDING | book: Pending, settle: done, cancel: Cancelled",
            "ann CANCELLED seats_taken, bob PENDING | book: Pending, settle: done, cancel: Cancelled",
            "ann CONFIRMED kept | book: Taken, settle: done, cancel: Cancelled",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.pending("ann", n, &[0, 1]).await;
        stage.paid(&booking, "late").await;
        let bob = stage.hold(Right, "bob", n, &[1, 2]).await;
        vec![stage.book(0, Right, "bob", n, bob), stage.settle(1), stage.cancel(2, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "expire, settle, cancel",
        &[
            "ann CANCELLED cancel | expire: 0 ended, settle: done, cancel: Cancelled",
            "ann CANCELLED cancel | expire: 1 ended, settle: done, cancel: Cancelled",
            "ann CONFIRMED kept | expire: 0 ended, settle: done, cancel: Cancelled",
            "ann CONFIRMED kept | expire: 1 ended, settle: done, cancel: Expired",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.expire(0), stage.pay_and_settle(1, &booking, "late"), stage.cancel(2, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "operator, cancel, settle: a confirmed booking, and a second payment",
        &[
            "ann CANCELLED booking_cancelled+cancel | operator: Cancelled, cancel: Cancelled, settle: done",
            "ann CANCELLED cancel+second_payment | operator: Cancelled, cancel: Cancelled, settle: done",
        ],
    );
    schedules += walk(stage, &scene, async |n| {
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        stage.paid(&booking, "second").await;
        vec![stage.cancel_by_operator(0, &booking), stage.cancel(1, "ann", n, &booking, "c"), stage.settle(2)]
    })
    .await;

    let scene = Scene::new(
        "cancel show, book, cancel: the seats of a confirmed booking",
        &[
            "ann CANCELLED cancel | cancel show: 0 ended, book: Taken, cancel: Cancelled",
            "ann CANCELLED cancel, bob CANCELLED | cancel show: 1 ended, book: Pending, cancel: Cancelled",
        ],
    )
    .stopping(SEATS);
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let booking = stage.confirmed("ann", n, &[0, 1]).await;
        let bob = stage.hold(Left, "bob", n, &[2, 3]).await;
        vec![stage.cancel_show(0), stage.book(1, Left, "bob", n, bob), stage.cancel(2, "ann", n, &booking, "c")]
    })
    .await;

    let scene = Scene::new(
        "cancel show, expire, settle: paid at the last moment",
        &[
            "ann CANCELLED cancel | cancel show: 1 ended, expire: 1 ended, settle: done",
            "ann EXPIRED sale_closed | cancel show: 0 ended, expire: 1 ended, settle: done",
            "ann EXPIRED seats_taken | cancel show: 0 ended, expire: 1 ended, settle: done",
        ],
    )
    .stopping(SEATS);
    schedules += walk(stage, &scene, async |n| {
        stage.own_show().await;
        let booking = stage.overdue("ann", n, &[0, 1]).await;
        vec![stage.cancel_show(0), stage.expire(1), stage.pay_and_settle(2, &booking, "late")]
    })
    .await;
    println!("three sessions: {schedules} schedules");
}
