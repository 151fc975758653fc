//! Configuration of `serve`: flags or environment in, one checked [`Config`] out.
//!
//! Clap only collects texts; [`ServeArgs::check`] reads all of them and reports every problem at once, each naming the
//! variable and what is wrong with it. Nothing else in the core reads the environment.

mod args;
mod events;
mod problems;
mod providers;
mod secret;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use self::args::ServeArgs;
pub use self::events::{BusKind, BusSettings, EventArgs, MailSettings};
use self::problems::Problems;
pub use self::providers::{ProviderName, ProvidersConfig, RazorpayConfig, StripeConfig};
pub use self::secret::Secret;

const POSTGRES_SCHEMES: &[&str] = &["postgres://", "postgresql://"];

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
    pub providers: ProvidersConfig,
    pub public_url: String,
    pub hold: Duration,
    pub hold_extensions: u32,
    pub hold_lifetime: Duration,
    pub hold_grace: Duration,
    pub hold_seats_max: u32,
    pub holds_max: u32,
    pub customer_holds: u32,
    pub customer_holds_window: Duration,
    pub lapse_window: Duration,
    pub cool_down: Duration,
    pub customer_commands_per_second: u32,
    pub customer_commands_burst: u32,
    pub claim: Duration,
    /// When an order is first asked for at its provider.
    pub reconcile: Duration,
    /// How long idempotency keys are remembered.
    pub key_hours: i32,
    pub paying: Duration,
    pub bus: BusSettings,
    pub mail: MailSettings,
    pub log: String,
    pub log_format: LogFormat,
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
    pub fn check(mut self) -> Result<Config, ConfigErrors> {
        let mut problems = Problems::default();
        let providers = ProvidersConfig::check(&mut self, &mut problems);
        let (bus, mail) = self.events.check(&mut problems);
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
            providers,
            public_url: problems.url("SEATWIRE_PUBLIC_URL", &self.public_url),
            hold: problems.duration("SEATWIRE_HOLD_MS", &self.hold_ms, 1),
            hold_extensions: problems.number("SEATWIRE_HOLD_EXTENSIONS", &self.hold_extensions, 0, 100),
            hold_lifetime: problems.duration("SEATWIRE_HOLD_LIFETIME_MS", &self.hold_lifetime_ms, 1),
            hold_grace: problems.duration("SEATWIRE_HOLD_GRACE_MS", &self.hold_grace_ms, 0),
            hold_seats_max: problems.number("SEATWIRE_HOLD_SEATS_MAX", &self.hold_seats_max, 1, 1_000),
            holds_max: problems.number("SEATWIRE_HOLDS_MAX", &self.holds_max, 1, 100),
            customer_holds: problems.number("SEATWIRE_CUSTOMER_HOLDS", &self.customer_holds, 0, 10_000),
            customer_holds_window: problems.duration(
                "SEATWIRE_CUSTOMER_HOLDS_WINDOW_MS",
                &self.customer_holds_window_ms,
                1,
            ),
            lapse_window: problems.duration("SEATWIRE_LAPSE_WINDOW_MS", &self.lapse_window_ms, 1),
            cool_down: problems.duration("SEATWIRE_COOL_DOWN_MS", &self.cool_down_ms, 0),
            customer_commands_per_second: problems.number(
                "SEATWIRE_CUSTOMER_COMMANDS_PER_SECOND",
                &self.customer_commands_per_second,
                0,
                100_000,
            ),
            customer_commands_burst: problems.number(
                "SEATWIRE_CUSTOMER_COMMANDS_BURST",
                &self.customer_commands_burst,
                1,
                100_000,
            ),
            claim: problems.duration("SEATWIRE_CLAIM_MS", &self.claim_ms, 1),
            reconcile: problems.duration("SEATWIRE_RECONCILE_MS", &self.reconcile_ms, 1),
            key_hours: problems.number("SEATWIRE_KEY_HOURS", &self.key_hours, 24, 8_760),
            paying: problems.duration("SEATWIRE_PAYING_MS", &self.paying_ms, 0),
            bus,
            mail,
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

#[cfg(test)]
pub(crate) mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::problems::flag_of;
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

    /// A configuration whose servers are out of reach.
    pub(crate) fn nowhere() -> Config {
        check(&[RIGHT, &["--redis-url=redis://127.0.0.1:1"]].concat()).unwrap()
    }

    const RIGHT: &[&str] = &[
        "--database-url=postgres://u:p@127.0.0.1:1/d",
        "--core-secret=0123456789abcdef",
        "--hold-secret=0123456789abcdef",
        "--admin-token=0123456789abcdef",
        "--razorpay-url=http://127.0.0.1:7200/",
        "--razorpay-key-id=id",
        "--razorpay-key-secret=top",
        "--razorpay-webhook-secrets=one,two",
    ];

    #[test]
    fn every_problem_is_reported_at_once_and_no_secret_is_shown() {
        let flags = [
            "--core-listen=7100",
            "--database-url=mysql://root:hunter2@h/d",
            "--database-pool=0",
            "--core-secret=hunter2",
            "--razorpay-webhook-secrets=hunter2,,",
            "--stripe-secret-key=hunter2",
            "--hold-ms=5m",
            "--key-hours=23",
            "--razorpay-url=ftp://x",
            "--provider=paypal",
            "--bus=pigeons",
            "--mail-url=smtp://ann:hunter2@h?tls=maybe",
            "--mail-from=nobody",
            "--log-format=xml",
            "--log=seatwire=loud",
        ];
        let text = check(&flags).unwrap_err().to_string();
        let expected = [
            "19 configuration problems:",
            "SEATWIRE_CORE_LISTEN (--core-listen): must be an address and port such as 127.0.0.1:7100, not \"7100\"",
            "SEATWIRE_DATABASE_URL (--database-url): must start with postgres:// or postgresql://",
            "SEATWIRE_DATABASE_POOL (--database-pool): must be a number from 1 to 1000, not \"0\"",
            "SEATWIRE_CORE_SECRET (--core-secret): must have at least 16 bytes, this one has 7",
            "SEATWIRE_HOLD_SECRET (--hold-secret): is required",
            "SEATWIRE_ADMIN_TOKEN (--admin-token): is required",
            "SEATWIRE_PROVIDER (--provider): must be razorpay or stripe, not \"paypal\"",
            "SEATWIRE_RAZORPAY_KEY_ID (--razorpay-key-id): is required",
            "SEATWIRE_RAZORPAY_KEY_SECRET (--razorpay-key-secret): is required",
            "SEATWIRE_RAZORPAY_WEBHOOK_SECRETS (--razorpay-webhook-secrets): has an empty secret between its commas",
            "SEATWIRE_STRIPE_WEBHOOK_SECRETS (--stripe-webhook-secrets): is required",
            "SEATWIRE_HOLD_MS (--hold-ms): must be a number from 1 to 86400000, not \"5m\"",
            "SEATWIRE_KEY_HOURS (--key-hours): must be a number from 24 to 8760, not \"23\"",
            "SEATWIRE_RAZORPAY_URL (--razorpay-url): must be a URL",
            "SEATWIRE_BUS (--bus): must be redis or kafka, not \"pigeons\"",
            "SEATWIRE_MAIL_URL (--mail-url): must be smtp://",
            "SEATWIRE_MAIL_FROM (--mail-from): must be an address such as",
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
        assert_eq!(config.providers.checkout_url, "http://127.0.0.1:7200");
        assert_eq!(config.providers.razorpay.as_ref().unwrap().webhook_secrets.len(), 2);
        assert_eq!((config.providers.first, config.providers.stripe.is_some()), (ProviderName::Razorpay, false));
        assert_eq!(config.hold, Duration::from_secs(300));
        let debug = format!("{config:?}");
        assert!(!debug.contains("0123456789") && !debug.contains("u:p@"), "{debug}");
    }

    #[test]
    fn a_provider_is_configured_whole_and_the_named_one_takes_new_orders() {
        let with = |flags: &[&str]| check(&[RIGHT, flags].concat());
        let stripe = ["--stripe-secret-key=sk_1", "--stripe-webhook-secrets=whsec_1"];
        let both = with(&[&stripe[..], &["--provider=stripe", "--checkout-url=http://127.0.0.1:1"]].concat()).unwrap();
        assert_eq!((both.providers.first, both.providers.razorpay.is_some()), (ProviderName::Stripe, true));
        assert_eq!(both.providers.stripe.unwrap().url, "https://api.stripe.com");
        let text = with(&[&stripe[..], &["--provider=stripe"]].concat()).unwrap_err().to_string();
        assert!(text.contains("SEATWIRE_CHECKOUT_URL (--checkout-url): is required with a real provider"), "{text}");
        let text = with(&["--provider=stripe"]).unwrap_err().to_string();
        assert!(text.contains("SEATWIRE_PROVIDER (--provider): is stripe, but"), "{text}");
        let text = check(&RIGHT[..4]).unwrap_err().to_string();
        assert!(text.starts_with("1 configuration problem:\n  SEATWIRE_PROVIDER (--provider): no payment"), "{text}");
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
