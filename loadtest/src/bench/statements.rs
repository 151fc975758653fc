//! The very statements of one booking, as PostgreSQL logged them: one is made alone, and everything that was asked about
//! it becomes a script for pgbench, with its transactions, in which ids, names and seats follow from one number. So the
//! reference always runs the present statements. What other workers do with it later (marks in outbox and events, the
//! bus, mail) is left out, and so is the looking for work.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, bail};
use tokio_postgres::types::{Kind, Type};

use super::customers::{Bought, Places, Shop};
use super::ledger::Ledger;

/// Statements with one of these are of workers that come later.
const LATER: [&str; 4] = ["booking_events", "UPDATE outbox", "array_agg(", "b.email"];
/// First id of the inbox while one booking is watched: no other number in a statement looks like it.
const FIRST_EVENT: i64 = 800_000_001;

/// Everybody's, unlike all else that stands for something.
const SHOW: &str = ":show::text";

/// One statement and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    pid: u32,
    sql: String,
    arguments: Vec<Option<String>>,
}

/// A text of the watched booking, and what stands for it in the script.
type Stand = (String, String);

/// What was captured, ready to be run.
pub(super) struct Script {
    pub(super) text: String,
    pub(super) transactions: usize,
    pub(super) statements: usize,
}

/// Makes one booking and answers what PostgreSQL was asked for it.
pub(super) async fn of_one_booking(
    ledger: &Ledger,
    shop: &Shop,
    places: &Places,
    log: &Path,
) -> anyhow::Result<Script> {
    let sql = ledger.sql();
    let restart = format!("ALTER SEQUENCE payment_events_id_seq RESTART WITH {FIRST_EVENT}");
    sql.batch_execute(&restart).await?;
    // Its backends are all connected and have the map loaded.
    shop.buy(places).await?.context("no seats")?;
    ledger.at_rest().await?;
    let from = fs::metadata(log)?.len();
    sql.batch_execute("ALTER SYSTEM SET log_statement = 'all'").await?;
    sql.batch_execute("SELECT pg_reload_conf()").await?;
    while sql.query_one("SELECT current_setting('log_statement')", &[]).await?.get::<_, String>(0) != "all" {
        tokio::task::yield_now().await;
    }
    let bought = shop.buy(places).await?.context("no seats")?;
    ledger.at_rest().await?;
    sql.batch_execute("ALTER SYSTEM RESET log_statement").await?;
    sql.batch_execute("SELECT pg_reload_conf()").await?;
    let mut file = fs::File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let stands = stands(ledger, &bought).await?;
    let groups = transactions(parse(&text), &stands);
    script(ledger, &groups, &stands).await
}

/// What is of this booking alone.
async fn stands(ledger: &Ledger, bought: &Bought) -> anyhow::Result<Vec<Stand>> {
    let booking = &bought.booking;
    let order = booking.order.clone().context("no order")?;
    let id = booking.booking.to_hex();
    let query = "SELECT hold_id, (SELECT array_agg(key) FROM idempotency_keys WHERE booking_id = b.id)
        FROM bookings b WHERE id = $1::text::uuid";
    let row = ledger.sql().query_one(query, &[&id]).await?;
    let (hold, keys): (Vec<u8>, Vec<String>) = (row.get(0), row.get(1));
    let mut stands = vec![
        (id.clone(), "md5('b' || :n::text)".to_owned()),
        (uuid::Uuid::parse_str(&id)?.to_string(), "md5('b' || :n::text)::uuid::text".to_owned()),
        (hex::encode(hold), "md5('h' || :n::text)".to_owned()),
        (order.clone(), "('order_' || :n::text)".to_owned()),
        (bought.payment.clone(), "('pay_' || :n::text)".to_owned()),
        (bought.customer.clone(), "('bench-' || :n::text)".to_owned()),
        (booking.show.to_string(), SHOW.to_owned()),
    ];
    stands.extend(keys.into_iter().map(|key| (key, "('k' || :n::text)".to_owned())));
    let seats = booking.seats.iter().zip(0..);
    stands.extend(seats.map(|(seat, n)| (seat.0.to_string(), format!("(:seat + {n})"))));
    let query = "SELECT id, encode(body_hash, 'hex') FROM payment_events WHERE order_id = $1 ORDER BY id";
    for (n, row) in ledger.sql().query(query, &[&order]).await?.iter().enumerate() {
        let hash = format!("sha256(('{n}-' || :n::text)::bytea)");
        let of_event = format!("(SELECT id FROM payment_events WHERE provider = 'razorpay' AND body_hash = {hash})");
        stands.push((row.get::<_, i64>(0).to_string(), of_event));
        stands.push((row.get(1), format!("encode({hash}, 'hex')")));
    }
    Ok(stands)
}

