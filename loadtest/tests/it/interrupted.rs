//! Ctrl-C in the middle of a herd and its faults: the run ends with its report, as text, JSON and a page that a browser
//! opens without a complaint, with an exit code of its own, and nothing is left over. Some 40 seconds on two idle cores.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatwire_loadtest::run::Report;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::browser::driver::Driver;
use crate::browser::window::{Size, Window};
use crate::shop;

/// Longer than the test would wait, with one fault after the other.
const FLAGS: [&str; 16] = [
    "--viewers",
    "120",
    "--within",
    "1s",
    "--attempts",
    "1000000",
    "--length",
    "600s",
    "--calibrate",
    "0",
    "--min-each",
    "0",
    "--max-behind",
    "600s",
    "--fault",
    FAULTS,
];
const FAULTS: &str = "stop-postgres,stop-redis,stop-core,stop-gateway,kill-gateway,stop-postgres,stop-redis,stop-core,\
    stop-gateway,kill-gateway,stop-postgres,stop-redis,stop-core,stop-gateway,kill-gateway";
const ENDS_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_ends_with_its_report_and_leaves_nothing_behind() {
    let _turn = shop::TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (json, html, data) = (file("run.json"), file("run.html"), file("data"));
    let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["run", "thundering-herd", "--json", &json, "--html", &html, "--data-dir", &data])
        .args(FLAGS)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = run.id().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    let mut lines = Vec::new();
    let mut stopped = false;
    let ended = tokio::time::timeout(ENDS_WITHIN, async {
        while let Some(line) = said.next_line().await.unwrap() {
            // A fault is over and the next one is on its way.
            if !stopped && line.contains("right again") {
                kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGINT).unwrap();
                stopped = true;
            }
            lines.push(line);
        }
        let mut text = String::new();
        run.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        (text, run.wait().await.unwrap())
    });
    let ended = ended.await;
    let (text, status) = ended.unwrap_or_else(|_| panic!("it goes on: {}", lines.join("\n")));
    let said = lines.join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(text.contains("This run does not count") && text.contains("contended attempts"), "{said}\n{text}");
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(!report.counts && !report.faults.is_empty(), "{text}");
    assert_eq!(report.audit.violations, 0, "{text}");
    let series = report.series.as_ref().unwrap();
    assert!(
        series.frames_per_s.iter().sum::<f64>() > 0.0 && series.viewers_live.iter().any(|live| *live > 0),
        "{series:?}"
    );
    assert!(report.histograms.lag.is_some() && report.histograms.hold.is_some());
    assert_eq!(processes_that_mention(Path::new(&data)), Vec::<String>::new());
    open(&html, &report).await;

    // The same again from what was stored, beside itself.
    let page = file("again.html");
    let again = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["report", &json, &json, "--html", &page]).status();
    assert!(again.await.unwrap().success());
    assert!(std::fs::read_to_string(&page).unwrap().contains("beside"));
}

/// The page has its figures and the browser nothing to complain of.
async fn open(html: &str, report: &Report) {
    let Some(driver) = Driver::start().await else { return };
    for (name, size) in [("report-wide", Size::Desk), ("report-phone", Size::Phone)] {
        let window = Window::open(&driver, "file://", name, size).await;
        window.visit(html).await;
        window.sees("h1", "This run does not count").await;
        window.sees("#goals", "contended attempts").await;
        window.sees("#faults", &report.faults[0].name).await;
        let drawn = window.value("document.querySelectorAll('#over-time path.line[d^=M]').length").await;
        assert!(drawn.as_u64().unwrap() >= 5, "{drawn} lines");
        // Nothing is wider than the window.
        window.until("document.documentElement.scrollWidth <= document.documentElement.clientWidth").await;
        window.picture("1-top").await;
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
}

fn processes_that_mention(data: &Path) -> Vec<String> {
    let wanted = data.display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&wanted)).collect()
}
