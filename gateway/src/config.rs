//! Flags and environment. Every problem is found before anything starts, and all are reported at once.
//!
//! clap only collects texts; [`Config::check`] turns them into types, so that one wrong value does not hide the next.

use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;

/// Bytes that an HS256 secret must have at least (RFC 7518, 3.2).
const TOKEN_SECRET_BYTES_MIN: usize = 32;
/// Bytes that the secret shared with the core must have at least.
const CORE_SECRET_BYTES_MIN: usize = 16;

/// Stateless edge of Seatwire: serves the page, fans seat events out to viewers, forwards commands to the core.
#[derive(Debug, Parser)]
#[command(name = "seatwire-gateway", version, about, max_term_width = 100)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "SEATWIRE_GATEWAY_LISTEN", default_value = "127.0.0.1:7000", value_name = "HOST:PORT")]
    gateway_listen: String,
    /// Address of /metrics (also /live and /ready), which are nobody's business outside; port 0 takes a free one
    #[arg(long, env = "SEATWIRE_GATEWAY_METRICS_LISTEN", default_value = "127.0.0.1:7001", value_name = "HOST:PORT")]
    gateway_metrics_listen: String,
    /// MessagePack ports of the cores, separated by commas
    #[arg(long, env = "SEATWIRE_CORES", default_value = "127.0.0.1:7100", value_name = "HOST:PORT,…")]
    cores: String,
    /// Secret shared with the cores, at least 16 bytes (required)
    #[arg(long, env = "SEATWIRE_CORE_SECRET", default_value = "", hide_env_values = true, hide_default_value = true)]
    core_secret: String,
    /// Redis that publishes the seat feeds
    #[arg(long, env = "SEATWIRE_REDIS_URL", default_value = "redis://127.0.0.1:6379", hide_env_values = true)]
    redis_url: String,
    /// HS256 secret of customers' tokens (issuer `seatwire`), at least 32 bytes (required)
    #[arg(long, env = "SEATWIRE_JWT_SECRET", default_value = "", hide_env_values = true, hide_default_value = true)]
    jwt_secret: String,
    /// HS256 secret of guests' tokens (issuer `guest`), at least 32 bytes, another one (required)
    #[arg(long, env = "SEATWIRE_GUEST_SECRET", default_value = "", hide_env_values = true, hide_default_value = true)]
    guest_secret: String,
    /// Life of a guest's token, ms
    #[arg(long, env = "SEATWIRE_GUEST_TOKEN_MS", default_value = "86400000", value_name = "MS")]
    guest_token_ms: String,
    /// A token that is good for longer is refused; logouts are remembered for as long, ms
    #[arg(long, env = "SEATWIRE_TOKEN_LIFE_MAX_MS", default_value = "604800000", value_name = "MS")]
    token_life_max_ms: String,
    /// Guest tokens per minute and address
    #[arg(long, env = "SEATWIRE_GUESTS_PER_MINUTE_MAX", default_value = "60", value_name = "N")]
    guests_per_minute_max: String,
    /// Origins that browsers may come from, separated by commas; the page's own always may
    #[arg(long, env = "SEATWIRE_ORIGINS", default_value = "", value_name = "URL,…")]
    origins: String,
    /// Addresses of proxies whose X-Forwarded-For is believed, separated by commas
    #[arg(long, env = "SEATWIRE_TRUSTED_PROXIES", default_value = "", value_name = "IP,…")]
    trusted_proxies: String,
    /// A viewer gets a sign of life at least this often, ms
    #[arg(long, env = "SEATWIRE_BEAT_MS", default_value = "25000", value_name = "MS")]
    beat_ms: String,
    /// Shortest time between two rounds of a busy show, ms
    #[arg(long, env = "SEATWIRE_TICK_MS", default_value = "25", value_name = "MS")]
    tick_ms: String,
    /// Percent of all cores that rounds may take: the rest is for joins, commands and the feed
    #[arg(long, env = "SEATWIRE_FANOUT_SHARE", default_value = "57", value_name = "PERCENT")]
    fanout_share: String,
    /// A socket that is silent this long is pinged, twice as long: closed, ms
    #[arg(long, env = "SEATWIRE_IDLE_MS", default_value = "60000", value_name = "MS")]
    idle_ms: String,
    /// A viewer that takes no byte for this long is closed, ms
    #[arg(long, env = "SEATWIRE_STALL_MS", default_value = "60000", value_name = "MS")]
    stall_ms: String,
    /// Time for the first token on a socket that was opened without one, ms
    #[arg(long, env = "SEATWIRE_AUTH_MS", default_value = "5000", value_name = "MS")]
    auth_ms: String,
    /// Time for a command, from the socket to the answer, ms
    #[arg(long, env = "SEATWIRE_COMMAND_MS", default_value = "10000", value_name = "MS")]
    command_ms: String,
    /// A show stays watched this long after its last viewer, ms
    #[arg(long, env = "SEATWIRE_ROOM_KEEP_MS", default_value = "60000", value_name = "MS")]
    room_keep_ms: String,
    /// Time to close all sockets after SIGTERM, ms
    #[arg(long, env = "SEATWIRE_DRAIN_MS", default_value = "10000", value_name = "MS")]
    drain_ms: String,
    /// WebSockets of this process
    #[arg(long, env = "SEATWIRE_CONNECTIONS_MAX", default_value = "15000", value_name = "N")]
    connections_max: String,
    /// WebSockets of one address
    #[arg(long, env = "SEATWIRE_CONNECTIONS_PER_ADDRESS_MAX", default_value = "200", value_name = "N")]
    connections_per_address_max: String,
    /// WebSockets of one customer
    #[arg(long, env = "SEATWIRE_CONNECTIONS_PER_CUSTOMER_MAX", default_value = "20", value_name = "N")]
    connections_per_customer_max: String,
    /// New WebSockets per second; twice as many in a burst
    #[arg(long, env = "SEATWIRE_JOINS_PER_SECOND_MAX", default_value = "10000", value_name = "N")]
    joins_per_second_max: String,
    /// Messages per second of one WebSocket; twice as many in a burst
    #[arg(long, env = "SEATWIRE_MESSAGES_PER_SECOND_MAX", default_value = "20", value_name = "N")]
    messages_per_second_max: String,
    /// HTTP requests to /api per second and address
    #[arg(long, env = "SEATWIRE_REQUESTS_PER_SECOND_MAX", default_value = "200", value_name = "N")]
    requests_per_second_max: String,
    /// Shows watched at a time by this process
    #[arg(long, env = "SEATWIRE_ROOMS_MAX", default_value = "20000", value_name = "N")]
    rooms_max: String,
    /// Says back whatever it is told, without a token, for conformance suites; nothing else works then
    #[arg(long, env = "SEATWIRE_ECHO", hide = true, default_value_t = false, action = clap::ArgAction::Set)]
    echo: bool,
    /// Log filter, as in `info,seatwire_gateway=debug`
    #[arg(long, env = "SEATWIRE_LOG", default_value = "info")]
    log: String,
    /// Log format: text or json
    #[arg(long, env = "SEATWIRE_LOG_FORMAT", default_value = "text")]
    log_format: String,
}

