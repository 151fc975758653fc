//! Configuration of `serve`: flags or environment in, one checked [`Config`] out.
//!
//! Clap only collects texts; [`ServeArgs::check`] reads all of them and reports every problem at once, each naming the
//! variable and what is wrong with it. Nothing else in the core reads the environment.

mod secret;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub use self::secret::Secret;

/// Shortest secret that is accepted, bytes.
const SECRET_BYTES_MIN: usize = 16;
const POSTGRES_SCHEMES: &[&str] = &["postgres://", "postgresql://"];
/// Longest duration that is accepted, milliseconds: a day.
const DURATION_MS_MAX: u64 = 86_400_000;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What `serve` was told; see the flags below for meanings and defaults.
#[derive(Debug)]
pub struct Config {
    pub core_listen: SocketAddr,
    pub core_http_listen: SocketAddr,
    pub core_name: String,
    /// With the password, if it has one.
    pub redis_url: Secret,
    /// With the password, if it has one.
    pub database_url: Secret,
    pub database_pool: usize,
    pub core_secret: Secret,
    pub hold_secret: Secret,
    pub admin_token: Secret,
    pub provider_url: String,
    pub provider_key_id: String,
    pub provider_key_secret: Secret,
    pub checkout_url: String,
    pub webhook_secrets: Vec<Secret>,
    pub public_url: String,
    pub hold: Duration,
    pub hold_extensions: u32,
    pub hold_lifetime: Duration,
    pub hold_grace: Duration,
    pub hold_seats_max: u32,
    pub holds_max: u32,
    pub claim: Duration,
    pub paying: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

/// Flags of `serve`. All are texts here, so that one bad value does not hide the next.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address of the MessagePack port for gateways and backends; port 0 takes a free one
    #[arg(long, env = "SEATWIRE_CORE_LISTEN", default_value = "127.0.0.1:7100", value_name = "ADDRESS")]
    core_listen: String,
    /// Address of the HTTP listener: payment webhooks, /admin, /live, /ready, /metrics
    #[arg(long, env = "SEATWIRE_CORE_HTTP_LISTEN", default_value = "127.0.0.1:7101", value_name = "ADDRESS")]
    core_http_listen: String,
    /// Name of this instance in logs and to gateways [default: core-<pid>]
    #[arg(long, env = "SEATWIRE_CORE_NAME", value_name = "NAME")]
    core_name: Option<String>,
    /// Redis or Valkey: holds and the live seat map
    #[arg(
        long,
        env = "SEATWIRE_REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    redis_url: String,
    /// PostgreSQL with the role seatwire_core: the truth [required]
    #[arg(long, env = "SEATWIRE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Connections to PostgreSQL
    #[arg(long, env = "SEATWIRE_DATABASE_POOL", default_value = "16", value_name = "COUNT")]
    database_pool: String,
    /// Secret shared with gateways and backends on the MessagePack port, at least 16 bytes [required]
    #[arg(long, env = "SEATWIRE_CORE_SECRET", value_name = "SECRET", hide_env_values = true)]
    core_secret: Option<String>,
    /// Key of hold ids, the same in all cores, at least 16 bytes [required]
    #[arg(long, env = "SEATWIRE_HOLD_SECRET", value_name = "SECRET", hide_env_values = true)]
    hold_secret: Option<String>,
    /// Bearer token of the admin routes, at least 16 bytes [required]
    #[arg(long, env = "SEATWIRE_ADMIN_TOKEN", value_name = "SECRET", hide_env_values = true)]
    admin_token: Option<String>,
    /// Base URL of the payment provider's API
    #[arg(long, env = "SEATWIRE_PROVIDER_URL", default_value = "http://127.0.0.1:7200", value_name = "URL")]
    provider_url: String,
    /// Key id for the provider's API [required]
    #[arg(long, env = "SEATWIRE_PROVIDER_KEY_ID", value_name = "ID")]
    provider_key_id: Option<String>,
    /// Key secret for the provider's API [required]
    #[arg(long, env = "SEATWIRE_PROVIDER_KEY_SECRET", value_name = "SECRET", hide_env_values = true)]
    provider_key_secret: Option<String>,
    /// Base URL of the checkout page as browsers reach it [default: the provider's URL]
    #[arg(long, env = "SEATWIRE_CHECKOUT_URL", value_name = "URL")]
    checkout_url: Option<String>,
    /// Secrets of webhook signatures, separated by commas; any may match, for rotation [required]
    #[arg(long, env = "SEATWIRE_WEBHOOK_SECRETS", value_name = "SECRETS", hide_env_values = true)]
    webhook_secrets: Option<String>,
    /// URL of the page, where the checkout returns to
    #[arg(long, env = "SEATWIRE_PUBLIC_URL", default_value = "http://127.0.0.1:7000", value_name = "URL")]
    public_url: String,
    /// How long a hold lasts, and each extension of it, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_MS", default_value = "300000", value_name = "MS")]
    hold_ms: String,
    /// How often a customer may extend a hold
    #[arg(long, env = "SEATWIRE_HOLD_EXTENSIONS", default_value = "2", value_name = "COUNT")]
    hold_extensions: String,
    /// No extension lets a hold live longer than this, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_LIFETIME_MS", default_value = "900000", value_name = "MS")]
    hold_lifetime_ms: String,
    /// How much longer a hold is honoured than the customer is told, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_GRACE_MS", default_value = "2000", value_name = "MS")]
    hold_grace_ms: String,
    /// Seats that one customer may have at one show: held, pending and booked together
    #[arg(long, env = "SEATWIRE_HOLD_SEATS_MAX", default_value = "10", value_name = "COUNT")]
    hold_seats_max: String,
    /// Live holds that one customer may have at one show
    #[arg(long, env = "SEATWIRE_HOLDS_MAX", default_value = "2", value_name = "COUNT")]
    holds_max: String,
    /// How long a pending booking waits for its payment, milliseconds
    #[arg(long, env = "SEATWIRE_CLAIM_MS", default_value = "720000", value_name = "MS")]
    claim_ms: String,
    /// A hold that is being booked lasts at least this much longer, milliseconds
    #[arg(long, env = "SEATWIRE_PAYING_MS", default_value = "60000", value_name = "MS")]
    paying_ms: String,
    /// Which log lines are written: a level, or a filter such as info,seatwire_core::saga=debug
    #[arg(long, env = "SEATWIRE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines are written to standard error: text or json
    #[arg(long, env = "SEATWIRE_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: String,
}

