//! Every check of the audit, with how much it looked at; what was violated comes first, with its first offenders.

use maud::{Markup, html};

use super::number::count;
use super::{Runs, section, table};
use crate::audit::Check;

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let checks = &runs.new.audit.report.checks;
    let violated: Vec<&Check> = checks.iter().filter(|check| check.violations > 0).collect();
    let examined: u64 = checks.iter().map(|check| check.examined).sum();
    let rows = html! {
        @for check in violated.iter().copied().chain(checks.iter().filter(|check| check.violations == 0)) {
            tr.bad[check.violations > 0] {
                td { @if check.violations == 0 { span.ok { "✓" } } @else { span.no { "✗" } } " " (check.name.replace('_', " ")) }
                td.n { (count(check.examined)) }
                @if let Some(old) = runs.old { td.n.old { (of(old, check)) } }
                td.n { (count(check.violations)) }
            }
        }
    };
    let columns: &[&str] = if runs.old.is_some() {
        &["check", "#examined", "#beside", "#violations"]
    } else {
        &["check", "#examined", "#violations"]
    };
    let content = html! {
        @for check in &violated {
            div.offenders {
                h3 { (check.name) ": " (count(check.violations)) }
                pre { @for row in &check.rows { (row) "\n" } }
            }
        }
        details open[!violated.is_empty()] {
            summary { (checks.len()) " checks looked at " (count(examined)) " rows and found " (count(runs.new.audit.violations)) }
            (table(columns, &rows))
        }
    };
    let hint = "After the load, when the stack was at rest: ledger, Redis, provider, and what every viewer saw. A check that \
                looks at nothing proves nothing, so each says how much it examined.";
    section("audit", "The audit", hint, &content)
}

fn of(report: &super::Report, check: &Check) -> String {
    let old = report.audit.report.checks.iter().find(|old| old.name == check.name);
    old.map_or_else(String::new, |old| count(old.examined))
}
