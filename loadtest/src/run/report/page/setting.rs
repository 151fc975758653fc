//! Machine, flags, the harness itself, and the figures beside what the machine can do: what another machine's run can be
//! compared by.

use maud::{Markup, html};

use super::super::{Report, commit_text};
use super::number::{change, figure};
use super::{Runs, section, table};

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let ratios = numbers(
        runs,
        "beside what the machine can do",
        &[
            ("gateways' processor time of a frame, in raw sends", |run| run.ratios.as_ref()?.cpu_per_frame),
            ("frames, of those that raw sends manage", |run| run.ratios.as_ref()?.frames_per_s),
            ("attempts, of the scripts that Redis manages", |run| run.ratios.as_ref()?.holds),
            ("bookings, of plain transactions that PostgreSQL manages", |run| run.ratios.as_ref()?.bookings),
            ("gateways' memory for each viewer, KiB", |run| run.rss_kib_per_viewer),
        ],
    );
    let machine = numbers(
        runs,
        "the machine at its most, just before",
        &[
            ("one raw send, µs", |run| Some(run.calibration.as_ref()?.send_us)),
            ("frames a second", |run| Some(run.calibration.as_ref()?.frames_per_s)),
            ("hold scripts a second", |run| Some(run.calibration.as_ref()?.redis_holds_per_s)),
            ("transactions a second", |run| Some(run.calibration.as_ref()?.pg_transactions_per_s)),
        ],
    );
    let harness = numbers(
        runs,
        "the harness",
        &[
            ("cores used", |run| Some(run.harness.cpu_cores)),
            ("behind, p99, ms", |run| Some(run.harness.behind_ms)),
            ("load average of one minute", |run| Some(run.machine.load_average)),
        ],
    );
    let content = html! {
        div.columns {
            (ratios) (machine) (harness) (own(runs)) (texts(runs)) (options(runs))
        }
    };
    let hint = "Times depend on the machine: compare ratios between machines. A run in which the harness was late measures \
                the harness, and does not count.";
    section("setting", "Machine and configuration", hint, &content)
}

type Of = fn(&Report) -> Option<f64>;

/// Those that either run has.
fn numbers(runs: Runs<'_>, title: &str, figures: &[(&str, Of)]) -> Markup {
    let known: Vec<(&str, Option<f64>, Option<f64>)> = figures
        .iter()
        .map(|(name, of)| (*name, of(runs.new), runs.old.and_then(of)))
        .filter(|(_, new, old)| new.is_some() || old.is_some())
        .collect();
    if known.is_empty() {
        return html! {};
    }
    let rows = html! { @for (name, new, old) in &known { (row(runs, name, *new, *old)) } };
    table(&columns(runs, title), &rows)
}

fn row(runs: Runs<'_>, name: &str, new: Option<f64>, old: Option<f64>) -> Markup {
    html! {
        tr {
            td { (name) }
            td.n { b { (new.map_or_else(|| "–".to_owned(), figure)) } }
            @if runs.old.is_some() {
                td.n.old {
                    (old.map_or_else(|| "–".to_owned(), figure))
                    @if let Some(change) = new.zip(old).and_then(|(new, old)| change(new, old)) { " (" (change) ")" }
                }
            }
        }
    }
}

fn columns<'a>(runs: Runs<'_>, title: &'a str) -> Vec<&'a str> {
    if runs.old.is_some() { vec![title, "#this run", "#beside (change)"] } else { vec![title, "#"] }
}

/// What this scenario alone measures.
fn own(runs: Runs<'_>) -> Markup {
    if runs.new.figures.is_empty() {
        return html! {};
    }
    let rows = html! {
        @for (name, value) in &runs.new.figures {
            (row(runs, &name.replace('_', " "), Some(*value), runs.old.and_then(|old| old.figures.get(name).copied())))
        }
    };
    table(&columns(runs, "of this scenario"), &rows)
}

fn texts(runs: Runs<'_>) -> Markup {
    type Text = fn(&Report) -> String;
    let texts: [(&str, Text); 6] = [
        ("processor", |run| format!("{} × {}", run.machine.cores, run.machine.cpu)),
        ("memory", |run| run.machine.memory_gib.map_or_else(|| "–".to_owned(), |gib| format!("{} GiB", figure(gib)))),
        ("kernel", |run| run.machine.kernel.clone().unwrap_or_else(|| "–".to_owned())),
        ("build", |run| run.machine.build.to_string()),
        ("commit", |run| commit_text(run).to_owned()),
        ("made", |run| run.date.clone()),
    ];
    two(runs, "where", texts.iter().map(|(name, of)| ((*name).to_owned(), runs.both(of))))
}

fn options(runs: Runs<'_>) -> Markup {
    let Some(options) = runs.new.options.as_object() else { return html! {} };
    let of = |value: Option<&serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "–".to_owned(),
    };
    let rows = options.iter().map(|(name, value)| {
        let old = runs.old.map(|old| of(old.options.get(name)));
        (name.replace('_', " "), (of(Some(value)), old))
    });
    two(runs, "flags", rows)
}

fn two(runs: Runs<'_>, title: &str, rows: impl Iterator<Item = (String, (String, Option<String>))>) -> Markup {
    let rows = html! {
        @for (name, (new, old)) in rows {
            tr {
                td { (name) }
                td.t { (new) }
                @if let Some(old) = old { td.t.old { @if old == new { "same" } @else { (old) } } }
            }
        }
    };
    let columns: &[&str] = if runs.old.is_some() { &[title, "#this run", "#beside"] } else { &[title, "#"] };
    table(columns, &rows)
}
