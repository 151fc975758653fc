//! Readers of single values. Each notes what is wrong under the variable's name and lets the others go on.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::Secret;

/// Shortest secret that is accepted, bytes.
const SECRET_BYTES_MIN: usize = 16;
/// Longest duration that is accepted, milliseconds: a day.
const DURATION_MS_MAX: u64 = 86_400_000;

/// Collects problems; each reader answers a stand-in after a problem, which never leaves `ServeArgs::check`.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, variable: &str, what: impl fmt::Display) {
        self.0.push(format!("{variable} (--{}): {what}", flag_of(variable)));
    }

    pub(super) fn required(&mut self, variable: &str, value: Option<String>) -> String {
        let value = value.unwrap_or_default();
        if value.is_empty() {
            self.add(variable, "is required");
        }
        value
    }

    pub(super) fn address(&mut self, variable: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.add(variable, format_args!("must be an address and port such as 127.0.0.1:7100, not {text:?}"));
            SocketAddr::from(([0, 0, 0, 0], 0))
        })
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display>(
        &mut self,
        variable: &str,
        text: &str,
        min: T,
        max: T,
    ) -> T {
        match text.parse() {
            Ok(number) if number >= min && number <= max => number,
            _ => {
                self.add(variable, format_args!("must be a number from {min} to {max}, not {text:?}"));
                min
            }
        }
    }

    pub(super) fn duration(&mut self, variable: &str, text: &str, min: u64) -> Duration {
        Duration::from_millis(self.number(variable, text, min, DURATION_MS_MAX))
    }

    /// Texts of secrets are never repeated in a problem.
    pub(super) fn secret(&mut self, variable: &str, value: Option<String>) -> Secret {
        let value = self.required(variable, value);
        if !value.is_empty() && value.len() < SECRET_BYTES_MIN {
            let len = value.len();
            self.add(variable, format_args!("must have at least {SECRET_BYTES_MIN} bytes, this one has {len}"));
        }
        Secret::new(value)
    }

    pub(super) fn secrets(&mut self, variable: &str, value: Option<String>) -> Vec<Secret> {
        let value = self.required(variable, value);
        let secrets: Vec<_> = value.split(',').map(str::trim).map(|s| Secret::new(s.to_owned())).collect();
        if !value.is_empty() && secrets.iter().any(|secret| secret.expose().is_empty()) {
            self.add(variable, "has an empty secret between its commas");
        }
        secrets
    }

    /// A URL that may hold a password: only its scheme is checked here, and its text is not repeated.
    pub(super) fn scheme(&mut self, variable: &str, value: Option<String>, schemes: &[&str]) -> Secret {
        let value = self.required(variable, value);
        if !value.is_empty() && !schemes.iter().any(|scheme| value.starts_with(scheme)) {
            self.add(variable, format_args!("must start with {}", schemes.join(" or ")));
        }
        Secret::new(value)
    }

    /// An HTTP base URL, without the slash at its end.
    pub(super) fn url(&mut self, variable: &str, text: &str) -> String {
        let url: Option<axum::http::Uri> = text.parse().ok();
        let right = url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none());
        if !right {
            self.add(variable, format_args!("must be a URL such as http://127.0.0.1:7200, not {text:?}"));
        }
        text.trim_end_matches('/').to_owned()
    }

    pub(super) fn filter(&mut self, variable: &str, text: String) -> String {
        if let Err(error) = text.parse::<tracing_subscriber::filter::Targets>() {
            self.add(variable, format_args!("is no log filter: {error}"));
        }
        text
    }
}

/// `SEATWIRE_CORE_LISTEN` → `core-listen`.
pub(super) fn flag_of(variable: &str) -> String {
    variable.trim_start_matches("SEATWIRE_").to_lowercase().replace('_', "-")
}
