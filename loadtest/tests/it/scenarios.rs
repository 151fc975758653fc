//! The smaller scenarios of `loadtest run`, each for some seconds: a private stack for the bots, and stacks that run
//! already for the rest; a figure that can't be read; flags that are refused. Larger by the runs' own variables, such
//! as `SEATWIRE_RUN_BOTS=200`. Times are not judged here.

use std::time::Duration;

use clap::{Args, Parser};
use seatwire_loadtest::launcher::{Addresses, Service, Stack, StackOptions};
use seatwire_loadtest::run::Report;
use seatwire_loadtest::run::booking::{self, Booking};
use seatwire_loadtest::run::fan_out::{self, FanOut};
use seatwire_loadtest::run::hoarding_bots::{self, HoardingBots};
use seatwire_loadtest::run::hold_contention::{self, HoldContention};
use seatwire_loadtest::run::thundering_herd::{self, ThunderingHerd};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::shop;

#[derive(Parser)]
struct Flags<A: Args> {
    #[command(flatten)]
    run: A,
}

/// Without the judgement of times, which is for machines at rest.
fn flags<A: Args>(flags: &[(&str, &str, &str)]) -> A {
    let chosen = flags.iter().filter(|(_, variable, _)| std::env::var_os(variable).is_none());
    let chosen = chosen.flat_map(|(flag, _, value)| [*flag, *value]);
    Flags::parse_from(["run", "--calibrate", "0", "--max-behind", "600s"].into_iter().chain(chosen)).run
}

/// All that it has to be on any machine: rates are for machines at rest.
fn counts(report: &Report) -> serde_json::Value {
    println!("{report}");
    let json = serde_json::to_value(report).unwrap();
    assert_eq!(json["audit"]["violations"], 0);
    let goals = json["goals"].as_array().unwrap();
    let is_rate = |goal: &serde_json::Value| goal["name"].as_str().unwrap().contains("a second");
    let missed: Vec<_> = goals.iter().filter(|goal| goal["met"] == false && !is_rate(goal)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(goals.iter().any(|goal| !is_rate(goal)));
    json
}

fn examined(json: &serde_json::Value, name: &str) -> u64 {
    let checks = json["audit"]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}"))["examined"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_buyers_finish_although_bots_hold_what_they_can() {
    // Five minutes of a hold are five seconds, so that a busy machine is in time.
    let small = [
        ("--bots", "SEATWIRE_RUN_BOTS", "40"),
        ("--seats", "SEATWIRE_RUN_SEATS", "100"),
        ("--honest", "SEATWIRE_RUN_HONEST", "8"),
        ("--length", "SEATWIRE_RUN_LENGTH", "6m"),
        ("--patience", "SEATWIRE_RUN_PATIENCE", "60m"),
        ("--faster", "SEATWIRE_RUN_FASTER", "60"),
    ];
    let _turn = shop::TURN.lock().await;
    let report = hoarding_bots::run(&flags::<HoardingBots>(&small), &CancellationToken::new()).await.unwrap();
    let json = counts(&report);
    assert!(examined(&json, "nobody_was_above_a_cap") > 100);
    // All of a bot's connections tried at once, and the caps held.
    for figure in ["bots_holds_lapsed", "bots_refused_limit", "honest_finished"] {
        assert!(json["figures"][figure].as_f64().unwrap() > 0.0, "{figure}: {json}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_play_on_a_stack_that_runs_already() {
    let _turn = shop::TURN.lock().await;
    let stack = Stack::start(StackOptions::new().gateways(2)).await.unwrap();
    let file = stack.folder().join("ready.json");
    stack.addresses().write(&file).unwrap();
    let file = file.to_str().unwrap();
    let target = ("--target", "SEATWIRE_RUN_TARGET", file);
    let length = ("--length", "SEATWIRE_RUN_LENGTH", "2s");
    let stop = CancellationToken::new();

    let small = [target, length, ("--viewers", "", "60"), ("--processes", "", "2"), ("--within", "", "500ms")];
    let json = counts(&fan_out::run(&flags::<FanOut>(&small), &stop).await.unwrap());
    assert_eq!(examined(&json, "viewers_end_with_the_ledgers_map"), 60);
    assert!(examined(&json, "viewers_histories_obey_the_delta_rule") > 60);

    // Few enough that a busy machine keeps the rate.
    let small = [target, length, ("--rate", "", "60")];
    let json = counts(&hold_contention::run(&flags::<HoldContention>(&small), &stop).await.unwrap());
    assert!(json["holds"]["refused"].as_u64().unwrap() > 0, "{json}");

    let json = counts(&booking::run(&flags::<Booking>(&[target, length, ("--rate", "", "10")]), &stop).await.unwrap());
    // Of this run's show alone.
    assert_eq!(json["payments"]["captured"], json["payments"]["booked"]);
    assert!(json["payments"]["captured"].as_u64().unwrap() > 0, "{json}");
}

/// Its holds last seconds, so that lateness is real there, too; nothing is broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_comes_to_a_stack_that_runs_already_and_breaks_nothing_there() {
    let _turn = shop::TURN.lock().await;
    let short = [("HOLD", 3_000), ("HOLD_GRACE", 500), ("CLAIM", 5_000), ("PAYING", 5_000), ("RECONCILE", 9_000)];
    let options = short.iter().fold(StackOptions::new().gateways(2), |options, (name, ms)| {
        options.env(Service::Core, format!("SEATWIRE_{name}_MS"), ms)
    });
    let stack = Stack::start(options).await.unwrap();
    let file = stack.folder().join("ready.json");
    stack.addresses().write(&file).unwrap();
    let target = ("--target", "SEATWIRE_RUN_TARGET", file.to_str().unwrap());
    let stop = CancellationToken::new();

    let few = [("--viewers", "", "60"), ("--within", "", "500ms"), ("--buyers", "", "30"), ("--attempts", "", "20")];
    let small =
        [&few[..], &[target, ("--length", "", "2s"), ("--min-each", "", "0"), ("--restless", "", "0")]].concat();
    let json = counts(&thundering_herd::run(&flags::<ThunderingHerd>(&small), &stop).await.unwrap());
    assert_eq!(examined(&json, "viewers_end_with_the_ledgers_map"), 60);

    let broken = [&small[..], &[("--fault", "", "kill-redis")]].concat();
    let refused = thundering_herd::run(&flags::<ThunderingHerd>(&broken), &stop).await.unwrap_err();
    assert!(refused.to_string().starts_with("--target: --fault"), "{refused}");
    // Holds last too long there for so small a factor.
    let refused =
        hoarding_bots::run(&flags::<HoardingBots>(&[target, ("--faster", "", "2")]), &stop).await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("a hold lasts") && refused.contains("SEATWIRE_HOLD_MS=150000"), "{refused}");
}

