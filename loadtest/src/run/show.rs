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
    /// When it is no report.
    pub fn earlier(&self) -> anyhow::Result<Option<Report>> {
        self.compare.as_deref().map(read).transpose()
    }

    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, report: &Report, earlier: Option<&Report>) -> anyhow::Result<()> {
        match &self.json {
            Some(file) if file == Path::new("-") => {
                eprint!("{report}");
                println!("{}", serde_json::to_string(report)?);
            }
            Some(file) => {
                print!("{report}");
                write(file, &serde_json::to_vec_pretty(report)?)?;
            }
            None => print!("{report}"),
        }
        self.html.as_deref().map_or(Ok(()), |file| write(file, report.page(earlier).as_bytes()))
    }
}

/// Flags of `loadtest report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report, written by `loadtest run … --json`.
    #[arg(value_name = "NEW.json")]
    report: PathBuf,
    /// An earlier one, to be shown beside it on the page.
    #[arg(value_name = "OLD.json")]
    earlier: Option<PathBuf>,
    /// Write it to this file as one page for a browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Prints a stored report, and writes its page. Whether its run counts is in it, not in the exit code.
///
/// # Errors
/// When one can't be read, or the page can't be written.
pub fn show(args: &ReportArgs) -> anyhow::Result<()> {
    let report = read(&args.report)?;
    let earlier = args.earlier.as_deref().map(read).transpose()?;
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

fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, content).with_context(|| format!("can't write {}", file.display()))
}
