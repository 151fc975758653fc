//! The tables of PROTOCOL.md name exactly the fields that the golden vectors have: every message of the WebSocket, every
//! push, every operation with its reply, every object. What only the reference has, or only the bytes, is found here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const REFERENCE: &str = include_str!("../../PROTOCOL.md");

type Names = BTreeSet<String>;

/// The golden vectors whose names begin so.
fn golden(prefix: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let ours = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(prefix) && name.ends_with(".json")
    });
    ours.map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// Every object of some vector that has these fields.
fn objects_with(fields: [&str; 2]) -> Vec<Value> {
    fn find(value: &Value, fields: [&str; 2], found: &mut Vec<Value>) {
        if fields.iter().all(|field| value.get(field).is_some()) {
            found.push(value.clone());
        }
        match value {
            Value::Object(object) => object.values().for_each(|inner| find(inner, fields, found)),
            Value::Array(list) => list.iter().for_each(|inner| find(inner, fields, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    golden("").iter().for_each(|vector| find(vector, fields, &mut found));
    found
}

/// What stands between backticks.
fn ticked(text: &str) -> Names {
    let names = text.split('`').skip(1).step_by(2);
    names.map(|name| name.trim_end_matches('?').to_owned()).collect()
}

/// Field names in a text: what stands between backticks, less formulas and values of fields.
fn fields(text: &str) -> Names {
    const VALUES: [&str; 19] = [
        "browse",
        "paying",
        "ended",
        "pending",
        "confirmed",
        "expired",
        "cancelled",
        "due",
        "requested",
        "processed",
        "failed",
        "screen",
        "stage",
        "held",
        "booked",
        "blocked",
        "no_such_seat",
        "orphan",
        "cool_down",
    ];
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    ticked(text).into_iter().filter(|name| is_name(name) && !VALUES.contains(&name.as_str())).collect()
}

/// The cells of the row that begins so, within a part of the reference.
fn row<'a>(part: &'a str, begin: &str) -> Vec<&'a str> {
    let line = part.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no row {begin}"));
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

fn part(from: &str, to: &str) -> &'static str {
    let rest = REFERENCE.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}

fn top(value: &Value) -> Names {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

fn all(value: &Value) -> Names {
    match value {
        Value::Object(object) => object.keys().cloned().chain(object.values().flat_map(all)).collect(),
        Value::Array(list) => list.iter().flat_map(all).collect(),
        _ => Names::new(),
    }
}

/// `said` and `there` must agree: everything at the top is named, and nothing is named that is nowhere.
fn compare(what: &str, said: &Names, there: &[Value], tag: &str) {
    assert!(!there.is_empty(), "{what}: no golden vector");
    let mut at_top: Names = there.iter().flat_map(top).collect();
    let mut anywhere: Names = there.iter().flat_map(all).collect();
    assert!(at_top.remove(tag) || tag.is_empty(), "{what}: no {tag}");
    anywhere.remove(tag);
    let unsaid: Vec<_> = at_top.difference(said).collect();
    let nowhere: Vec<_> = said.difference(&anywhere).collect();
    assert!(unsaid.is_empty(), "{what}: PROTOCOL.md does not name {unsaid:?}");
    assert!(nowhere.is_empty(), "{what}: PROTOCOL.md names {nowhere:?}, which no golden vector has");
}

#[test]
fn every_message_of_the_websocket_has_the_fields_of_its_row() {
    // A row tells by name what to send.
    let sends = |kind: &str| if kind == "reread" { fields("`own_holds`") } else { Names::new() };
    for (prefix, from, to) in [
        ("client.", "### 2.2", "### 2.3"),
        ("server.", "### 2.3", "Bodies of `ok`"),
        ("push", "Pushes, named", "### 2.4"),
    ] {
        let (tag, messages) = match prefix {
            "push" => ("p", golden("server.push_").into_iter().map(|message| message["push"].clone()).collect()),
            _ => ("t", golden(prefix)),
        };
        let kinds: Names = messages.iter().map(|message| message[tag].as_str().unwrap().to_owned()).collect();
        let part = part(from, to);
        let documented = part.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `t`"));
        let documented: Names = documented
            .filter(|line| !line.starts_with("| `p`"))
            .map(|line| line.split('`').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(kinds, documented, "{prefix}: messages of the golden vectors and of the table");
        for kind in &kinds {
            let of_kind: Vec<Value> =
                messages.iter().filter(|message| message[tag] == kind.as_str()).cloned().collect();
            let said = &fields(row(part, &format!("| `{kind}` "))[1]) - &sends(kind);
            compare(kind, &said, &of_kind, tag);
        }
    }
}

#[test]
fn every_operation_and_its_reply_have_the_fields_of_their_row() {
    let part = part("| kind | operation |", "The core trusts");
    let mut rows = 0;
    for line in part.lines().filter(|line| line.starts_with("| 0x")) {
        let cells = row(line, "| 0x");
        let [_, name, body, reply] = cells[..] else { panic!("{line}") };
        // Two operations take the same filter, and one of them has vectors of all of it.
        if body == "as list_shows" {
            let said = fields(row(part, "| 0x40 ")[2]);
            assert!(exactly("command", name).iter().all(|command| top(command).is_subset(&said)), "{name}");
        } else {
            compare(name, &fields(body), &exactly("command", name), "");
        }
        let replies = exactly("reply", name);
        match reply {
            // The object itself, which has a test of its own: this one may lack what is not always there.
            "Hold" | "Booking" | "Layout" => {
                assert!(replies.iter().all(|reply| top(reply).is_subset(&fields(object(cells[3])))), "{name}");
            }
            reply => compare(&format!("reply to {name}"), &fields(reply), &replies, ""),
        }
        rows += 1;
    }
    assert_eq!(rows, 16);
}

/// The vectors of one operation, with its variants.
fn exactly(kind: &str, name: &str) -> Vec<Value> {
    let mut found = golden(&format!("{kind}.{name}.json"));
    found.extend(golden(&format!("{kind}.{name}_")));
    found
}

/// What section 5 says of an object.
fn object(name: &str) -> &'static str {
    part(&format!("\n**{name}**"), "\n\n")
}

#[test]
fn every_object_has_the_fields_of_its_paragraph() {
    compare("Hold", &fields(object("Hold")), &objects_with(["phase", "seats"]), "");
    compare("Booking", &fields(object("Booking")), &objects_with(["labels", "state"]), "");
    let shows = golden("reply.list_shows").into_iter().flat_map(|reply| reply["shows"].as_array().cloned().unwrap());
    let said = &ticked(object("Show"));
    compare("Show", said, &shows.collect::<Vec<_>>(), "");
    compare("Layout", &fields(object("Layout")), &golden("reply.get_layout"), "");
    let errors = part("## 6 Errors", "\"Again\"");
    let there: Vec<Value> = golden("server.error").into_iter().map(|message| message["error"].clone()).collect();
    compare("error", &fields(errors), &there, "");
}
