//! `loadtest run late-payments`, small: every process of a stack is killed once among a few hundred payments. Larger by
//! the run's own variables, such as `SEATWIRE_RUN_PAYMENTS=5000 SEATWIRE_RUN_KILLS=25 SEATWIRE_RUN_CUSTOMERS=64`, by
//! Stripe's shapes with `SEATWIRE_RUN_PROVIDER=stripe`, the same again with `SEATWIRE_RUN_SEED`.

use clap::Parser as _;
use seatwire_loadtest::run::late_payments::{self, LatePayments};
use tokio_util::sync::CancellationToken;

use crate::shop;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    run: LatePayments,
}

const SMALL: [(&str, &str, &str); 5] = [
    ("--payments", "SEATWIRE_RUN_PAYMENTS", "240"),
    ("--kills", "SEATWIRE_RUN_KILLS", "6"),
    ("--customers", "SEATWIRE_RUN_CUSTOMERS", "32"),
    ("--calibrate", "SEATWIRE_RUN_CALIBRATE", "0"),
    // Times are not judged here.
    ("--max-behind", "SEATWIRE_RUN_MAX_BEHIND", "60s"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_of_every_process_among_late_double_and_wrong_payments_loses_nothing() {
    let small = SMALL.iter().filter(|(_, variable, _)| std::env::var_os(variable).is_none());
    let flags = small.flat_map(|(flag, _, value)| [*flag, *value]);
    let flags = Flags::parse_from(["late-payments"].into_iter().chain(flags));
    let _turn = shop::TURN.lock().await;
    let report = late_payments::run(&flags.run, &CancellationToken::new()).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["payments"]["open"], 0);
    for fault in json["faults"].as_array().unwrap() {
        assert!(fault["in_flight"].as_u64().unwrap() > 0, "{fault}");
    }
    let told = |name: &str| {
        let checks = json["audit"]["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["examined"].as_u64().unwrap()
    };
    for check in ["told_bookings_are_in_the_ledger", "told_ends_are_in_the_ledger", "told_payments_are_in_the_ledger"] {
        assert!(told(check) >= 100, "{check} examined {}", told(check));
    }
    assert!(told("accepted_webhooks_are_in_the_inbox") >= 200);
}
