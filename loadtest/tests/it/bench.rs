//! `loadtest bench` as tools use it: one JSON object with keys that stay. What is measured is not judged here.

use std::process::Command;

use serde_json::Value;

#[test]
fn writes_every_figure_with_its_reference_as_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("holds.json");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["bench", "holds", "--seconds", "1", "--rounds", "1", "--shape", "2x8", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).expect("one JSON object");
    let head = ["bench", "build", "date", "cores", "cpu", "redis", "load_average", "busy", "seconds", "rounds"];
    assert!(head.iter().all(|key| !report[key].is_null()), "{report}");
    let figure = |name: &str| {
        let all = report["figures"].as_array().unwrap();
        all.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"))
    };
    let names = ["hold and release pairs, 2x8", "Redis CPU of a pair, 2x8", "Redis CPU of a hold", "refusals alone"];
    for name in names {
        for key in ["measured", "reference", "ratio"] {
            assert!(figure(name)[key].as_f64().is_some_and(|figure| figure > 0.0), "{key} of {name} in {report}");
        }
    }
    assert!(figure("core CPU of a hold")["goal"].is_string());
    assert!(figure("grant share, 2x8")["met"].is_boolean());
    assert!(String::from_utf8_lossy(&output.stdout).contains("hold and release pairs, 2x8"));
}

#[test]
fn a_crowd_reads_what_a_gateway_writes_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stream.json");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["bench", "stream", "--seconds", "1", "--rounds", "1", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    // The program fails when a frame does not fit its viewer's position, or when a map differs from the core's.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).expect("one JSON object");
    let figures = report["figures"].as_array().unwrap();
    let names = ["snapshot of 20,000 seats", "snapshot of 500 seats"];
    for name in names {
        let figure = figures.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
        assert_eq!(figure["met"], true, "{figure}");
    }
    let lost = figures.iter().find(|figure| figure["name"] == "a lost last message is made up for, most").unwrap();
    assert!(["measured", "reference"].iter().all(|key| lost[key].as_f64() > Some(0.0)), "{report}");
}
