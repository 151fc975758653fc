//! What is looked at after the load. A run of many minutes is not lost with one figure that can't be read any more: its
//! report has all the others, says what is missing and why, and does not count.

use std::collections::BTreeMap;

use super::place::Place;
use super::report::{Audit, Missing, Payments};
use super::rest::map_at_rest;
use super::sale::figures::Figures;
use super::say;
use crate::audit::{AuditReport, Check};
use crate::crowd::Crowd;
use crate::times::Times;
use crate::viewers::{Herd, Seen};

#[derive(Debug, Default)]
pub(super) struct Aftermath {
    audited: Option<AuditReport>,
    /// Beside the audit's own.
    checks: Vec<Check>,
    missing: Vec<Missing>,
}

impl Aftermath {
    /// What was read; nothing when that failed, and the report tells why.
    pub(super) fn read<T>(&mut self, figure: &str, read: anyhow::Result<T>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                let missing = Missing { figure: figure.to_owned(), why: format!("{error:#}") };
                say(&missing.to_string());
                self.missing.push(missing);
                None
            }
        }
    }

    pub(super) fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The audit at rest, and whether everything that customers were told is true.
    pub(super) async fn audit(&mut self, place: &Place, crowd: &Crowd) {
        let audited = place.audit().await;
        self.audited = self.read("audit", audited);
        let told = crowd.check_told(&place.sources()).await;
        let told = self.read("checks of what customers were told", told);
        self.checks.extend(told.unwrap_or_default());
    }

    /// What became of the payments, and whether every accepted webhook is in the inbox.
    pub(super) async fn payments(&mut self, place: &Place) -> Option<Payments> {
        let figures = Figures::read(&place.sources(), &place.journal(), place.own_show_alone()).await;
        let figures = self.read("payments", figures)?;
        self.checks.push(figures.webhooks);
        Some(figures.payments)
    }

    /// What the viewers saw, each of whom has the ledger's map now. `behind` gets how late they were.
    pub(super) async fn viewers(&mut self, place: &Place, herd: Herd, behind: &Times) -> Option<Seen> {
        let seen = async {
            let (position, statuses) = map_at_rest(&place.addresses(), place.show).await?;
            herd.compare(position, &statuses, behind).await
        };
        let mut seen = self.read("viewers", seen.await)?;
        self.checks.append(&mut seen.checks);
        for error in &seen.errors {
            say(&format!("a viewer: {error}"));
        }
        Some(seen)
    }

    /// For the report.
    pub(super) fn told(self) -> (Audit, Vec<Missing>) {
        let none = || AuditReport { checks: Vec::new(), money: Vec::new(), counts: BTreeMap::new() };
        (Audit::new(self.audited.unwrap_or_else(none), self.checks), self.missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_missing_and_the_rest_stays() {
        let mut after = Aftermath::default();
        assert_eq!(after.read("holds", Ok(3)), Some(3));
        after.check(Check::new("nothing_is_lost", "11"));
        let gone: Option<u64> = after.read("payments", Err(anyhow::anyhow!("no such table").context("counting")));
        assert_eq!(gone, None);
        let (audit, missing) = after.told();
        assert_eq!((audit.violations, audit.report.checks.len()), (0, 1));
        assert_eq!(missing, [Missing { figure: "payments".into(), why: "counting: no such table".into() }]);
    }
}