/// Everything that is wrong, one line each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        write!(f, "{n} configuration problem{}:", if n == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// The only setting of `migrate` and `seed` that can be missing.
pub fn database_url(variable: &str, value: Option<String>) -> Result<Secret, ConfigErrors> {
    let mut problems = Problems::default();
    let url = problems.scheme(variable, value, POSTGRES_SCHEMES);
    if problems.0.is_empty() { Ok(url) } else { Err(ConfigErrors(problems.0)) }
}

impl ServeArgs {
    /// Reads all values.
    pub fn check(self) -> Result<Config, ConfigErrors> {
        let mut problems = Problems::default();
        let provider_url = problems.url("SEATWIRE_PROVIDER_URL", &self.provider_url);
        let config = Config {
            core_listen: problems.address("SEATWIRE_CORE_LISTEN", &self.core_listen),
            core_http_listen: problems.address("SEATWIRE_CORE_HTTP_LISTEN", &self.core_http_listen),
            core_name: self.core_name.unwrap_or_else(|| format!("core-{}", std::process::id())),
            redis_url: problems.scheme("SEATWIRE_REDIS_URL", Some(self.redis_url), &["redis://", "unix://"]),
            database_url: problems.scheme("SEATWIRE_DATABASE_URL", self.database_url, POSTGRES_SCHEMES),
            database_pool: problems.number("SEATWIRE_DATABASE_POOL", &self.database_pool, 1, 1_000),
            core_secret: problems.secret("SEATWIRE_CORE_SECRET", self.core_secret),
            hold_secret: problems.secret("SEATWIRE_HOLD_SECRET", self.hold_secret),
            admin_token: problems.secret("SEATWIRE_ADMIN_TOKEN", self.admin_token),
            provider_key_id: problems.required("SEATWIRE_PROVIDER_KEY_ID", self.provider_key_id),
            provider_key_secret: Secret::new(
                problems.required("SEATWIRE_PROVIDER_KEY_SECRET", self.provider_key_secret),
            ),
            checkout_url: match self.checkout_url {
                Some(url) => problems.url("SEATWIRE_CHECKOUT_URL", &url),
                None => provider_url.clone(),
            },
            provider_url,
            webhook_secrets: problems.secrets("SEATWIRE_WEBHOOK_SECRETS", self.webhook_secrets),
            public_url: problems.url("SEATWIRE_PUBLIC_URL", &self.public_url),
            hold: problems.duration("SEATWIRE_HOLD_MS", &self.hold_ms, 1),
            hold_extensions: problems.number("SEATWIRE_HOLD_EXTENSIONS", &self.hold_extensions, 0, 100),
            hold_lifetime: problems.duration("SEATWIRE_HOLD_LIFETIME_MS", &self.hold_lifetime_ms, 1),
            hold_grace: problems.duration("SEATWIRE_HOLD_GRACE_MS", &self.hold_grace_ms, 0),
            hold_seats_max: problems.number("SEATWIRE_HOLD_SEATS_MAX", &self.hold_seats_max, 1, 1_000),
            holds_max: problems.number("SEATWIRE_HOLDS_MAX", &self.holds_max, 1, 100),
            claim: problems.duration("SEATWIRE_CLAIM_MS", &self.claim_ms, 1),
            paying: problems.duration("SEATWIRE_PAYING_MS", &self.paying_ms, 0),
            log: problems.filter("SEATWIRE_LOG", self.log),
            log_format: match self.log_format.as_str() {
                "json" => LogFormat::Json,
                "text" => LogFormat::Text,
                other => {
                    problems.add("SEATWIRE_LOG_FORMAT", format_args!("must be text or json, not {other:?}"));
                    LogFormat::Text
                }
            },
        };
        if config.hold > config.hold_lifetime && problems.0.is_empty() {
            problems.add("SEATWIRE_HOLD_LIFETIME_MS", "must not be shorter than SEATWIRE_HOLD_MS");
        }
        if problems.0.is_empty() { Ok(config) } else { Err(ConfigErrors(problems.0)) }
    }
}

