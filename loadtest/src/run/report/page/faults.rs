//! What broke, for how long, beside its bound: by kind, then each.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::FaultLine;
use super::number::{place, seconds};
use super::{Runs, section, table};

/// All faults of one name.
#[derive(Default)]
struct Kind<'a> {
    lines: Vec<&'a FaultLine>,
}

impl Kind<'_> {
    /// Of the slowest; none when one was never got over.
    fn worst(&self) -> Option<f64> {
        self.lines.iter().map(|line| line.back_to_normal_s).try_fold(0.0, |worst: f64, back| Some(worst.max(back?)))
    }

    fn late(&self) -> usize {
        self.lines.iter().filter(|line| line.is_late()).count()
    }
}

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let faults = &runs.new.faults;
    if faults.is_empty() {
        return html! {};
    }
    let old = runs.old.map(|old| by_kind(&old.faults));
    let mut columns = vec!["fault", "#times", "#in flight", "#worst, of its bound", "~", "~what must hold"];
    if old.is_some() {
        columns.insert(5, "#beside");
    }
    let rows = html! {
        @for (name, kind) in by_kind(faults) {
            tr.bad[kind.late() > 0] {
                td { b { (name) } }
                td.n { (kind.lines.len()) }
                td.n { (kind.lines.iter().map(|line| line.in_flight).min().unwrap_or(0)) "+" }
                td.n { (back(kind.worst())) " of " (seconds(bound(&kind))) }
                td.room { (gauge(&kind)) }
                @if let Some(old) = &old { td.n.old { @if let Some(old) = old.get(name) { (back(old.worst())) } } }
                td.why { (kind.lines.first().map_or("", |line| line.hypothesis.as_ref())) }
            }
        }
    };
    let content = html! {
        (table(&columns, &rows))
        details { summary { "Each of the " (faults.len()) " faults" } (each(faults)) }
    };
    let hint = "Each was fired only while commands that it is about were in flight; the time is until newcomers hold seats \
                and all watchers see it. Faults that overlapped are measured together, beside the longest of their bounds.";
    section("faults", "What broke", hint, &content)
}

fn by_kind(faults: &[FaultLine]) -> BTreeMap<&str, Kind<'_>> {
    let mut kinds: BTreeMap<&str, Kind<'_>> = BTreeMap::new();
    for line in faults {
        kinds.entry(&line.name).or_default().lines.push(line);
    }
    kinds
}

fn bound(kind: &Kind<'_>) -> f64 {
    kind.lines.iter().map(|line| line.bound_s).fold(0.0, f64::max)
}

fn back(worst: Option<f64>) -> String {
    worst.map_or_else(|| "never".to_owned(), seconds)
}

/// How much of its bound the worst one took.
fn gauge(kind: &Kind<'_>) -> Markup {
    let share = kind.lines.iter().map(|line| line.back_to_normal_s.map_or(1.0, |back| back / line.bound_s));
    let worst = share.fold(0.0, f64::max).clamp(0.02, 1.0) * 100.0;
    html! { div.gauge.late[kind.late() > 0] aria-hidden="true" { span style=(format!("width:{}%", place(worst))) {} } }
}

fn each(faults: &[FaultLine]) -> Markup {
    let rows = html! {
        @for (number, line) in faults.iter().enumerate() {
            tr.bad[line.is_late()] {
                td.n { (number + 1) }
                td.n { (place(line.at_s)) }
                td { (line.name) @if line.overlapping { " " span.tag { "overlapping" } } }
                td.n { (line.in_flight) }
                td.n { (back(line.back_to_normal_s)) }
                td.n { (seconds(line.bound_s)) }
                td.why { (line.note) }
            }
        }
    };
    table(&["#", "#at, s", "fault", "#in flight", "#right again", "#bound", "~note"], &rows)
}
