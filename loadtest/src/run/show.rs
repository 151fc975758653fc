//! What is done with a report: printed, written as JSON and as a page. `loadtest report` does the same with one that was
//! stored.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::report::Report;

/// Where a report goes.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// Write the report to this file as one JSON object; `-` is standard output, and the text then goes to standard error.
    #[arg(long, env = "SEATWIRE_RUN_JSON", value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to this file as one page for a browser, with nothing loaded from elsewhere.
    #[arg(long, env = "SEATWIRE_RUN_HTML", value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show this earlier run, a file of `--json`, beside the new one on the page.
    #[arg(long, env = "SEATWIRE_RUN_COMPARE", value_name = "OLD.json", requires = "html")]
    pub compare: Option<PathBuf>,
}

impl Output {
    /// The run to compare with; read before the run, which takes minutes.
    ///
    /// # Errors
    /// When it is no report, or of another scenario.
    pub fn earlier(&self, scenario: &str) -> anyhow::Result<Option<Report>> {
        self.compare.as_deref().map(|file| read_another(file, scenario)).transpose()
    }

    /// Whether a report can be written where it is wanted, before there is one.
    ///
    /// # Errors
    /// When it can't.
    pub fn ensure_writable(&self) -> anyhow::Result<()> {
        let json = self.json.as_deref().filter(|file| *file != Path::new(STANDARD_OUTPUT));
        anyhow::ensure!(json.is_none() || json != self.html.as_deref(), "--json and --html are the same file");
        json.into_iter().chain(self.html.as_deref()).try_for_each(ensure_writable)
    }

    /// # Errors
    /// When a file can't be written; the others are.
    pub fn write(&self, report: &Report, earlier: Option<&Report>) -> anyhow::Result<()> {
        let json = match self.json.as_deref() {
            Some(file) if file == Path::new(STANDARD_OUTPUT) => {
                eprint!("{report}");
                println!("{}", serde_json::to_string(report)?);
                Ok(())
            }
            Some(file) => {
                print!("{report}");
                write(file, &serde_json::to_vec_pretty(report)?)
            }
            None => {
                print!("{report}");
                Ok(())
            }
        };
        let html = self.html.as_deref().map_or(Ok(()), |file| write(file, report.page(earlier).as_bytes()));
        json.and(html)
    }
}

/// Flags of `loadtest report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report, written by `loadtest run … --json`.
    #[arg(value_name = "NEW.json")]
    report: PathBuf,
    /// An earlier one, to be shown beside it on the page.
    #[arg(value_name = "OLD.json", requires = "html")]
    earlier: Option<PathBuf>,
    /// Write it to this file as one page for a browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Prints a stored report, and writes its page. Whether its run counts is in it, not in the exit code.
///
/// # Errors
/// When one can't be read, they are of two scenarios, or the page can't be written.
pub fn show(args: &ReportArgs) -> anyhow::Result<()> {
    let report = read(&args.report)?;
    let earlier = args.earlier.as_deref().map(|file| read_another(file, &report.scenario)).transpose()?;
    match &args.html {
        None => print!("{report}"),
        Some(file) => write(file, report.page(earlier.as_ref()).as_bytes())?,
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Report> {
    let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no report of a run", file.display()))
}

/// Of the same scenario: others have other figures.
fn read_another(file: &Path, scenario: &str) -> anyhow::Result<Report> {
    let report = read(file)?;
    let of = &report.scenario;
    anyhow::ensure!(of == scenario, "{} is of {of}, and the other run of {scenario}", file.display());
    Ok(report)
}

fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, content).with_context(|| format!("can't write {}", file.display()))
}

fn ensure_writable(file: &Path) -> anyhow::Result<()> {
    let is_new = !file.exists();
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
    opened.with_context(|| format!("can't write {}", file.display()))?;
    // Empty it is no report.
    if is_new { Ok(std::fs::remove_file(file)?) } else { Ok(()) }
}

const STANDARD_OUTPUT: &str = "-";
