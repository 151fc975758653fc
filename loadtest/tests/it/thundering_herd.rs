//! `loadtest run thundering-herd`, small: a few hundred viewers of two processes, buyers who fight, and faults, alone and
//! overlapping. Larger by the run's own variables, such as `SEATWIRE_RUN_FAULTS=30 SEATWIRE_RUN_ATTEMPTS=5000`, the same
//! again with `SEATWIRE_RUN_SEED`. Times are not judged here.

use clap::Parser as _;
use seatwire_loadtest::launcher::can_mount;
use seatwire_loadtest::run::thundering_herd::{self, ThunderingHerd};
use tokio_util::sync::CancellationToken;

use crate::shop;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    run: ThunderingHerd,
}

const SMALL: [(&str, &str, &str); 8] = [
    ("--viewers", "SEATWIRE_RUN_VIEWERS", "300"),
    ("--processes", "SEATWIRE_RUN_PROCESSES", "2"),
    ("--buyers", "SEATWIRE_RUN_BUYERS", "60"),
    ("--buyers-per-second", "SEATWIRE_RUN_BUYERS_PER_SECOND", "15"),
    ("--hot", "SEATWIRE_RUN_HOT", "60"),
    ("--attempts", "SEATWIRE_RUN_ATTEMPTS", "300"),
    ("--calibrate", "SEATWIRE_RUN_CALIBRATE", "0"),
    ("--max-behind", "SEATWIRE_RUN_MAX_BEHIND", "600s"),
];

/// Kinds that no other test fires, as many at the same time as can be.
const FAULTS: [&str; 10] = [
    "kill-gateway",
    "drop-feed+kill-backends",
    "cut-cores",
    "empty-redis",
    "fail-provider+stall-viewers+repeat-feed",
    "throttle-provider+repeat-commands+scatter-viewers",
    "repeat-webhooks+exhaust-descriptors",
    "kill-core-after-webhook",
    "poison-inbox",
    "poison-outbox",
];
/// Where small disks can be mounted.
const DISKS: [&str; 2] = ["fill-ledger-disk+kill-gateway", "lose-refund-answers+fill-wal-disk"];

/// Those, unless the run's own variables ask for others.
fn faults() -> Vec<String> {
    let variables = ["SEATWIRE_RUN_FAULT", "SEATWIRE_RUN_FAULTS", "SEATWIRE_RUN_FAULTS_PLAN"];
    if variables.iter().any(|name| std::env::var_os(name).is_some()) {
        return Vec::new();
    }
    let disks = if can_mount() { &DISKS[..] } else { &[] };
    vec![format!("--fault={}", [&FAULTS[..], disks].concat().join(","))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_sees_every_change_and_buys_every_seat_once_whatever_breaks() {
    let small = SMALL.iter().filter(|(_, variable, _)| std::env::var_os(variable).is_none());
    let small = small.flat_map(|(flag, _, value)| [*flag, *value]).map(str::to_owned);
    let program = ["thundering-herd", "--min-each", "1"].map(str::to_owned).into_iter();
    let flags = Flags::parse_from(program.chain(small).chain(faults()));
    let _turn = shop::TURN.lock().await;
    let report = thundering_herd::run(&flags.run, &CancellationToken::new()).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["payments"]["open"], &json["viewers"]["diverged"]), (&0.into(), &0.into()));
    for fault in json["faults"].as_array().unwrap() {
        assert!(fault["in_flight"].as_u64().unwrap() > 0, "{fault}");
    }
    let count = |part: &str, key: &str| json[part][key].as_u64().unwrap_or_else(|| panic!("{part} {key}: {json}"));
    // A gateway was killed and another Redis came: viewers resumed, and some had to begin anew.
    for key in ["resumed_by_catch_up", "resumed_by_snapshot", "stalls", "hides", "catch_ups", "deltas"] {
        assert!(count("viewers", key) > 0, "{key}: {json}");
    }
    let examined = |name: &str| {
        let checks = json["audit"]["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["examined"].as_u64().unwrap()
    };
    assert_eq!(examined("viewers_end_with_the_ledgers_map"), u64::from(flags.run.house.viewers));
    assert!(examined("viewers_histories_obey_the_delta_rule") > 1_000);
    assert!(json["lag_ms"]["p50"].as_f64().unwrap() > 0.0);
}
