//! Logs: to standard error, because standard output carries only the ready line.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::Config;

/// Installs the process's logger; called once by `main`.
pub fn init(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.log_json { logs.json().init() } else { logs.with_ansi(false).init() }
}
