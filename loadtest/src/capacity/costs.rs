//! Unit costs, read from what benchmarks and runs wrote. Each keeps where it is from.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::run::Report;

/// By name; microseconds of processor time unless the name says otherwise.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnitCosts {
    pub costs: BTreeMap<&'static str, Cost>,
    /// Each file's machine.
    pub machines: Vec<Measured>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    pub value: f64,
    pub unit: &'static str,
    /// The file, and what the figure is called there.
    pub from: String,
}

/// Where and how a file's figures were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    pub file: String,
    pub machine: String,
    /// `release`; figures of debug builds say nothing.
    pub build: String,
    pub date: String,
    /// Something else ran: processor times are higher than alone.
    pub busy: bool,
}

#[derive(Deserialize)]
struct Bench {
    bench: String,
    build: String,
    date: String,
    cores: u64,
    cpu: String,
    busy: bool,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    /// Null when it could not be measured.
    measured: Option<f64>,
}

/// The benchmark, what the figure is called there, and what it is here.
const KNOWN: [(&str, &str, &str, &str); 16] = [
    ("fanout", "CPU of a frame", FRAME, "us"),
    ("fanout", "bytes a change", BYTES, "bytes"),
    ("viewers", "RSS of an idle viewer", VIEWER, "KiB"),
    ("viewers", "kernel's objects of an idle viewer", KERNEL, "bytes"),
    ("viewers", "CPU of an idle viewer, a second", IDLE, "us"),
    ("joins", "CPU of a join", JOIN, "us"),
    ("holds", "core CPU of a hold", CORE_HOLD, "us"),
    ("holds", "core CPU of a release", CORE_RELEASE, "us"),
    ("holds", "core CPU of a refusal", CORE_REFUSAL, "us"),
    ("holds", "Redis CPU of a hold", REDIS_HOLD, "us"),
    ("holds", "Redis CPU of a release", REDIS_RELEASE, "us"),
    ("holds", "Redis CPU of a refusal", REDIS_REFUSAL, "us"),
    ("bookings", "core CPU of a booking", CORE_BOOKING, "us"),
    ("bookings", "Redis CPU of a booking", REDIS_BOOKING, "us"),
    ("bookings", "PostgreSQL CPU of a booking", POSTGRES_BOOKING, "us"),
    ("bookings", "commits of a booking", COMMITS_OF_A_BOOKING, ""),
];

impl UnitCosts {
    /// Adds what a file measured. Of figures that it has for several loads the dearest counts.
    ///
    /// # Errors
    /// When it is neither a benchmark's nor a run's.
    pub fn take(&mut self, file: &str, text: &[u8]) -> anyhow::Result<()> {
        if let Ok(bench) = serde_json::from_slice::<Bench>(text) {
            self.take_bench(file, &bench);
            return Ok(());
        }
        let report: Report = serde_json::from_slice(text).context("neither a benchmark's JSON nor a run's")?;
        self.take_run(file, &report)
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.costs.get(name).map(|cost| cost.value)
    }

    fn take_bench(&mut self, file: &str, bench: &Bench) {
        self.machines.push(Measured {
            file: file.to_owned(),
            machine: format!("{} cores, {}", bench.cores, bench.cpu),
            build: bench.build.clone(),
            date: bench.date.clone(),
            busy: bench.busy,
        });
        for figure in &bench.figures {
            let Some(measured) = figure.measured.filter(|measured| measured.is_finite()) else { continue };
            // Figures of `fanout` begin with the load.
            let is = |name: &str| figure.name == name || figure.name.ends_with(&format!(": {name}"));
            for (.., name, unit) in KNOWN.iter().filter(|(of, known, ..)| *of == bench.bench && is(known)) {
                self.note(name, measured, unit, file, &figure.name);
            }
        }
    }

    /// What a run says of unit costs, where no benchmark does.
    fn take_run(&mut self, file: &str, report: &Report) -> anyhow::Result<()> {
        let machine = &report.machine;
        if !report.counts {
            bail!("this run does not count");
        }
        self.machines.push(Measured {
            file: file.to_owned(),
            machine: format!("{} cores, {}", machine.cores, machine.cpu),
            build: machine.build.to_string(),
            date: report.date.clone(),
            busy: false,
        });
        let send = report.calibration.as_ref().map(|calibration| calibration.send_us);
        let frame = report.ratios.as_ref().and_then(|ratios| ratios.cpu_per_frame);
        if let Some((send, ratio)) = send.zip(frame) {
            self.note(FRAME, send * ratio, "us", file, "ratios.cpu_per_frame x calibration.send_us");
        }
        if let Some(kib) = report.rss_kib_per_viewer {
            self.note(VIEWER, kib, "KiB", file, "rss_kib_per_viewer");
        }
        Ok(())
    }

    fn note(&mut self, name: &'static str, value: f64, unit: &'static str, file: &str, figure: &str) {
        let cost = Cost { value, unit, from: format!("{file}: {figure}") };
        let known = self.costs.entry(name).or_insert_with(|| cost.clone());
        if known.value < value {
            *known = cost;
        }
    }
}

pub(super) const FRAME: &str = "gateway, a frame to a viewer";
pub(super) const BYTES: &str = "bytes of a change in a frame";
pub(super) const VIEWER: &str = "gateway's memory of a viewer";
pub(super) const KERNEL: &str = "kernel's memory of a viewer";
pub(super) const IDLE: &str = "gateway, a viewer's second of silence";
pub(super) const JOIN: &str = "gateway, a join";
pub(super) const CORE_HOLD: &str = "core, a hold";
pub(super) const CORE_RELEASE: &str = "core, a release";
pub(super) const CORE_REFUSAL: &str = "core, a refusal";
pub(super) const CORE_BOOKING: &str = "core, a booking";
pub(super) const REDIS_HOLD: &str = "Redis, a hold";
pub(super) const REDIS_RELEASE: &str = "Redis, a release";
pub(super) const REDIS_REFUSAL: &str = "Redis, a refusal";
pub(super) const REDIS_BOOKING: &str = "Redis, a booking";
pub(super) const POSTGRES_BOOKING: &str = "PostgreSQL, a booking";
pub(super) const COMMITS_OF_A_BOOKING: &str = "commits of a booking";