/// What the provider sent is not where the target says: everything else of the run is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_figures_can_not_be_read_tells_what_it_has_and_does_not_count() {
    let _turn = shop::TURN.lock().await;
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let (file, folder) = (stack.folder().join("ready.json"), tempfile::tempdir().unwrap());
    let at = Addresses { data_dir: folder.path().join("gone").display().to_string(), ..stack.addresses() };
    at.write(&file).unwrap();
    let (json, html) = (folder.path().join("run.json"), folder.path().join("run.html"));
    let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    run.args(["run", "booking", "--length", "2s", "--rate", "5", "--calibrate", "0", "--target"])
        .arg(&file)
        .arg("--json")
        .arg(&json)
        .arg("--html")
        .arg(&html);
    let ended = tokio::time::timeout(Duration::from_secs(120), run.kill_on_drop(true).output()).await;
    let ended = ended.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("this run does not count") && said.contains("payments can't be told: can't read"), "{said}");
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(!report.counts && report.payments.is_none() && report.missing[0].figure == "payments");
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["holds"]["granted"].as_u64().unwrap() > 0 && json["booking_ms"]["p50"].as_f64().unwrap() > 0.0);
    assert!(examined(&json, "told_bookings_are_in_the_ledger") > 0);
    assert!(std::fs::read_to_string(&html).unwrap().contains("payments can't be told"));
}

/// What can't come to a report is refused before anything is started.
#[tokio::test]
async fn a_run_that_could_not_be_told_or_judged_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none/run.json").display().to_string();
    let here = folder.path().join("run.html").display().to_string();
    let cases: [(&[&str], &str); 9] = [
        (&["booking", "--json", &nowhere], "can't write"),
        (&["booking", "--html", folder.path().to_str().unwrap()], "can't write"),
        (&["booking", "--json", &here, "--html", &here], "the same file"),
        (&["booking", "--target", &nowhere], "--target: can't read"),
        (&["booking", "--max-lag-p99", "1s"], "--max-lag-p99: this scenario has no viewers"),
        (&["booking", "--rate", "0"], "expected a number a second"),
        (&["fan-out", "--viewers", "0"], "0 is not in 1..=200000"),
        (&["fan-out", "--calibrate", "0", "--max-cpu-per-frame", "2"], "--max-cpu-per-frame: needs"),
        (&["hold-contention", "--seats", "100", "--hot", "100"], "--hot: 100 seats"),
    ];
    for (args, words) in cases {
        let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let ended =
            tokio::time::timeout(Duration::from_secs(30), run.arg("run").args(args).kill_on_drop(true).output());
        let ended = ended.await.unwrap_or_else(|_| panic!("{args:?} runs")).unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains(words) && !said.contains("starting"), "{args:?}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
