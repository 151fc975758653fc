//! Where a run happened, and of what source.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bench::report::{cores, cpu_model, load_average};

/// The machine, as far as its speed depends on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    /// Of one minute, when the report was made: others on the machine are seen here.
    pub load_average: f64,
    /// Of this program: `release` or `debug`; times of debug builds say nothing.
    pub build: Cow<'static, str>,
    #[serde(default)]
    pub memory_gib: Option<f64>,
    #[serde(default)]
    pub kernel: Option<String>,
}

impl Machine {
    pub fn here() -> Self {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            cores: cores(),
            cpu: cpu_model(),
            load_average: load_average(),
            build: build.into(),
            memory_gib: memory_gib(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        }
    }
}

fn memory_gib() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: f64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some((kib / f64::from(1 << 20) * 10.0).round() / 10.0)
}

/// The moment of a report, RFC 3339.
pub fn now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.format(&Rfc3339).unwrap_or_default()
}

/// That this program was built from; none in a debug build, or when it was built outside git.
pub fn commit() -> Option<String> {
    option_env!("SEATWIRE_COMMIT").map(str::to_owned)
}
