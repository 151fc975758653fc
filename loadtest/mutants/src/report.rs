//! The table of what was caught by what, as it is in `docs/MUTANTS.md`.

use std::fmt::Write as _;

use crate::list::Mutant;
use crate::run::Verdict;

/// Head of the table.
pub const HEAD: &str = "| mutant | guard taken out | file | caught by |\n|---|---|---|---|";

/// A line of the table.
#[must_use]
pub fn line(mutant: &Mutant, verdict: &Verdict) -> String {
    let verdict = match verdict {
        Verdict::Caught(tests) if tests.is_empty() => "the run did not end".to_owned(),
        Verdict::Caught(tests) => tests.iter().fold(String::new(), |mut line, test| {
            let separator = if line.is_empty() { "" } else { ", " };
            // Writing to a string can't fail.
            let _ = write!(line, "{separator}`{test}`");
            line
        }),
        Verdict::Survived => "**NOTHING**".to_owned(),
        Verdict::DoesNotCompile => "**DOES NOT COMPILE**".to_owned(),
    };
    format!("| {} | {} | `{}` | {verdict} |", mutant.name, mutant.guard, mutant.file)
}
