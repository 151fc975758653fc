use std::time::Duration;

use super::super::goals::{Limits, Time};
use super::*;

fn report(goal: Goal, violations: u64) -> Report {
    let mut check = Check::new("nothing_is_lost", "11");
    (0..violations).for_each(|row| check.violated(row));
    let mut after = Aftermath::default();
    after.check(check);
    let harness = Harness { cpu_cores: 0.1, behind_ms: 2.0, lagged: false };
    let report = Report {
        commit: None,
        goals: vec![goal],
        lag_ms: Some(Spread { p50: 1.0, p95: 2.0, p99: 3.0, max: 4.0 }),
        payments: Some(Payments::default()),
        ..Report::of("test", 1, 1.0, after, harness)
    };
    report.judged(&Limits { max_behind: Time(Duration::from_millis(250)), ..Limits::default() })
}

#[test]
fn a_run_counts_only_when_its_goals_are_reached_and_the_audit_is_clean() {
    assert!(report(Goal::at_least("rescued", 3, 3), 0).verdict().is_ok());
    let missed = report(Goal::at_least("rescued", 3, 2), 0);
    assert!(!missed.counts);
    let missed = missed.verdict().unwrap_err().to_string();
    assert_eq!(missed, "this run does not count: rescued 2 at least 3");
    let violated = report(Goal::at_least("rescued", 3, 3), 2);
    assert_eq!(violated.audit.violations, 2);
    assert!(violated.verdict().unwrap_err().to_string().contains("nothing_is_lost is violated"));
}

#[test]
fn a_run_with_a_missing_figure_tells_the_others_and_why_and_does_not_count() {
    let mut report = report(Goal::at_least("rescued", 3, 3), 0);
    report.missing.push(Missing { figure: "payments".to_owned(), why: "no such table <x>".to_owned() });
    let report = report.judged(&Limits { max_behind: Time(Duration::from_millis(250)), ..Limits::default() });
    let why = "payments can't be told: no such table <x>";
    assert!(!report.counts && report.verdict().unwrap_err().to_string().contains(why));
    let text = report.to_string();
    assert!(text.contains(why) && text.contains("change to viewer"), "{text}");
    let page = report.page(None);
    assert!(page.contains("payments can't be told: no such table &lt;x&gt;"), "{page}");
}

#[test]
fn a_run_in_which_the_harness_lagged_says_so_and_does_not_count() {
    let mut report = report(Goal::at_least("rescued", 3, 3), 0);
    report.harness = Harness { behind_ms: 900.0, lagged: true, ..report.harness };
    let report = report.judged(&Limits { max_behind: Time(Duration::from_millis(250)), ..Limits::default() });
    assert!(!report.counts);
    assert!(report.to_string().contains("the harness lagged"), "{report}");
}

#[test]
fn goals_by_flags_are_judged_and_what_was_not_measured_misses_them() {
    let limits = |ms| Limits { max_lag_p99: Some(Time(Duration::from_millis(ms))), ..Limits::default() };
    let goal = |limits: Limits| limits.goals(&report(Goal::at_least("rescued", 1, 1), 0)).remove(0);
    assert_eq!([goal(limits(3)).met, goal(limits(2)).met], [true, false]);
    assert!(!goal(Limits { max_rss_kib_per_viewer: Some(3.0), ..Limits::default() }).met);
}

#[test]
fn keys_stay_and_parts_that_are_not_there_are_null() {
    let json = serde_json::to_value(report(Goal::at_least("rescued", 3, 3), 0)).unwrap();
    let keys = |part: &serde_json::Value| part.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let documented = include_str!("../../../../docs/LOADTEST.md");
    for key in keys(&json) {
        assert!(documented.contains(&format!("`{key}`")), "docs/LOADTEST.md lacks {key}");
    }
    let stable = [
        "scenario",
        "seed",
        "commit",
        "duration_s",
        "goals",
        "audit",
        "viewers",
        "lag_ms",
        "holds",
        "payments",
        "calibration",
        "ratios",
        "rss_kib_per_viewer",
        "harness",
        "faults",
        "histograms",
        "series",
    ];
    stable.iter().for_each(|key| assert!(json.get(key).is_some(), "{key}"));
    assert!(json["viewers"].is_null() && json["rss_kib_per_viewer"].is_null() && json["commit"].is_null());
    assert_eq!(keys(&json["goals"][0]), ["bound", "met", "name", "target", "value"]);
    assert_eq!(keys(&json["audit"]), ["checks", "counts", "money", "violations"]);
    assert_eq!(keys(&json["harness"]), ["behind_ms", "cpu_cores", "lagged"]);
    assert_eq!(keys(&json["lag_ms"]), ["max", "p50", "p95", "p99"]);
}

#[test]
fn a_report_that_was_stored_is_read_again_and_older_ones_are() {
    let mut whole = report(Goal::least("frames", 5.0, f64::NAN), 1);
    let times = Times::new().unwrap();
    times.note(Duration::from_millis(3));
    whole.viewers = Some(Viewers { connected: 3, frames_per_s_least: f64::NAN, ..Viewers::default() });
    whole.histograms.lag = times.buckets();
    whole.series = Some(Series::of(&[Done { granted: 1, refused: 2, confirmed: 3 }], &BTreeMap::new()));
    whole.calibration =
        Some(Calibration { send_us: 1.5, frames_per_s: 2.0, redis_holds_per_s: 3.0, pg_transactions_per_s: 4.0 });
    whole.faults.push(FaultLine {
        name: "a gateway killed".to_owned(),
        at_s: 1.5,
        in_flight: 3,
        back_to_normal_s: None,
        bound_s: 2.0,
        overlapping: true,
        hypothesis: "nothing is lost".into(),
        note: String::new(),
    });
    let stored = serde_json::to_value(&whole).unwrap();
    let read: Report = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    assert_eq!(read.to_string(), whole.to_string());
    // Of a version before these keys.
    let mut older = stored;
    for key in ["series", "histograms", "date", "missing"] {
        older.as_object_mut().unwrap().remove(key);
    }
    let read: Report = serde_json::from_value(older).unwrap();
    assert!(read.series.is_none() && read.histograms == Histograms::default());
}

#[test]
fn a_page_says_it_all_loads_nothing_and_escapes_everything() {
    let mut new = report(Goal::at_least("rescued & more", 3, 2), 1);
    new.audit.report.checks[0].rows = vec!["<script>alert(1)</script>".to_owned()];
    new.options = serde_json::json!({ "</style>": "\"'><img src=x>" });
    new.series = Some(Series::of(&[Done { granted: 1, refused: 2, confirmed: 3 }], &BTreeMap::new()));
    let old = report(Goal::at_least("rescued & more", 3, 3), 0);
    let page = new.page(Some(&old));
    for text in
        ["This run does not count", "nothing_is_lost", "rescued &amp; more", "captured", "&lt;script&gt;", "at most 1"]
    {
        assert!(page.contains(text), "{text}");
    }
    for text in ["<script", "<img", "http:", "https:", "//", "url(", "@import", "NaN"] {
        assert!(!page.contains(text), "{text}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(old.page(None).contains("This run counts"));
}
