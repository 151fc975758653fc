//! What an audit found, as text and JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio_postgres::Transaction;

use super::AuditOptions;

/// Everything that one audit found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditReport {
    pub checks: Vec<Check>,
    /// One a currency.
    pub money: Vec<Money>,
    /// How many there are of: bookings, pending, confirmed, expired, cancelled, payments, refunds.
    pub counts: BTreeMap<String, u64>,
}

/// One check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    pub name: Cow<'static, str>,
    /// Numbers of the invariants that it shows.
    pub invariants: Cow<'static, str>,
    /// Rows, seats, holds … that it looked at.
    pub examined: u64,
    pub violations: u64,
    /// The first offenders.
    pub rows: Vec<String>,
}

/// captured = booked + refunded + open, in minor units.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Money {
    pub currency: String,
    pub captured: i64,
    pub booked: i64,
    pub refunded: i64,
    /// Neither booked nor given back; 0 at rest.
    pub open: i64,
}

impl AuditReport {
    pub fn is_clean(&self) -> bool {
        self.violated().next().is_none()
    }

    /// The checks that found violations.
    pub fn violated(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.violations > 0)
    }

    /// For tests: the report as the error when anything is violated.
    ///
    /// # Errors
    /// With the whole report as its text.
    pub fn into_clean(self) -> anyhow::Result<Self> {
        if self.is_clean() { Ok(self) } else { Err(anyhow::anyhow!("the audit found violations\n{self}")) }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let mark = if check.violations == 0 { "ok  " } else { "FAIL" };
            let (name, examined, violations) = (&check.name, check.examined, check.violations);
            writeln!(f, "{mark} {name:<42} examined {examined:>8}  violations {violations:>4}")?;
            for row in &check.rows {
                writeln!(f, "       {row}")?;
            }
            if violations > check.rows.len() as u64 {
                writeln!(f, "       and {} more", violations - check.rows.len() as u64)?;
            }
        }
        for Money { currency, captured, booked, refunded, open } in &self.money {
            writeln!(f, "money {currency}: captured {captured} = booked {booked} + refunded {refunded} + open {open}")?;
        }
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "counts: {}", counts.join(", "))
    }
}

impl Check {
    pub(crate) fn new(name: &'static str, invariants: &'static str) -> Self {
        Self { name: name.into(), invariants: invariants.into(), examined: 0, violations: 0, rows: Vec::new() }
    }

    pub(crate) fn examined(&mut self, count: usize) {
        self.examined += count as u64;
    }

    /// Counts one offender and keeps the first ones.
    pub(crate) fn violated(&mut self, row: impl fmt::Display) {
        self.violations += 1;
        if self.rows.len() < ROWS_MAX {
            self.rows.push(row.to_string());
        }
    }

    /// Counts offenders that somebody else found, of whom only the first are named.
    pub(crate) fn violated_by(&mut self, total: u64, rows: Vec<String>) {
        self.violations += total;
        let room = ROWS_MAX.saturating_sub(self.rows.len());
        self.rows.extend(rows.into_iter().take(room));
    }

    /// Counts an offender unless `holds`.
    pub(crate) fn expect(&mut self, holds: bool, row: impl FnOnce() -> String) {
        if !holds {
            self.violated(row());
        }
    }
}

/// A check that is one query.
pub(super) struct SqlCheck {
    pub(super) name: &'static str,
    pub(super) invariants: &'static str,
    /// FROM clause of what is counted as examined.
    pub(super) examined: &'static str,
    /// The offenders; columns that tell which, and nothing secret or personal. `{seats_max}` is replaced.
    pub(super) violations: &'static str,
}

impl SqlCheck {
    pub(super) async fn run(&self, ledger: &Transaction<'_>, options: &AuditOptions) -> anyhow::Result<Check> {
        let violations = self.violations.replace("{seats_max}", &options.seats_max.to_string());
        let query = format!(
            "WITH offenders AS MATERIALIZED ({violations})
             SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM offenders),
                    ARRAY(SELECT row_to_json(offenders)::text FROM offenders LIMIT {ROWS_MAX})",
            self.examined
        );
        let row = ledger.query_one(&query, &[]).await.with_context(|| format!("check {}", self.name))?;
        Ok(Check {
            name: self.name.into(),
            invariants: self.invariants.into(),
            examined: unsigned(row.try_get(0)?),
            violations: unsigned(row.try_get(1)?),
            rows: row.try_get(2)?,
        })
    }
}

pub(super) async fn count(ledger: &Transaction<'_>) -> anyhow::Result<BTreeMap<String, u64>> {
    let rows = ledger.query(COUNTS, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, unsigned(row.try_get(1)?)))).collect()
}

/// One check for all minimums that were asked for; none when none was.
pub(super) fn minimums(counts: &BTreeMap<String, u64>, require: &[(String, u64)]) -> Option<Check> {
    let mut check = Check::new("as_much_as_required", "");
    check.examined(require.len());
    for (name, at_least) in require {
        let there = counts.get(name).copied().unwrap_or(0);
        check.expect(there >= *at_least, || format!("{name}: {there}, required {at_least}"));
    }
    (!require.is_empty()).then_some(check)
}

/// For the command line: `confirmed=1`.
pub(super) fn parse_minimum(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or("expected NAME=N")?;
    if !COUNTED.contains(&name) {
        return Err(format!("{name} is not counted; known are {}", COUNTED.join(", ")));
    }
    Ok((name.to_owned(), count.parse().map_err(|_| format!("{count} is not a number"))?))
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Offenders shown of one check.
const ROWS_MAX: usize = 20;
const COUNTED: [&str; 7] = ["bookings", "pending", "confirmed", "expired", "cancelled", "payments", "refunds"];
const COUNTS: &str = "
    SELECT 'bookings', count(*) FROM bookings UNION ALL
    SELECT 'pending', count(*) FROM bookings WHERE state = 'PENDING' UNION ALL
    SELECT 'confirmed', count(*) FROM bookings WHERE state = 'CONFIRMED' UNION ALL
    SELECT 'expired', count(*) FROM bookings WHERE state = 'EXPIRED' UNION ALL
    SELECT 'cancelled', count(*) FROM bookings WHERE state = 'CANCELLED' UNION ALL
    SELECT 'payments', count(*) FROM payments WHERE status = 'captured' UNION ALL
    SELECT 'refunds', count(*) FROM refunds WHERE state = 'PROCESSED'";
