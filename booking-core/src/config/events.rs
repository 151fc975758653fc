//! The flags of `serve` about events that leave the core: the bus for other systems, and mail to customers.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

use super::Secret;
use super::problems::Problems;
use crate::mail::{Post, PostError};

/// Flags of the event bus and of mail; part of [`super::ServeArgs`].
#[derive(Debug, clap::Args)]
pub struct EventArgs {
    /// Bus that other systems get events of bookings from: redis (Redis Streams), or kafka in a core built with the
    /// feature kafka
    #[arg(long, env = "SEATWIRE_BUS", default_value = "redis", value_name = "KIND")]
    bus: String,
    /// Stream of the bus: key of the Redis stream, or Kafka topic
    #[arg(long, env = "SEATWIRE_BUS_STREAM", default_value = "seatwire.events", value_name = "NAME")]
    bus_stream: String,
    /// Redis or Valkey of the bus [default: the one of the holds]
    #[arg(long, env = "SEATWIRE_BUS_REDIS_URL", value_name = "URL", hide_env_values = true)]
    bus_redis_url: Option<String>,
    /// About so many events stay in the Redis stream; the oldest go first
    #[arg(long, env = "SEATWIRE_BUS_STREAM_LENGTH", default_value = "100000", value_name = "COUNT")]
    bus_stream_length: String,
    /// Consumer groups that are made with the Redis stream, from its beginning, separated by commas
    #[arg(long, env = "SEATWIRE_BUS_GROUPS", default_value = "", value_name = "NAMES")]
    bus_groups: String,
    /// Kafka brokers, separated by commas (required for the kafka bus)
    #[arg(long, env = "SEATWIRE_BUS_KAFKA_BROKERS", default_value = "", value_name = "ADDRESSES")]
    bus_kafka_brokers: String,
    /// How far back events are exported again when the bus lost its data, milliseconds
    #[arg(long, env = "SEATWIRE_BUS_REPLAY_MS", default_value = "3600000", value_name = "MS")]
    bus_replay_ms: String,
    /// Mail to customers: smtp://USER:PASSWORD@HOST:PORT?tls=required (HOST alone will do), smtps://… or file:FOLDER;
    /// without one no mail is sent
    #[arg(long, env = "SEATWIRE_MAIL_URL", default_value = "", value_name = "URL", hide_env_values = true)]
    mail_url: String,
    /// Certificates that the mail server may be known by, beside those of public authorities: a PEM file
    #[arg(long, env = "SEATWIRE_MAIL_CA_FILE", value_name = "FILE")]
    mail_ca_file: Option<PathBuf>,
    /// Sender of the mail, a name with its address in angle brackets, or an address
    #[arg(long, env = "SEATWIRE_MAIL_FROM", default_value = "Seatwire <tickets@localhost>", value_name = "ADDRESS")]
    mail_from: String,
}

/// Where events go.
#[derive(Debug)]
pub struct BusSettings {
    pub kind: BusKind,
    pub stream: String,
    pub replay: Duration,
}

/// Which bus.
#[derive(Debug)]
pub enum BusKind {
    /// `None`: the Redis of the holds.
    Redis { url: Option<Secret>, length: u64, groups: Vec<String> },
    #[cfg(feature = "kafka")]
    Kafka { brokers: String },
}

/// How mail leaves.
#[derive(Debug)]
pub struct MailSettings {
    pub url: Secret,
    /// Certificates of the server's authorities, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Always there in a configuration without problems.
    pub from: Option<Mailbox>,
}

impl EventArgs {
    pub(super) fn check(self, problems: &mut Problems) -> (BusSettings, MailSettings) {
        let names: Vec<String> = self.bus_groups.split(',').map(|name| name.trim().to_owned()).collect();
        let groups = if self.bus_groups.is_empty() { Vec::new() } else { names };
        if groups.iter().any(String::is_empty) {
            problems.add("SEATWIRE_BUS_GROUPS", "has an empty name between its commas");
        }
        let url = self
            .bus_redis_url
            .map(|url| problems.scheme("SEATWIRE_BUS_REDIS_URL", Some(url), &["redis://", "unix://"]));
        let length = problems.number("SEATWIRE_BUS_STREAM_LENGTH", &self.bus_stream_length, 1, 1_000_000_000);
        let redis = BusKind::Redis { url, length, groups };
        let kind = match self.bus.as_str() {
            "redis" => redis,
            #[cfg(feature = "kafka")]
            "kafka" => BusKind::Kafka {
                brokers: problems.required("SEATWIRE_BUS_KAFKA_BROKERS", Some(self.bus_kafka_brokers)),
            },
            #[cfg(not(feature = "kafka"))]
            "kafka" => {
                problems.add("SEATWIRE_BUS", "this core was built without the feature kafka");
                redis
            }
            other => {
                problems.add("SEATWIRE_BUS", format_args!("must be redis or kafka, not {other:?}"));
                redis
            }
        };
        let in_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '{' | '}');
        if self.bus_stream.is_empty() || !self.bus_stream.chars().all(in_a_name) {
            problems.add("SEATWIRE_BUS_STREAM", "must be a name of letters, digits and .-_:{}");
        }
        let replay = problems.duration("SEATWIRE_BUS_REPLAY_MS", &self.bus_replay_ms, 0);
        let authorities = self.mail_ca_file.map(|file| std::fs::read(file).unwrap_or_default());
        match Post::open(&self.mail_url, authorities.as_deref()) {
            Err(error @ PostError::Address) => problems.add("SEATWIRE_MAIL_URL", error),
            Err(error @ PostError::Certificates) => problems.add("SEATWIRE_MAIL_CA_FILE", error),
            Ok(_) => {}
        }
        let from = self.mail_from.parse().ok();
        if from.is_none() {
            problems.add("SEATWIRE_MAIL_FROM", "must be an address such as Tickets <tickets@example.org>");
        }
        let bus = BusSettings { kind, stream: self.bus_stream, replay };
        (bus, MailSettings { url: Secret::new(self.mail_url), authorities, from })
    }
}