/// The statements of the log, in order.
fn parse(log: &str) -> Vec<Statement> {
    let mut entries: Vec<(u32, String)> = Vec::new();
    for line in log.lines() {
        match line.strip_prefix('\t') {
            Some(more) => {
                if let Some((_, entry)) = entries.last_mut() {
                    entry.push('\n');
                    entry.push_str(more);
                }
            }
            None => {
                let head = line.split_once("] ").and_then(|(head, rest)| Some((head.rsplit_once('[')?.1, rest)));
                if let Some((pid, rest)) = head {
                    entries.push((pid.parse().unwrap_or(0), rest.to_owned()));
                }
            }
        }
    }
    let mut statements: Vec<Statement> = Vec::new();
    for (pid, entry) in entries {
        if let Some(text) = entry.strip_prefix("LOG:  ") {
            let sql = text.strip_prefix("statement: ").or_else(|| {
                let (_, sql) = text.strip_prefix("execute ")?.split_once(": ")?;
                Some(sql)
            });
            // diesel's comment with the placeholders once more.
            let sql = sql.map(|sql| sql.split(" /* $").next().unwrap_or(sql).trim_end_matches(" /*  */").to_owned());
            statements.extend(sql.map(|sql| Statement { pid, sql, arguments: Vec::new() }));
        } else if let Some((_, text)) = entry.strip_prefix("DETAIL:  ").and_then(|text| text.split_once("arameters: "))
            && let Some(statement) = statements.iter_mut().rev().find(|statement| statement.pid == pid)
        {
            statement.arguments = arguments(text);
        }
    }
    statements
}

/// `$1 = 'it''s', $2 = NULL`
fn arguments(text: &str) -> Vec<Option<String>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            all.push(None);
            rest = value;
            continue;
        };
        let (mut argument, mut at) = (String::new(), quoted);
        loop {
            let Some((part, behind)) = at.split_once('\'') else {
                at = "";
                break;
            };
            argument.push_str(part);
            at = behind;
            match behind.strip_prefix('\'') {
                Some(behind) => {
                    argument.push('\'');
                    at = behind;
                }
                None => break,
            }
        }
        all.push(Some(argument));
        rest = at;
    }
    all
}

/// The transactions that are about this booking, in the order of their beginnings.
fn transactions(statements: Vec<Statement>, stands: &[Stand]) -> Vec<Vec<Statement>> {
    let mut open: HashMap<u32, usize> = HashMap::new();
    let mut groups: Vec<Vec<Statement>> = Vec::new();
    for statement in statements {
        let (pid, verb) = (statement.pid, statement.sql.to_ascii_uppercase());
        match open.get(&pid).copied() {
            Some(at) => {
                if let Some(group) = groups.get_mut(at) {
                    group.push(statement);
                }
                if verb.starts_with("COMMIT") || verb.starts_with("ROLLBACK") {
                    open.remove(&pid);
                }
            }
            None => {
                if verb.starts_with("BEGIN") {
                    open.insert(pid, groups.len());
                }
                groups.push(vec![statement]);
            }
        }
    }
    let own = |statement: &Statement| {
        let mut texts = statement.arguments.iter().flatten();
        texts.any(|text| stands.iter().any(|(of, with)| !is_shared(with) && text.contains(of.as_str())))
    };
    let later = |statement: &Statement| LATER.iter().any(|part| statement.sql.contains(part));
    groups.retain(|group| group.iter().any(own) && !group.iter().any(later));
    groups
}

/// The show is everybody's.
fn is_shared(with: &str) -> bool {
    with == SHOW
}

