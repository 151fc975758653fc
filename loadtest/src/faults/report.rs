//! The table of a run: each fault, what it met, and its time to be right again beside its bound.

use std::fmt;
use std::time::Duration;

use super::Row;

/// What became of one shot.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub row: Row,
    /// Commands that customers waited for when it was fired.
    pub in_flight: usize,
    /// Until all was right again.
    pub back: Duration,
    pub note: String,
}

/// Outcomes in the order of their firing, and what could not be fired.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the same look takes with no fault at all: on a busy machine it is a large part of each time.
    pub without_fault: Option<Duration>,
    pub outcomes: Vec<Outcome>,
    /// Name and reason.
    pub skipped: Vec<(&'static str, &'static str)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>3}  {:<40} {:>9} {:>8} {:>9}", "row", "fault", "in flight", "back ms", "bound ms")?;
        if let Some(time) = self.without_fault {
            writeln!(f, "     {:<40} {:>9} {:>8}", "no fault", "", time.as_millis())?;
        }
        for Outcome { row, in_flight, back, note } in &self.outcomes {
            let (back, bound) = (back.as_millis(), row.bound.as_millis());
            let late = if back > bound { "late" } else { "" };
            let (number, name) = (row.number, row.name);
            let line = format!("{number:>3}  {name:<40} {in_flight:>9} {back:>8} {bound:>9} {late:<4} {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        for (name, why) in &self.skipped {
            writeln!(f, "     {name:<40} skipped: {why}")?;
        }
        Ok(())
    }
}
