//! The program `seatwire-core`: command line, logging, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use seatwire_core::config::ServeArgs;

/// Booking core of Seatwire: seat holds, bookings and payments.
#[derive(Debug, Parser)]
#[command(name = "seatwire-core", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves gateways, webhooks and operators until SIGTERM or SIGINT
    ///
    /// Prints one line of JSON with its addresses on standard output when it listens; logs go to standard error. It
    /// starts, and stays up with /ready answering 503, while Redis or PostgreSQL is out of reach.
    ///
    /// Exit codes: 0 after a drain, 1 when it could not start, 2 when the configuration is wrong.
    Serve(Box<ServeArgs>),
}

fn main() -> ExitCode {
    let Cli { command: Command::Serve(args) } = Cli::parse();
    match args.check() {
        Ok(_) => ExitCode::SUCCESS,
        Err(errors) => {
            eprintln!("seatwire-core: {errors}");
            ExitCode::from(2)
        }
    }
}
