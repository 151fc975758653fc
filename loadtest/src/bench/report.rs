//! What a benchmark says: lines for people, one JSON object with stable keys for tools.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One measured thing and, where there is one, the reference of the same run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) measured: f64,
    pub(super) reference: Option<f64>,
    /// Measured by reference, median over the rounds.
    pub(super) ratio: Option<f64>,
    /// In words.
    pub(super) goal: Option<&'static str>,
    pub(super) met: Option<bool>,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, measured: f64) -> Self {
        Self { name: name.into(), unit, measured, reference: None, ratio: None, goal: None, met: None }
    }

    pub(super) fn beside(mut self, reference: f64) -> Self {
        self.reference = Some(reference);
        self.ratio = Some(self.measured / reference);
        self
    }

    pub(super) fn goal(mut self, goal: &'static str, met: bool) -> Self {
        self.goal = Some(goal);
        self.met = Some(met);
        self
    }

    fn line(&self) -> String {
        let mut line = format!("{:<52} {:>10} {:<6}", self.name, short(self.measured), self.unit);
        if let Some(reference) = self.reference {
            line += &format!(" reference {:>10}", short(reference));
        }
        if let Some(ratio) = self.ratio {
            line += &format!("  ratio {ratio:.2}");
        }
        if let (Some(goal), Some(met)) = (self.goal, self.met) {
            line += &format!("  goal {goal}: {}", if met { "met" } else { "NOT MET" });
        }
        line
    }
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    /// Of this program: `release` or `debug`; figures of debug builds say nothing.
    build: &'static str,
    date: String,
    cores: usize,
    cpu: String,
    redis: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
    /// Of one minute, before and after: others on the machine are seen here.
    load_average: [f64; 2],
    /// More was running than there are cores: rates and times, and even ratios of rates, then tell how the system shared
    /// the cores among the processes. CPU per operation still compares.
    busy: bool,
    seconds: u64,
    rounds: usize,
    figures: Vec<Figure>,
}

impl Report {
    pub(super) fn begin(bench: &'static str, redis: String, seconds: u64, rounds: usize) -> Self {
        Self {
            bench,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            date: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            cores: cores(),
            cpu: cpu_model(),
            redis,
            postgres: None,
            load_average: [load_average(); 2],
            busy: false,
            seconds,
            rounds,
            figures: Vec::new(),
        }
    }

    /// Names the other server that was measured.
    pub(super) fn postgres(&mut self, version: String) {
        self.postgres = Some(version);
    }

    /// Adds a figure and prints it.
    pub(super) fn add(&mut self, figure: Figure) {
        println!("{}", figure.line());
        self.figures.push(figure);
    }

    pub(super) fn end(mut self, json: Option<&Path>) -> anyhow::Result<()> {
        self.load_average[1] = load_average();
        println!(
            "{} build, {} cores ({}), Redis {}, load average {:.1} to {:.1}, {}",
            self.build, self.cores, self.cpu, self.redis, self.load_average[0], self.load_average[1], self.date
        );
        #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
        let cores = self.cores as f64;
        self.busy = self.load_average.iter().any(|load| *load > cores + 1.0);
        if self.busy {
            println!(
                "The machine was busy: judge CPU per operation; rates and times above are not evidence either way."
            );
        }
        let Some(path) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }
}

fn short(figure: f64) -> String {
    if figure.abs() >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

/// Of the machine: this process may be pinned to one of them.
pub(crate) fn cores() -> usize {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match info.lines().filter(|line| line.starts_with("processor")).count() {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        cores => cores,
    }
}

pub(crate) fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    name.unwrap_or("unknown").trim().to_owned()
}

pub(crate) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median of the quotients, round by round: what was measured side by side is compared.
pub(super) fn median_ratio(measured: &[f64], reference: &[f64]) -> f64 {
    median(measured.iter().zip(reference).map(|(m, r)| m / r).collect())
}

/// Times in order, to ask for shares of them.
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Milliseconds that `percent` of the times do not exceed.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }

    pub(super) fn mean_ms(&self) -> f64 {
        let sum: Duration = self.0.iter().sum();
        sum.as_secs_f64() * 1_000.0 / count(self.0.len() as u64)
    }

    pub(super) fn max_ms(&self) -> f64 {
        self.percentile_ms(100)
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_times_are_times_that_were_measured() {
        let times = Times::new((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!([50, 99, 100].map(|percent| times.percentile_ms(percent)), [100.0, 198.0, 200.0]);
        assert!(Times::new(Vec::new()).max_ms().is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
