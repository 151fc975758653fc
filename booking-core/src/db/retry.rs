//! Which failures are worth another try. One table, by SQLSTATE; docs/OPERATIONS.md publishes it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::sqlstate::code_of;
use super::{DbError, TryError};

/// Where another try may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// On the same connection.
    Here,
    /// Only on a new one.
    Elsewhere,
}

use Again::{Elsewhere, Here};

/// Codes, or beginnings of codes. What is not here is an answer, or a fault of the program or its data: the same statement
/// would fail the same way.
const TABLE: &[(&str, Again, &str)] = &[
    ("40001", Here, "could not be serialized"),
    ("40P01", Here, "deadlock"),
    ("55P03", Here, "a lock was not had in time"),
    ("57014", Here, "the statement took too long"),
    ("53", Here, "no room: disk, memory, connections"),
    ("58", Here, "disk or operating system of the server failed"),
    ("57P", Elsewhere, "the server stops, starts or recovers, or ended this connection"),
    ("25P03", Elsewhere, "the transaction was idle too long"),
    ("25P04", Elsewhere, "the transaction took too long"),
    ("25006", Elsewhere, "the server takes no writes: it became a standby"),
    ("08", Elsewhere, "connection lost"),
];

fn again(code: &str) -> Option<Again> {
    TABLE.iter().find(|(start, ..)| code.starts_with(start)).map(|(_, again, _)| *again)
}

impl From<DieselError> for TryError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, info) = error else {
            return match error {
                DieselError::BrokenTransactionManager | DieselError::AlreadyInTransaction => {
                    Self::Transient { text: error.to_string(), lost: true }
                }
                other => DbError::Fault(other.to_string()).into(),
            };
        };
        let text = info.message().to_owned();
        if let Some(name) = info.constraint_name() {
            return DbError::Constraint(name.to_owned()).into();
        }
        let never_answered =
            matches!(kind, DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection);
        match code_of(&text).and_then(again) {
            Some(again) => Self::Transient { text, lost: again == Elsewhere },
            None if never_answered => Self::Transient { text, lost: true },
            None => DbError::Fault(text).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table_is_this_one() {
        let docs = include_str!("../../../docs/OPERATIONS.md");
        let section = docs.split("\n## ").find(|section| section.starts_with("When a statement fails")).unwrap();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = TABLE
            .iter()
            .map(|(start, again, what)| {
                let star = if start.len() < 5 { "…" } else { "" };
                let place = if *again == Here { "" } else { "a new connection" };
                format!("| `{start}{star}` | {what} | {place} |").replace("|  |", "| |")
            })
            .collect();
        assert_eq!(rows, expected);
    }
}