/// Collects problems; each reader answers a stand-in after a problem, which never leaves [`ServeArgs::check`].
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, variable: &str, what: impl fmt::Display) {
        self.0.push(format!("{variable} (--{}): {what}", flag_of(variable)));
    }

    fn required(&mut self, variable: &str, value: Option<String>) -> String {
        let value = value.unwrap_or_default();
        if value.is_empty() {
            self.add(variable, "is required");
        }
        value
    }

    fn address(&mut self, variable: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.add(variable, format_args!("must be an address and port such as 127.0.0.1:7100, not {text:?}"));
            SocketAddr::from(([0, 0, 0, 0], 0))
        })
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(&mut self, variable: &str, text: &str, min: T, max: T) -> T {
        match text.parse() {
            Ok(number) if number >= min && number <= max => number,
            _ => {
                self.add(variable, format_args!("must be a number from {min} to {max}, not {text:?}"));
                min
            }
        }
    }

    fn duration(&mut self, variable: &str, text: &str, min: u64) -> Duration {
        Duration::from_millis(self.number(variable, text, min, DURATION_MS_MAX))
    }

    /// Texts of secrets are never repeated in a problem.
    fn secret(&mut self, variable: &str, value: Option<String>) -> Secret {
        let value = self.required(variable, value);
        if !value.is_empty() && value.len() < SECRET_BYTES_MIN {
            let len = value.len();
            self.add(variable, format_args!("must have at least {SECRET_BYTES_MIN} bytes, this one has {len}"));
        }
        Secret::new(value)
    }

    fn secrets(&mut self, variable: &str, value: Option<String>) -> Vec<Secret> {
        let value = self.required(variable, value);
        let secrets: Vec<_> = value.split(',').map(str::trim).map(|s| Secret::new(s.to_owned())).collect();
        if !value.is_empty() && secrets.iter().any(|secret| secret.expose().is_empty()) {
            self.add(variable, "has an empty secret between its commas");
        }
        secrets
    }

    /// A URL that may hold a password: only its scheme is checked here, and its text is not repeated.
    fn scheme(&mut self, variable: &str, value: Option<String>, schemes: &[&str]) -> Secret {
        let value = self.required(variable, value);
        if !value.is_empty() && !schemes.iter().any(|scheme| value.starts_with(scheme)) {
            self.add(variable, format_args!("must start with {}", schemes.join(" or ")));
        }
        Secret::new(value)
    }

    /// An HTTP base URL, without the slash at its end.
    fn url(&mut self, variable: &str, text: &str) -> String {
        let url: Option<axum::http::Uri> = text.parse().ok();
        let right = url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none());
        if !right {
            self.add(variable, format_args!("must be a URL such as http://127.0.0.1:7200, not {text:?}"));
        }
        text.trim_end_matches('/').to_owned()
    }

    fn filter(&mut self, variable: &str, text: String) -> String {
        if let Err(error) = text.parse::<tracing_subscriber::filter::Targets>() {
            self.add(variable, format_args!("is no log filter: {error}"));
        }
        text
    }
}

