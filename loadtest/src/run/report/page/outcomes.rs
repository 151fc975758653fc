//! What became of attempts, payments and viewers. Money and payments have to add up, and the page shows the sum.

use maud::{Markup, html};

use super::super::super::goals::float;
use super::super::{Payments, Viewers};
use super::number::{count, figure, money, place};
use super::{Runs, section, table};
use crate::crowd::Holds;

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let (holds, old_holds) = runs.both(|run| run.holds);
    let (payments, old_payments) = runs.both(|run| run.payments.clone());
    let content = html! {
        @if let Some(holds) = holds { (seats(&holds, old_holds.flatten().as_ref())) }
        @if let Some(payments) = payments { (paid(&payments, old_payments.flatten().as_ref())) }
        (sums(runs))
        (viewers(runs))
    };
    section("outcomes", "What became of it", "", &content)
}

/// Parts of a whole, as wide as they are many.
fn stack(title: &str, total: u64, parts: &[(&str, &str, u64)], old: Option<&[u64]>) -> Markup {
    let share = |part: u64| if total == 0 { 0.0 } else { float(part) / float(total) * 100.0 };
    html! {
        div.stack {
            h3 { (title) " " span.unit { (count(total)) } }
            div.bar {
                @for (class, name, part) in parts.iter().filter(|(_, _, part)| *part > 0) {
                    span class=(class) style=(format!("width:{}%", place(share(*part)))) title=(format!("{name} {part}")) {}
                }
            }
            ul.parts {
                @for (at, (class, name, part)) in parts.iter().enumerate() {
                    li {
                        i class=(class) {} b { (count(*part)) } " " (name)
                        @if let Some(old) = old.and_then(|old| old.get(at)) { span.old { (count(*old)) } }
                    }
                }
            }
        }
    }
}

fn seats(holds: &Holds, old: Option<&Holds>) -> Markup {
    let of = |holds: &Holds| [holds.granted, holds.refused, holds.errors];
    let [granted, refused, errors] = of(holds);
    let parts = [
        ("c1", "granted", granted),
        ("c2", "refused: somebody was faster", refused),
        ("c4", "neither: an error", errors),
    ];
    html! {
        (stack("Attempts to hold seats", holds.attempts(), &parts, old.map(of).as_ref().map(<[u64; 3]>::as_slice)))
        p.note {
            "For " (count(holds.seats)) " different seats; " (count(holds.contended)) " attempts were contended. Of the granted, "
            (count(holds.expired)) " were over before they were booked."
        }
    }
}

fn paid(payments: &Payments, old: Option<&Payments>) -> Markup {
    let of = |of: &Payments| [of.booked, of.refunded, of.open];
    let [booked, refunded, open] = of(payments);
    let parts = [("c3", "booked", booked), ("c1", "refunded", refunded), ("c4", "open", open)];
    let adds_up = payments.captured == booked + refunded + open;
    let refunds = payments.refunded_late
        + payments.refunded_double
        + payments.refunded_wrong_amount
        + payments.refunded_cancelled;
    let reasons = [
        ("paid late, somebody else had the seats", payments.refunded_late),
        ("paid twice", payments.refunded_double),
        ("of a wrong amount", payments.refunded_wrong_amount),
        ("cancelled by the customer", payments.refunded_cancelled),
        ("for another reason", refunded.saturating_sub(refunds)),
    ];
    html! {
        (stack("Payments captured", payments.captured, &parts, old.map(of).as_ref().map(<[u64; 3]>::as_slice)))
        p.identity.bad[!adds_up || open > 0] {
            "captured " b { (count(payments.captured)) } " = booked " b { (count(booked)) } " + refunded " b { (count(refunded)) }
            " + open " b { (count(open)) }
        }
        p.note {
            "Refunded: "
            @for (at, (why, refunds)) in reasons.iter().filter(|(_, refunds)| *refunds > 0).enumerate() {
                @if at > 0 { ", " }
                (count(*refunds)) " " (why)
            }
            ". " (count(payments.rescued)) " were rescued: paid late, their seats still free. "
            (count(payments.found_by_reconciliation)) " were found without any webhook, and "
            (count(payments.duplicates_received)) " webhooks came more than once."
        }
    }
}

/// By currency, as the audit added it up.
fn sums(runs: Runs<'_>) -> Markup {
    let rows = html! {
        @for sum in &runs.new.audit.report.money {
            tr.bad[sum.open != 0] {
                td { (sum.currency) }
                td.n { (money(sum.captured)) } td.n { (money(sum.booked)) } td.n { (money(sum.refunded)) } td.n { (money(sum.open)) }
            }
        }
    };
    if runs.new.audit.report.money.is_empty() {
        return html! {};
    }
    html! { h3 { "Money" } (table(&["currency", "#captured", "#= booked", "#+ refunded", "#+ open"], &rows)) }
}

type Text = fn(&Viewers) -> String;

fn viewers(runs: Runs<'_>) -> Markup {
    let (new, old) = runs.both(|run| run.viewers.clone());
    let Some(new) = new else { return html! {} };
    let old = old.flatten();
    let counts: [(&str, Text); 10] = [
        ("connected at the end", |of| count(of.connected)),
        ("diverged: a wrong map or history", |of| count(of.diverged)),
        ("reconnects", |of| count(of.reconnects)),
        ("resumed by catch-up", |of| count(of.resumed_by_catch_up)),
        ("resumed by snapshot", |of| count(of.resumed_by_snapshot)),
        ("stalled, hid the page", |of| format!("{}, {}", count(of.stalls), count(of.hides))),
        ("deltas (of them catch-ups)", |of| format!("{} ({})", count(of.deltas), count(of.catch_ups))),
        ("snapshots, beats", |of| format!("{}, {}", count(of.snapshots), count(of.beats))),
        ("seat changes applied", |of| count(of.changes)),
        ("frames a second: all; least of one who stayed", |of| {
            format!("{}; {}", figure(of.frames_per_s), figure(of.frames_per_s_least))
        }),
    ];
    let rows = html! {
        @for (name, text) in counts {
            tr { td { (name) } td.n { b { (text(&new)) } } @if let Some(old) = &old { td.n.old { (text(old)) } } }
        }
    };
    let columns: &[&str] = if old.is_some() { &["", "#this run", "#beside"] } else { &["", "#"] };
    html! { h3 { "Viewers" } (table(columns, &rows)) }
}
