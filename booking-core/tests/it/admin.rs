//! The operator's command line against a running core.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::support::SECRET;
use crate::world::{World, until};

struct Ran {
    code: Option<i32>,
    out: String,
    error: String,
}

async fn admin(core: SocketAddr, token: Option<&str>, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatwire-core"));
    command.env_clear().env("SEATWIRE_ADMIN_URL", format!("http://{core}")).arg("admin").args(args);
    command.envs(token.map(|token| ("SEATWIRE_ADMIN_TOKEN", token))).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_do_on_the_command_line_what_the_core_allows() {
    let world = World::start().await;
    let (show, layout) = world.open_show().await;
    let held = world.hold("ann", show, "k1", &[1, 2]).await.unwrap();
    let (core, show) = (world.core.http, show.to_string());
    let run = async |args: &[&str]| {
        let ran = admin(core, Some(SECRET), args).await;
        assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{args:?}: {}", ran.out);
        ran.out
    };
    let label = layout.label(seatwire_protocol::SeatIndex(4)).unwrap();
    assert!(run(&["show", &show]).await.lines().any(|line| line.split_whitespace().eq(["live.held", "2"])));
    let holds = run(&["holds", &show]).await;
    assert!(holds.contains(&held.hold.to_hex()) && holds.contains("ann"), "{holds}");
    run(&["block", &show, "4-6", "8"]).await;
    run(&["unblock", &show, "4", "8"]).await;
    let history = run(&["history", &show, &label]).await;
    assert!(history.contains("available -> blocked") && history.contains("blocked -> available"), "{history}");
    let history: Value = serde_json::from_str(&run(&["history", "--json", &show, "4"]).await).unwrap();
    let first = &history["changes"][0];
    for (field, value) in [("actor", "operator"), ("from_status", "blocked"), ("to_status", "available")] {
        assert_eq!(first[field], value, "{history}");
    }
    assert_eq!(first["reason"], "unblock");
    run(&["release", &show, &held.hold.to_hex()]).await;
    assert_eq!(run(&["holds", &show]).await.trim(), "no live holds");
    run(&["close", &show]).await;
    assert!(run(&["show", &show, "--json"]).await.contains("\"closed\""));
    run(&["open", &show]).await;
    assert!(run(&["reload", &show]).await.contains("generation"));
    assert!(run(&["backlog"]).await.contains("refunds  0        0"));
    // What somebody else's payment on the same account leaves behind.
    let sql = world.sql().await;
    let foreign =
        "INSERT INTO payment_events (provider, body_hash, source, kind, order_id, payment_id, body, processed_at,
            result, parked_at)
        SELECT 'razorpay', sha256(p::bytea), 'webhook', 'payment.captured', 'order_x', p, '{}', r, 'quarantined', now()
        FROM (VALUES ('pay_x', now()), ('pay_y', now())) v (p, r)";
    sql.batch_execute(foreign).await.unwrap();
    sql.batch_execute(
        "UPDATE payment_events SET processed_at = NULL, result = NULL, failures = 5, last_error = 'why'
        WHERE payment_id = 'pay_y'",
    )
    .await
    .unwrap();
    assert!(run(&["backlog"]).await.contains("parked rows wait for you"));
    let parked = run(&["parked"]).await;
    let row = |payment: &str| {
        let line = parked.lines().find(|line| line.contains(payment)).unwrap_or_else(|| panic!("{parked}"));
        (line.split_whitespace().next().unwrap().to_owned(), line.to_owned())
    };
    let ((done, told_done), (failed, told_failed)) = (row("pay_x"), row("pay_y"));
    assert!(told_done.contains("payment.captured order_x pay_x") && told_done.contains("quarantined"), "{parked}");
    assert!(told_done.ends_with("quarantined  dismiss") && told_failed.ends_with("requeue"), "{parked}");
    assert!(run(&["dismiss", &done]).await.contains(&done));
    for refused in [&["dismiss", &done], &["dismiss", &failed], &["requeue", &done], &["requeue", "all"]] {
        let ran = admin(core, Some(SECRET), refused).await;
        assert!(ran.code == Some(1) && ran.error.contains("no parked row"), "{refused:?}: {}", ran.error);
    }
    run(&["requeue", &failed]).await;
    assert_eq!(run(&["parked"]).await.trim(), "nothing is parked");

    let again = world.hold("bob", held.show, "k9", &[1]).await.unwrap();
    let pending = world.book("bob", &again, "b1").await.unwrap();
    let booking = pending.booking.to_hex();
    let shown = run(&["booking", &booking]).await;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["booking.state", "pending"])), "{shown}");
    assert!(run(&["cancel-booking", &booking]).await.contains("cancelled"));
    let history = run(&["history", &show, "1"]).await;
    assert!(history.lines().any(|line| line.contains("operator") && line.contains("cancel")), "{history}");

    // What goes wrong is said in words, and no token is ever part of them.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    let file = file.path().to_str().unwrap();
    assert_eq!(admin(core, None, &["--token-file", file, "backlog"]).await.code, Some(0));
    for (token, args, code, expected) in [
        (Some(SECRET), &["show", "77777"][..], 1, "NO_SUCH_SHOW"),
        (Some(SECRET), &["history", &show, "Z99"], 1, "Z99"),
        (Some(SECRET), &["block", &show, "5"], 1, "TAKEN"),
        (Some(SECRET), &["requeue", "inbox-1"], 1, "no parked row inbox-1"),
        (Some(SECRET), &["release", &show, &held.hold.to_hex()], 1, "GONE"),
        (Some(SECRET), &["release", &show, "abc"], 2, "<HOLD>"),
        (Some(SECRET), &["block", &show, "9-3"], 2, "9 is above 3"),
        (Some(SECRET), &["cancel-show", &show], 2, "repeat with --yes"),
        (Some(SECRET), &["cancel-booking", &"0".repeat(32)], 1, "no such booking"),
        (Some(SECRET), &["--url", "http://127.0.0.1:1", "backlog"], 1, "out of reach"),
        (Some("another-token-of-no-use"), &["backlog"], 1, "UNAUTHENTICATED"),
        (None, &["backlog"], 2, "SEATWIRE_ADMIN_TOKEN"),
        (None, &["--token-file", "/nowhere/token", "backlog"], 2, "/nowhere/token"),
    ] {
        let ran = admin(core, token, args).await;
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.out, ran.error);
        assert!(ran.error.contains(expected) && ran.out.is_empty(), "{args:?}: {}", ran.error);
        assert!(token.is_none_or(|token| !ran.error.contains(token)), "{args:?}");
    }
    let cancelled = run(&["cancel-show", &show, "--yes"]).await;
    assert!(cancelled.contains("cancelled.bookings_left"), "{cancelled}");
    let done = || async {
        let state: Value = serde_json::from_str(&run(&["show", &show, "--json"]).await).unwrap();
        state["ledger"]["cancelled"]["done"] == true
    };
    until("the show's bookings are cancelled", done).await;
    world.end().await;
}
