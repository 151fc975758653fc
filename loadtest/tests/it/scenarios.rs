//! The smaller scenarios of `loadtest run`, each for some seconds: a private stack for the bots, and one stack that runs
//! already for the rest. Larger by the runs' own variables, such as `SEATWIRE_RUN_BOTS=200`. Times are not judged here.

use clap::{Args, Parser};
use seatwire_loadtest::launcher::{Stack, StackOptions};
use seatwire_loadtest::run::Report;
use seatwire_loadtest::run::booking::{self, Booking};
use seatwire_loadtest::run::fan_out::{self, FanOut};
use seatwire_loadtest::run::hoarding_bots::{self, HoardingBots};
use seatwire_loadtest::run::hold_contention::{self, HoldContention};
use seatwire_loadtest::run::thundering_herd::{self, ThunderingHerd};
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

    let refused = thundering_herd::run(&flags::<ThunderingHerd>(&[target]), &stop).await.unwrap_err();
    assert!(refused.to_string().starts_with("--target: thundering-herd"), "{refused}");
}