async fn script(ledger: &Ledger, groups: &[Vec<Statement>], stands: &[Stand]) -> anyhow::Result<Script> {
    let settled = groups.iter().flatten().filter(|statement| statement.sql.contains("UPDATE payments")).count();
    if settled == 0 {
        bail!("the log does not show how the booking was settled");
    }
    // A number for each run of the script: of its connection, and within it.
    let mut text = "\\set i :i + 1\n\\set n :run + :client_id * 1000000 + :i\n\
        \\set k :client_id + (:i - 1) * :connections\n\
        \\set show :first + :k / :places\n\\set seat 3 * (:k % :places)\n"
        .to_owned();
    let mut count = 0;
    for statement in groups.iter().flatten() {
        text.push_str(&line(ledger, statement, stands).await?);
        text.push_str(";\n");
        count += 1;
    }
    Ok(Script { text, transactions: groups.len(), statements: count })
}

/// The statement with its arguments in their places.
async fn line(ledger: &Ledger, statement: &Statement, stands: &[Stand]) -> anyhow::Result<String> {
    if statement.arguments.is_empty() {
        return Ok(statement.sql.clone());
    }
    let prepared = ledger.sql().prepare(&statement.sql).await.with_context(|| statement.sql.clone())?;
    let mut sql = statement.sql.clone();
    // The last first: $1 is the beginning of $10.
    for (n, (argument, kind)) in statement.arguments.iter().zip(prepared.params()).enumerate().rev() {
        let value = argument.as_deref().map_or_else(|| "NULL".to_owned(), |text| expression(text, stands));
        sql = sql.replace(&format!("${}", n + 1), &format!("({value})::{}", name_of(kind)));
    }
    Ok(sql)
}

fn name_of(kind: &Type) -> String {
    match kind.kind() {
        Kind::Array(element) => format!("{}[]", element.name()),
        _ => kind.name().to_owned(),
    }
}

/// A text with what stands for its parts.
fn expression(text: &str, stands: &[Stand]) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let found = stands.iter().filter_map(|(of, with)| Some((rest.find(of.as_str())?, of, with)));
        // The first, and of those the longest.
        match found.min_by_key(|(at, of, _)| (*at, std::cmp::Reverse(of.len()))) {
            Some((at, of, with)) => {
                if at > 0 {
                    parts.push(literal(rest.get(..at).unwrap_or_default()));
                }
                parts.push(with.clone());
                rest = rest.get(at + of.len()..).unwrap_or_default();
            }
            None => {
                parts.push(literal(rest));
                break;
            }
        }
    }
    match parts.len() {
        0 => "''".to_owned(),
        1 => parts.concat(),
        _ => format!("concat({})", parts.join(", ")),
    }
}

/// Without a colon: pgbench takes it for the start of a variable, also between quotes.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace(':', "\\x3a"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01 00:00:00.000 UTC [7] LOG:  statement: BEGIN
2026-01-01 00:00:00.000 UTC [8] LOG:  execute s1: SELECT $1 /* $1 */
2026-01-01 00:00:00.000 UTC [8] DETAIL:  parameters: $1 = 'other'
2026-01-01 00:00:00.000 UTC [7] LOG:  execute s2: UPDATE t
\tSET a = $1, b = $2 WHERE c = $3 /* $1$2$3 */
2026-01-01 00:00:00.000 UTC [7] DETAIL:  parameters: $1 = '{\"x\":4711}', $2 = NULL, $3 = 'it''s 4711'
2026-01-01 00:00:00.000 UTC [7] LOG:  statement: COMMIT
";

    #[test]
    fn the_log_becomes_the_transactions_of_one_booking() {
        let stands = [("4711".to_owned(), ":seat".to_owned())];
        let groups = transactions(parse(LOG), &stands);
        assert_eq!(groups.len(), 1);
        let texts: Vec<&str> = groups[0].iter().map(|statement| statement.sql.as_str()).collect();
        assert_eq!(texts, ["BEGIN", "UPDATE t\nSET a = $1, b = $2 WHERE c = $3", "COMMIT"]);
        let arguments = groups[0][1].arguments.clone();
        assert_eq!(arguments, [Some("{\"x\":4711}".to_owned()), None, Some("it's 4711".to_owned())]);
        assert_eq!(expression(arguments[0].as_deref().unwrap(), &stands), "concat(E'{\"x\"\\x3a', :seat, E'}')");
        assert_eq!(expression("4711", &stands), ":seat");
    }
}