/// What the gateway runs with.
#[derive(Clone)]
pub struct Config {
    pub listen: String,
    pub metrics_listen: String,
    pub cores: Vec<String>,
    pub core_secret: String,
    pub redis_url: String,
    pub jwt_secret: String,
    pub guest_secret: String,
    pub guest_token: Duration,
    pub token_life_max: Duration,
    pub guests_per_minute_max: u32,
    pub origins: Vec<String>,
    pub trusted_proxies: Vec<IpAddr>,
    pub beat: Duration,
    pub tick: Duration,
    /// Percent of all cores.
    pub fanout_share: u32,
    pub idle: Duration,
    pub stall: Duration,
    pub auth: Duration,
    pub command: Duration,
    pub room_keep: Duration,
    pub drain: Duration,
    pub connections_max: u32,
    pub connections_per_address_max: u32,
    pub connections_per_customer_max: u32,
    pub joins_per_second_max: u32,
    pub messages_per_second_max: u32,
    pub requests_per_second_max: u32,
    pub rooms_max: u32,
    pub echo: bool,
    pub log: String,
    pub log_json: bool,
}

/// Every problem of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{} problem(s) in the configuration:\n  {}", .0.len(), .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

impl Config {
    /// Checks all values.
    ///
    /// # Errors
    /// [`Problems`] with one line a problem; a line names the variable and never repeats a secret.
    pub fn check(args: &Args) -> Result<Self, Problems> {
        let mut check = Check(Vec::new());
        let config = Self {
            listen: check.address("SEATWIRE_GATEWAY_LISTEN", &args.gateway_listen),
            metrics_listen: check.address("SEATWIRE_GATEWAY_METRICS_LISTEN", &args.gateway_metrics_listen),
            cores: check.addresses("SEATWIRE_CORES", &args.cores),
            core_secret: check.secret("SEATWIRE_CORE_SECRET", &args.core_secret, CORE_SECRET_BYTES_MIN),
            redis_url: check.redis("SEATWIRE_REDIS_URL", &args.redis_url),
            jwt_secret: check.secret("SEATWIRE_JWT_SECRET", &args.jwt_secret, TOKEN_SECRET_BYTES_MIN),
            guest_secret: check.secret("SEATWIRE_GUEST_SECRET", &args.guest_secret, TOKEN_SECRET_BYTES_MIN),
            guest_token: check.ms("SEATWIRE_GUEST_TOKEN_MS", &args.guest_token_ms, 1_000),
            token_life_max: check.ms("SEATWIRE_TOKEN_LIFE_MAX_MS", &args.token_life_max_ms, 1_000),
            guests_per_minute_max: check.count("SEATWIRE_GUESTS_PER_MINUTE_MAX", &args.guests_per_minute_max),
            origins: check.origins("SEATWIRE_ORIGINS", &args.origins),
            trusted_proxies: check.proxies("SEATWIRE_TRUSTED_PROXIES", &args.trusted_proxies),
            beat: check.ms("SEATWIRE_BEAT_MS", &args.beat_ms, 100),
            tick: check.ms("SEATWIRE_TICK_MS", &args.tick_ms, 0),
            fanout_share: check.percent("SEATWIRE_FANOUT_SHARE", &args.fanout_share),
            idle: check.ms("SEATWIRE_IDLE_MS", &args.idle_ms, 1_000),
            stall: check.ms("SEATWIRE_STALL_MS", &args.stall_ms, 1_000),
            auth: check.ms("SEATWIRE_AUTH_MS", &args.auth_ms, 100),
            command: check.ms("SEATWIRE_COMMAND_MS", &args.command_ms, 100),
            room_keep: check.ms("SEATWIRE_ROOM_KEEP_MS", &args.room_keep_ms, 0),
            drain: check.ms("SEATWIRE_DRAIN_MS", &args.drain_ms, 100),
            connections_max: check.count("SEATWIRE_CONNECTIONS_MAX", &args.connections_max),
            connections_per_address_max: check
                .count("SEATWIRE_CONNECTIONS_PER_ADDRESS_MAX", &args.connections_per_address_max),
            connections_per_customer_max: check
                .count("SEATWIRE_CONNECTIONS_PER_CUSTOMER_MAX", &args.connections_per_customer_max),
            joins_per_second_max: check.count("SEATWIRE_JOINS_PER_SECOND_MAX", &args.joins_per_second_max),
            messages_per_second_max: check.count("SEATWIRE_MESSAGES_PER_SECOND_MAX", &args.messages_per_second_max),
            requests_per_second_max: check.count("SEATWIRE_REQUESTS_PER_SECOND_MAX", &args.requests_per_second_max),
            rooms_max: check.count("SEATWIRE_ROOMS_MAX", &args.rooms_max),
            echo: args.echo,
            log: check.log("SEATWIRE_LOG", &args.log),
            log_json: check.log_format("SEATWIRE_LOG_FORMAT", &args.log_format),
        };
        if !config.jwt_secret.is_empty() && config.jwt_secret == config.guest_secret {
            check.0.push("SEATWIRE_GUEST_SECRET must differ from SEATWIRE_JWT_SECRET".to_owned());
        }
        if config.guest_token > config.token_life_max {
            check.problem("SEATWIRE_GUEST_TOKEN_MS", "must not be above SEATWIRE_TOKEN_LIFE_MAX_MS");
        }
        if check.0.is_empty() { Ok(config) } else { Err(Problems(check.0)) }
    }
}

