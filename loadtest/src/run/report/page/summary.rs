//! The first thing seen: whether the run counts, why not, and its most telling figures.

use maud::{Markup, html};

use super::super::{Report, commit_text};
use super::{Runs, number};

pub(super) fn verdict(report: &Report) -> &'static str {
    if report.counts { "this run counts" } else { "this run does not count" }
}

pub(super) fn header(runs: Runs<'_>) -> Markup {
    let Runs { new, old } = runs;
    let failures = new.failures();
    html! {
        header class=[(!new.counts).then_some("failed")] {
            div.inner {
                p.kind { "Seatwire load test · " (new.scenario) }
                h1 {
                    span.mark aria-hidden="true" { @if new.counts { "✓" } @else { "✗" } }
                    (capital(verdict(new)))
                }
                @if failures.is_empty() {
                    p.why { "Every goal was reached, the audit is clean and the harness kept up." }
                } @else {
                    ul.why { @for failure in &failures { li { (failure) } } }
                }
                (origin(new, "this run"))
                @if let Some(old) = old {
                    (origin(old, if old.counts { "beside" } else { "beside (does not count)" }))
                }
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn origin(report: &Report, which: &str) -> Markup {
    let machine = &report.machine;
    html! {
        dl.origin {
            div { dt { (which) } dd { (report.date.replace('T', " ")) } }
            div { dt { "commit" } dd { code { (commit_text(report)) } } }
            div { dt { "seed" } dd { (report.seed) } }
            div { dt { "load" } dd { (number::seconds(report.duration_s)) } }
            div { dt { "build" } dd { (machine.build) } }
            div { dt { "machine" } dd { (machine.cores) " cores" } }
        }
    }
}

/// One figure in large letters.
struct Tile {
    name: &'static str,
    text: String,
    old: Option<String>,
    note: String,
    bad: bool,
}

pub(super) fn tiles(runs: Runs<'_>) -> Markup {
    let tiles = [violations(runs), viewers(runs), attempts(runs), booked(runs), faults(runs), lag(runs)];
    html! {
        div.tiles {
            @for tile in tiles.into_iter().flatten() {
                div.tile.bad[tile.bad] {
                    div.name { (tile.name) }
                    div.value { (tile.text) }
                    @if let Some(old) = tile.old { div.old { "beside: " (old) } }
                    div.note { (tile.note) }
                }
            }
        }
    }
}

fn violations(runs: Runs<'_>) -> Option<Tile> {
    let (found, old) = runs.both(|run| run.audit.violations);
    let checks = runs.new.audit.report.checks.len();
    Some(Tile {
        name: "violations",
        text: number::count(found),
        old: old.map(number::count),
        note: format!("{checks} checks of the audit"),
        bad: found > 0 || checks == 0,
    })
}

fn viewers(runs: Runs<'_>) -> Option<Tile> {
    let (viewers, old) = runs.both(|run| run.viewers.clone());
    let viewers = viewers?;
    Some(Tile {
        name: "viewers with the right map",
        text: number::count(viewers.connected.saturating_sub(viewers.diverged)),
        old: old.flatten().map(|old| number::count(old.connected.saturating_sub(old.diverged))),
        note: format!("{} diverged; {} reconnects", viewers.diverged, number::count(viewers.reconnects)),
        bad: viewers.diverged > 0,
    })
}

fn attempts(runs: Runs<'_>) -> Option<Tile> {
    let (holds, old) = runs.both(|run| run.holds);
    let holds = holds?;
    Some(Tile {
        name: "contended attempts",
        text: number::count(holds.contended),
        old: old.flatten().map(|old| number::count(old.contended)),
        note: format!("of {}, for {} different seats", number::count(holds.attempts()), number::count(holds.seats)),
        bad: false,
    })
}

fn booked(runs: Runs<'_>) -> Option<Tile> {
    let (payments, old) = runs.both(|run| run.payments.clone());
    let payments = payments?;
    let open = payments.open > 0;
    Some(Tile {
        name: if open { "payments" } else { "payments, none open" },
        text: number::count(payments.captured),
        old: old.flatten().map(|old| number::count(old.captured)),
        note: format!(
            "{} booked, {} refunded, {} open",
            number::count(payments.booked),
            number::count(payments.refunded),
            payments.open
        ),
        bad: open,
    })
}

fn faults(runs: Runs<'_>) -> Option<Tile> {
    let within = |run: &Report| run.faults.iter().filter(|fault| !fault.is_late()).count();
    let of = |run: &Report| format!("{} of {}", within(run), run.faults.len());
    let all = &runs.new.faults;
    let never = all.iter().filter(|fault| fault.back_to_normal_s.is_none()).count();
    (!all.is_empty()).then(|| Tile {
        name: "faults got over in time",
        text: of(runs.new),
        old: runs.old.map(of),
        note: if never == 0 { "each while commands were in flight".to_owned() } else { format!("{never} never") },
        bad: never > 0,
    })
}

fn lag(runs: Runs<'_>) -> Option<Tile> {
    let (lag, old) = runs.both(|run| run.lag_ms);
    let lag = lag?;
    let beats = runs.new.viewers.as_ref().map_or(f64::NAN, |viewers| viewers.frames_per_s);
    Some(Tile {
        name: "change to viewer, median",
        text: number::time(lag.p50),
        old: old.flatten().map(|old| number::time(old.p50)),
        note: format!("p99 {}; {} frames/s", number::time(lag.p99), number::figure(beats)),
        bad: false,
    })
}
