//! `loadtest capacity`: what a given demand needs, by arithmetic from unit costs that benchmarks and runs measured on one
//! machine. Every line shows its numbers. It says what processor time, memory and network add up to; it does not prove
//! that so many machines work together, and it names what does not grow by adding machines.

mod costs;
mod demand;
mod sheet;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

pub use costs::UnitCosts;
pub use demand::Demand;
pub use sheet::Sheet;

/// Below the flags in `--help`.
pub const AFTER_HELP: &str = "\
FILES are what `loadtest bench fanout|viewers|joins|holds|bookings --json` wrote, and reports of `loadtest run`. Of what none \
of them measured there is no line. The result of this project's own figures: docs/CAPACITY.md.";

/// Flags of `loadtest capacity`.
#[derive(Debug, Args)]
pub struct CapacityArgs {
    #[command(flatten)]
    pub demand: Demand,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Where unit costs were measured.
    #[arg(value_name = "FILES", required = true)]
    pub files: Vec<PathBuf>,
}

/// Prints the sheet.
///
/// # Errors
/// When a file is neither a benchmark's nor a run's.
pub fn run(args: &CapacityArgs) -> anyhow::Result<()> {
    let mut costs = UnitCosts::default();
    for file in &args.files {
        let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        costs.take(&name, &text).with_context(|| file.display().to_string())?;
    }
    let sheet = Sheet::of(&args.demand, &costs);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&sheet)?);
    } else {
        print!("{sheet}");
    }
    Ok(())
}