/// `SEATWIRE_CORE_LISTEN` → `core-listen`.
fn flag_of(variable: &str) -> String {
    variable.trim_start_matches("SEATWIRE_").to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    /// Without the environment of whoever runs the tests.
    fn check(flags: &[&str]) -> Result<Config, ConfigErrors> {
        let command = Cli::command().mut_args(|arg| arg.env(None::<&'static str>));
        let matches = command.try_get_matches_from([&["core"], flags].concat()).unwrap();
        Cli::from_arg_matches(&matches).unwrap().serve.check()
    }

    const RIGHT: &[&str] = &[
        "--database-url=postgres://u:p@h/d",
        "--core-secret=0123456789abcdef",
        "--hold-secret=0123456789abcdef",
        "--admin-token=0123456789abcdef",
        "--provider-key-id=id",
        "--provider-key-secret=top",
        "--webhook-secrets=one,two",
    ];

    #[test]
    fn every_problem_is_reported_at_once_and_no_secret_is_shown() {
        let flags = [
            "--core-listen=7100",
            "--database-url=mysql://root:hunter2@h/d",
            "--database-pool=0",
            "--core-secret=hunter2",
            "--webhook-secrets=hunter2,,",
            "--hold-ms=5m",
            "--provider-url=ftp://x",
            "--log-format=xml",
            "--log=seatwire=loud",
        ];
        let text = check(&flags).unwrap_err().to_string();
        let expected = [
            "13 configuration problems:",
            "SEATWIRE_CORE_LISTEN (--core-listen): must be an address and port such as 127.0.0.1:7100, not \"7100\"",
            "SEATWIRE_DATABASE_URL (--database-url): must start with postgres:// or postgresql://",
            "SEATWIRE_DATABASE_POOL (--database-pool): must be a number from 1 to 1000, not \"0\"",
            "SEATWIRE_CORE_SECRET (--core-secret): must have at least 16 bytes, this one has 7",
            "SEATWIRE_HOLD_SECRET (--hold-secret): is required",
            "SEATWIRE_ADMIN_TOKEN (--admin-token): is required",
            "SEATWIRE_PROVIDER_KEY_ID (--provider-key-id): is required",
            "SEATWIRE_PROVIDER_KEY_SECRET (--provider-key-secret): is required",
            "SEATWIRE_WEBHOOK_SECRETS (--webhook-secrets): has an empty secret between its commas",
            "SEATWIRE_HOLD_MS (--hold-ms): must be a number from 1 to 86400000, not \"5m\"",
            "SEATWIRE_PROVIDER_URL (--provider-url): must be a URL",
            "SEATWIRE_LOG_FORMAT (--log-format): must be text or json, not \"xml\"",
            "SEATWIRE_LOG (--log): is no log filter",
        ];
        for line in expected {
            assert!(text.contains(line), "{line}\nis missing in\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn defaults_are_those_of_the_help_and_debug_shows_no_secret() {
        let config = check(RIGHT).unwrap();
        assert_eq!(config.checkout_url, "http://127.0.0.1:7200");
        assert_eq!(config.webhook_secrets.len(), 2);
        assert_eq!(config.hold, Duration::from_secs(300));
        let debug = format!("{config:?}");
        assert!(!debug.contains("0123456789") && !debug.contains("u:p@h"), "{debug}");
    }

    #[test]
    fn a_hold_can_not_be_longer_than_its_lifetime() {
        let text = check(&[RIGHT, &["--hold-ms=2000", "--hold-lifetime-ms=1000"]].concat()).unwrap_err().to_string();
        assert!(text.starts_with("1 configuration problem:\n  SEATWIRE_HOLD_LIFETIME_MS"), "{text}");
    }

    #[test]
    fn each_flag_has_its_variable_and_a_help_text() {
        for arg in Cli::command().get_arguments() {
            let variable = arg.get_env().unwrap().to_str().unwrap();
            assert_eq!(arg.get_long(), Some(flag_of(variable).as_str()));
            assert!(arg.get_help().is_some_and(|help| help.to_string().len() > 10), "{variable}");
        }
    }
}
