//! `seatwire-model [ledger|split|customers|feed|all] [--bound small|large]`: explores the design and says what it found.

use std::process::ExitCode;

use seatwire_model::Bound;
use seatwire_model::checker::{Model, explore};
use seatwire_model::{customers, feed, ledger, split};

const USAGE: &str = "\
Explores every state of the models and prints states, depth, violations and seconds.

Usage: seatwire-model [ledger|split|customers|feed|all] [--bound small|large]

  ledger     bookings in PostgreSQL beside holds and the seat map in Redis
  split      a failover whose old server can still be reached
  customers  what the hold scripts count and compare: caps, lapses, owners, the sale
  feed       the seat stream through two gateways to a viewer
  all        each of them (default)
  --bound    small: seconds (default); large: minutes, more than five million states";

/// States of one run at most: about two gigabytes.
const STATES_MAX: usize = 40_000_000;

fn main() -> ExitCode {
    let (mut which, mut bound) = ("all".to_owned(), Bound::Small);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "ledger" | "split" | "customers" | "feed" | "all" => which = argument,
            "--bound" => match arguments.next().as_deref() {
                Some("small") => bound = Bound::Small,
                Some("large") => bound = Bound::Large,
                _ => return usage(),
            },
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => return usage(),
        }
    }
    let mut total = Total::default();
    let is_wanted = |name: &str| which == name || which == "all";
    if is_wanted("ledger") {
        for scenario in ledger::scenarios(bound) {
            let model = ledger::Ledger::new(scenario, ledger::Variant::Design);
            total.run(&format!("ledger: {}", scenario.name), &model);
        }
    }
    if is_wanted("split") {
        total.run("split: both servers reachable", &split::Split { variant: split::Variant::Design });
    }
    if is_wanted("customers") {
        total.run("customers", &customers::Customers::new(bound, customers::Variant::Design));
    }
    if is_wanted("feed") {
        for scenario in feed::scenarios(bound) {
            total.run(&format!("feed: {}", scenario.name), &feed::Feed::new(scenario, feed::Variant::Design));
        }
    }
    println!("{:<44} {:>12} states {:>26.1} s  {} violations", "all", total.states, total.seconds, total.violations);
    if total.violations == 0 && total.whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

struct Total {
    states: usize,
    seconds: f64,
    violations: usize,
    whole: bool,
}

impl Default for Total {
    fn default() -> Self {
        Self { states: 0, seconds: 0.0, violations: 0, whole: true }
    }
}

impl Total {
    fn run<M: Model>(&mut self, name: &str, model: &M) {
        let report = explore(model, STATES_MAX);
        let seconds = report.elapsed.as_secs_f64();
        let found = report.violation.as_ref().map_or("holds", |violation| violation.property);
        println!("{name:<44} {:>12} states, depth {:>3}, {seconds:>8.1} s  {found}", report.states, report.depth);
        if let Some(violation) = &report.violation {
            self.violations += 1;
            for (step, action) in violation.trace.iter().enumerate() {
                println!("  {:>3} {action:?}", step + 1);
            }
        } else if !report.complete {
            self.whole = false;
            println!("  not complete: the limit of states was reached");
        }
        if !report.missed.is_empty() {
            println!("  never reached: {}", report.missed.join(", "));
        }
        self.states += report.states;
        self.seconds += seconds;
    }
}
