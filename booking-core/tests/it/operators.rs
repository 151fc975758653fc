//! What operators do over HTTP, seen by buyers over the MessagePack port.

use seatwire_protocol::ErrorCode;
use seatwire_protocol::error::SeatConflictReason;
use serde_json::json;

use crate::http_listener::request;
use crate::support::{Core, SECRET};
use crate::world::{World, until};

async fn post(core: &Core, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
    request(core.http, "POST", path, SECRET, &body.to_string()).await
}

async fn get(core: &Core, path: &str) -> (u16, serde_json::Value) {
    request(core.http, "GET", path, SECRET, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_seats_are_off_sale_until_unblocked_and_their_history_says_so() {
    let world = World::start().await;
    let (core, (show, layout)) = (&world.core, world.open_show().await);
    let held = world.hold("ann", show, "k1", &[1]).await.unwrap();
    let base = format!("/admin/shows/{show}");
    let (status, body) = post(core, &format!("{base}/block"), json!({"seats": [2, 3, 2]})).await;
    assert_eq!((status, &body["seats"]), (200, &json!([2, 3])), "{body}");
    let refused = world.hold("bob", show, "k1", &[1, 3]).await.unwrap_err();
    let reasons: Vec<_> = refused.seats.iter().map(|conflict| conflict.reason).collect();
    assert_eq!(reasons, [SeatConflictReason::Held, SeatConflictReason::Blocked]);
    // A seat that is blocked already, and one that is not there.
    let (status, body) = post(core, &format!("{base}/block"), json!({"seats": [3]})).await;
    assert_eq!((status, &body["code"]), (409, &json!("TAKEN")), "{body}");
    let label = layout.label(seatwire_protocol::SeatIndex(3)).unwrap();
    assert!(body["message"].as_str().unwrap().contains(&label), "{body}");
    let (status, body) = post(core, &format!("{base}/block"), json!({"seats": [layout.seats]})).await;
    assert_eq!((status, &body["code"]), (404, &json!("NO_SUCH_SEAT")), "{body}");
    let (status, state) = get(core, &base).await;
    assert_eq!((status, &state["live"]["held"]), (200, &json!(1)), "{state}");
    let blocked = state["live"]["blocked"].as_u64().unwrap();

    // By label, as an operator would ask.
    let (status, history) = get(core, &format!("{base}/seats/{label}/history")).await;
    assert_eq!(status, 200);
    assert_eq!(history["changes"][0]["to_status"], "blocked", "{history}");
    assert_eq!(history["changes"][0]["actor"], "operator");
    assert_eq!(post(core, &format!("{base}/unblock"), json!({"seats": [2, 3]})).await.0, 200);
    world.hold("bob", show, "k2", &[2, 3]).await.unwrap();
    assert_eq!(get(core, &base).await.1["live"]["blocked"], json!(blocked - 2));
    // A hold on a seat that is blocked ends whole.
    assert_eq!(post(core, &format!("{base}/block"), json!({"seats": [1]})).await.0, 200);
    assert_eq!(world.release("ann", show, held.hold).await.unwrap_err().code, ErrorCode::Gone);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_closed_and_opened_and_a_map_is_loaded_again() {
    let world = World::start().await;
    let (core, (show, _)) = (&world.core, world.open_show().await);
    let base = format!("/admin/shows/{show}");
    assert_eq!(post(core, &format!("{base}/sale"), json!({"state": "closed"})).await.0, 200);
    assert_eq!(world.hold("ann", show, "k1", &[1]).await.unwrap_err().code, ErrorCode::SaleClosed);
    assert_eq!(post(core, &format!("{base}/sale"), json!({"state": "open"})).await.0, 200);
    let held = world.hold("ann", show, "k2", &[1]).await.unwrap();
    let (status, body) = post(core, &format!("{base}/reload"), json!({})).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["generation"].as_u64().unwrap() > held.position.generation, "{body}");
    let kept = || async { world.own("ann", show).await.0.iter().any(|hold| hold.hold == held.hold) };
    until("the hold is there after the reload", kept).await;
    for (path, body, status, field) in [
        (format!("{base}/sale"), json!({"state": "ajar"}), 400, "state"),
        (format!("{base}/sale"), json!({"state": "before"}), 400, "opens_at_ms"),
        (format!("{base}/sale"), json!({"state": "open", "opens_at_ms": 7}), 400, "opens_at_ms"),
        (format!("{base}/block"), json!({"seats": []}), 400, "seats"),
        (format!("{base}/block"), json!({"seats": [1, -1]}), 400, "seats[1]"),
        (format!("{base}/block"), json!({"places": [1]}), 400, "places"),
        ("/admin/shows/9007199254740991/sale".to_owned(), json!({"state": "open"}), 404, ""),
        ("/admin/shows/x/sale".to_owned(), json!({"state": "open"}), 400, "show"),
        ("/admin/requeue/nothing".to_owned(), json!({}), 404, "id"),
    ] {
        let answer = post(core, &path, body).await;
        assert_eq!(answer.0, status, "{path} {answer:?}");
        assert_eq!(answer.1["field"].as_str().unwrap_or_default(), field, "{path} {answer:?}");
    }
    let large = post(core, &format!("{base}/block"), json!({"seats": vec![1; 200_000]})).await;
    assert_eq!((large.0, &large.1["code"]), (413, &json!("TOO_LARGE")));
    let (status, backlog) = get(core, "/admin/backlog").await;
    assert_eq!((status, &backlog["refunds_parked"]), (200, &json!(0)), "{backlog}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_against_single_seats_is_turned_on_and_off_and_survives_a_reload() {
    let world = World::start().await;
    let (core, (show, layout)) = (&world.core, world.open_show().await);
    let base = format!("/admin/shows/{show}");
    // The first four seats of a row, up to its aisle.
    let first = layout.sections[0].rows[0].first.0;
    let held = world.hold("ann", show, "k1", &[first + 1]).await.unwrap();
    world.release("ann", show, held.hold).await.unwrap();
    let position = get(core, &base).await.1["live"]["sequence"].clone();
    let (status, body) = post(core, &format!("{base}/options"), json!({"no_orphan": true})).await;
    assert_eq!((status, &body["no_orphan"]), (200, &json!(true)), "{body}");
    let state = get(core, &base).await.1;
    assert_eq!((&state["ledger"]["sale"]["no_orphan"], &state["live"]["sequence"]), (&json!(true), &position));
    let label = layout.label(seatwire_protocol::SeatIndex(first)).unwrap();
    for reload in [false, true] {
        if reload {
            assert_eq!(post(core, &format!("{base}/reload"), json!({})).await.0, 200);
        }
        let refused = world.hold("bob", show, "k2", &[first + 1]).await.unwrap_err();
        assert_eq!((&refused.code, refused.seats.len()), (&ErrorCode::Orphan, 1), "{refused:?}");
        assert_eq!(
            (refused.seats[0].reason, refused.seats[0].label.as_ref()),
            (SeatConflictReason::Orphan, Some(&label))
        );
        assert!(refused.message.contains(&label), "{refused}");
    }
    // The sale opens and closes without touching the rule.
    for state in ["closed", "open"] {
        assert_eq!(post(core, &format!("{base}/sale"), json!({"state": state})).await.0, 200);
    }
    assert_eq!(world.hold("bob", show, "k3", &[first + 1]).await.unwrap_err().code, ErrorCode::Orphan);
    assert_eq!(post(core, &format!("{base}/options"), json!({"no_orphan": false})).await.0, 200);
    world.hold("bob", show, "k4", &[first + 1]).await.unwrap();
    let (status, body) = post(core, &format!("{base}/options"), json!({"no_orphans": true})).await;
    assert_eq!((status, &body["field"]), (400, &json!("no_orphans")), "{body}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_places_so_many_holds_in_a_time_and_refused_ones_are_free() {
    let world = World::start().await;
    let (show, layout) = world.open_show().await;
    let row = layout.sections[0].rows[0].first.0;
    for n in 0..6 {
        let held = world.hold("ann", show, &format!("k{n}"), &[row + n]).await.unwrap();
        // The same key again costs nothing, and a hold that is refused neither.
        assert_eq!(world.hold("ann", show, &format!("k{n}"), &[row + n]).await.unwrap().hold, held.hold);
        if n < 5 {
            let refused = world.hold("ann", show, &format!("x{n}"), &[layout.seats]).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::NoSuchSeat, "{refused}");
        }
        world.release("ann", show, held.hold).await.unwrap();
    }
    let refused = world.hold("ann", show, "k6", &[row]).await.unwrap_err();
    assert_eq!((&refused.code, refused.limit), (&ErrorCode::RateLimited, Some(6)), "{refused}");
    assert!(refused.retry_after_ms.is_some_and(|wait| (1..=600_000).contains(&wait)), "{refused:?}");
    world.hold("ann", show, "k5", &[row + 5]).await.unwrap();
    world.hold("bob", show, "k6", &[row]).await.unwrap();
    world.end().await;
}
