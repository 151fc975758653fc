//! What the run had to reach, those that were missed first.

use maud::{Markup, html};

use super::super::super::goals::{Bound, Goal};
use super::{Runs, number, section, table};

fn asked(goal: &Goal) -> String {
    let bound = if goal.bound == Bound::AtLeast { "at least" } else { "at most" };
    format!("{bound} {}", number::figure(goal.target))
}

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let mut goals: Vec<&Goal> = runs.new.goals.iter().collect();
    goals.sort_by_key(|goal| goal.met);
    let columns: &[&str] = if runs.old.is_some() {
        &["", "goal", "#asked", "#reached", "#beside"]
    } else {
        &["", "goal", "#asked", "#reached"]
    };
    let rows = html! {
        @for goal in goals {
            tr.bad[!goal.met] {
                td { (mark(goal.met)) }
                td { (goal.name) }
                td.n { (asked(goal)) }
                td.n { b { (value(goal)) } }
                @if let Some(old) = runs.old {
                    td.n { @if let Some(old) = old.goals.iter().find(|old| old.name == goal.name) { (value(old)) } }
                }
            }
        }
    };
    section("goals", "Goals", "", &table(columns, &rows))
}

fn value(goal: &Goal) -> String {
    if goal.value.is_nan() { "not measured".to_owned() } else { number::figure(goal.value) }
}

/// Said in words, too, for who does not see colours.
pub(super) fn mark(met: bool) -> Markup {
    html! { @if met { span.ok { "✓ met" } } @else { span.no { "✗ missed" } } }
}
