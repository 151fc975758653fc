//! `loadtest calibrate` as later tools use it: one JSON object on stdout.

use std::process::Command;

use serde_json::Value;

#[test]
fn prints_every_figure_as_one_object() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["calibrate", "--seconds", "1", "--connections", "50"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout).expect("stdout is one JSON object");
    for name in [
        "send_us",
        "frames_per_s",
        "redis_holds_per_s",
        "redis_holds_per_s_pipelined",
        "pg_transactions_per_s_1",
        "pg_transactions_per_s_16",
        "cores",
    ] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name} in {figures}");
    }
    assert_eq!((&figures["connections"], &figures["seconds"]), (&Value::from(50), &Value::from(1)));
}

#[test]
fn refuses_what_it_cannot_measure() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["calibrate", "--seconds", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--seconds"));
}