/// Collects problems; each method answers something harmless after noting one.
struct Check(Vec<String>);

impl Check {
    fn problem(&mut self, name: &str, text: &str) {
        self.0.push(format!("{name}: {text}"));
    }

    fn address(&mut self, name: &str, value: &str) -> String {
        let port = value.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            self.problem(name, &format!("expected host:port, got {value:?}"));
        }
        value.to_owned()
    }

    fn addresses(&mut self, name: &str, value: &str) -> Vec<String> {
        let list: Vec<String> = items(value).map(|item| self.address(name, item)).collect();
        if list.is_empty() {
            self.problem(name, "expected at least one host:port");
        }
        list
    }

    fn secret(&mut self, name: &str, value: &str, bytes_min: usize) -> String {
        if value.is_empty() {
            self.problem(name, &format!("is required, at least {bytes_min} bytes"));
        } else if value.len() < bytes_min {
            self.problem(name, &format!("must have at least {bytes_min} bytes, has {}", value.len()));
        }
        value.to_owned()
    }

    fn redis(&mut self, name: &str, value: &str) -> String {
        if redis::Client::open(value).is_err() {
            self.problem(name, "expected redis://[user:password@]host:port");
        }
        value.to_owned()
    }

    fn number<T: std::str::FromStr + Default>(&mut self, name: &str, value: &str) -> Option<T> {
        let number = value.trim().parse().ok();
        if number.is_none() {
            self.problem(name, &format!("expected a whole number, got {value:?}"));
        }
        number
    }

    fn ms(&mut self, name: &str, value: &str, min: u64) -> Duration {
        let Some(ms) = self.number::<u32>(name, value) else { return Duration::ZERO };
        if u64::from(ms) < min {
            self.problem(name, &format!("must be at least {min} ms, got {ms}"));
        }
        Duration::from_millis(u64::from(ms))
    }

    fn count(&mut self, name: &str, value: &str) -> u32 {
        let Some(count) = self.number::<u32>(name, value) else { return 1 };
        if count == 0 {
            self.problem(name, "must be at least 1");
        }
        count
    }

    fn percent(&mut self, name: &str, value: &str) -> u32 {
        let percent = self.count(name, value);
        if percent > 100 {
            self.problem(name, "must be at most 100");
        }
        percent
    }

    fn origins(&mut self, name: &str, value: &str) -> Vec<String> {
        let origins: Vec<String> = items(value).map(str::to_owned).collect();
        for origin in &origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let plain = |h: &str| !h.is_empty() && !h.contains(['/', '?', '#', '*', '@']) && *h == h.to_lowercase();
            if !host.is_some_and(plain) {
                self.problem(name, &format!("expected lower-case http(s)://host[:port], got {origin:?}"));
            }
        }
        origins
    }

    fn proxies(&mut self, name: &str, value: &str) -> Vec<IpAddr> {
        let mut out = Vec::new();
        for item in items(value) {
            match item.parse() {
                Ok(address) => out.push(address),
                Err(_) => self.problem(name, &format!("expected an IP address, got {item:?}")),
            }
        }
        out
    }

    fn log(&mut self, name: &str, value: &str) -> String {
        if value.parse::<tracing_subscriber::EnvFilter>().is_err() {
            self.problem(name, &format!("expected a filter such as info, got {value:?}"));
        }
        value.to_owned()
    }

    fn log_format(&mut self, name: &str, value: &str) -> bool {
        if !matches!(value, "text" | "json") {
            self.problem(name, &format!("expected text or json, got {value:?}"));
        }
        value == "json"
    }
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The defaults and some secrets, changed by `list`.
    pub fn config(list: &[&str]) -> Config {
        Config::check(&args(list)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn args(list: &[&str]) -> Args {
        let secrets = ["--core-secret", "0123456789abcdef", "--jwt-secret", "0123456789abcdef0123456789abcdef"];
        let guest = ["--guest-secret", "fedcba9876543210fedcba9876543210"];
        Args::parse_from(["seatwire-gateway"].iter().chain(&secrets).chain(&guest).chain(list))
    }

    #[test]
    fn all_problems_are_reported_at_once_and_without_secrets() {
        let wrong =
            args(&["--beat-ms", "soon", "--cores", "here", "--origins", "https://Good.com/x", "--log-format", "xml"]);
        let Err(Problems(lines)) = Config::check(&wrong) else { panic!("accepted") };
        assert_eq!(lines.len(), 4, "{lines:?}");
        let short = Args::parse_from(["x", "--core-secret", "hush", "--jwt-secret", "hush", "--guest-secret", "hush"]);
        let Err(problems) = Config::check(&short) else { panic!("accepted") };
        assert!(problems.0.len() >= 3 && !problems.to_string().contains("hush"), "{problems}");
    }

    #[test]
    fn defaults_are_valid() {
        let config = config(&[]);
        assert_eq!((config.beat.as_millis(), config.connections_max), (25_000, 15_000));
    }
}
