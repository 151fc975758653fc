//! Answers of the admin routes as text for people.

use serde_json::Value;

/// `GET …/history`: when, who, from → to, why.
pub(super) fn history(answer: &Value) -> String {
    let rows = each(answer, "changes").iter().map(|change| {
        let when = text(change, "changed_at");
        let change_of = format!("{} -> {}", text(change, "from_status"), text(change, "to_status"));
        let rest = [text(change, "actor"), change_of, text(change, "reason"), text(change, "booking_id")];
        [vec![when], rest.to_vec(), vec![text(change, "version")]].concat()
    });
    table(&["WHEN", "WHO", "CHANGE", "WHY", "BOOKING", "VERSION"], rows.collect(), "this seat never changed")
}

/// `GET …/holds`.
pub(super) fn holds(answer: &Value) -> String {
    let rows = each(answer, "holds").iter().map(|hold| {
        let labels: Vec<String> = each(hold, "labels").iter().map(plain).collect();
        let left = hold.get("remaining_ms").and_then(Value::as_u64).unwrap_or(0) / 1_000;
        vec![text(hold, "hold"), text(hold, "customer"), text(hold, "phase"), format!("{left} s"), labels.join(" ")]
    });
    table(&["HOLD", "CUSTOMER", "PHASE", "LEFT", "SEATS"], rows.collect(), "no live holds")
}

/// `GET …/backlog`: a line a queue, then how far consumers of the bus are.
pub(super) fn backlog(answer: &Value) -> String {
    let count = |name: String| answer.get(name).and_then(Value::as_u64);
    let queues = ["inbox", "outbox", "refunds", "bus", "mail"].map(|queue| {
        let number = |name: String| count(name).map_or_else(|| "-".to_owned(), |count| count.to_string());
        let oldest =
            count(format!("{queue}_oldest_ms")).map_or_else(|| "-".to_owned(), |ms| format!("{} s", ms / 1_000));
        vec![queue.to_owned(), number(queue.to_owned()), number(format!("{queue}_parked")), oldest]
    });
    let mut out = table(&["QUEUE", "WAITING", "PARKED", "OLDEST"], queues.to_vec(), "");
    let groups = answer.get("bus_groups").and_then(Value::as_object).into_iter().flatten();
    for (group, at) in groups {
        out.push_str(&format!(
            "\nbus group {group}: {} behind, {} not acknowledged",
            text(at, "lag"),
            text(at, "pending")
        ));
    }
    if let Some(error) = answer.get("bus_error") {
        out.push_str(&format!("\nthe bus can't be asked: {}", plain(error)));
    }
    if ["inbox", "outbox", "refunds", "bus", "mail"].iter().any(|queue| count(format!("{queue}_parked")) > Some(0)) {
        out.push_str("\nparked rows wait for you: see `parked`");
    }
    out
}

/// `GET …/parked`.
pub(super) fn parked(answer: &Value) -> String {
    let rows = each(answer, "parked")
        .iter()
        .map(|row| ["row", "since", "failures", "what", "why", "may"].map(|field| text(row, field)).to_vec());
    let mut out = table(&["ROW", "SINCE", "FAILED", "WHAT", "WHY", "YOU MAY"], rows.collect(), "nothing is parked");
    if answer.get("more") == Some(&Value::Bool(true)) {
        out.push_str("\nand more");
    }
    out
}

/// Anything else: one line a field, inner fields behind a dot.
pub(super) fn fields(answer: &Value) -> String {
    let mut rows = Vec::new();
    flatten("", answer, &mut rows);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, rows);
            }
        }
        Value::Array(values) => {
            let all: Vec<String> = values.iter().map(plain).collect();
            rows.push((name.to_owned(), all.join(" ")));
        }
        Value::Null => {}
        value => rows.push((name.to_owned(), plain(value))),
    }
}

fn table(heads: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let head = heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn each<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_have_even_columns_and_say_when_they_are_empty() {
        let change = json!({
            "changed_at": "2026-11-21T10:00:00Z", "actor": "operator", "from_status": "available",
            "to_status": "blocked", "reason": "block", "booking_id": null, "version": 2,
        });
        let printed = history(&json!({ "changes": [change] }));
        let expected = "WHEN                  WHO       CHANGE                WHY    BOOKING  VERSION\n\
                        2026-11-21T10:00:00Z  operator  available -> blocked  block  -        2";
        assert_eq!(printed, expected);
        assert_eq!(holds(&json!({ "holds": [] })), "no live holds");
        assert_eq!(parked(&json!({ "parked": [], "more": false })), "nothing is parked");
        let counts = json!({ "inbox": 2, "inbox_parked": 1, "outbox": 0, "outbox_parked": 0, "refunds": 0,
            "refunds_parked": 0, "bus": 7, "bus_parked": 0, "bus_oldest_ms": 61_000, "mail": 0, "mail_parked": 0,
            "mail_oldest_ms": 0, "bus_groups": { "tickets": { "lag": 3, "pending": 1 } } });
        let expected = "QUEUE    WAITING  PARKED  OLDEST\n\
                        inbox    2        1       -\n\
                        outbox   0        0       -\n\
                        refunds  0        0       -\n\
                        bus      7        0       61 s\n\
                        mail     0        0       0 s\n\
                        bus group tickets: 3 behind, 1 not acknowledged\n\
                        parked rows wait for you: see `parked`";
        assert_eq!(backlog(&counts), expected);
        assert_eq!(fields(&json!({ "show": 1, "live": { "held": 2 } })), "live.held  2\nshow       1");
    }
}
