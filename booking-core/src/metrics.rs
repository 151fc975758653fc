//! Every metric of the core: its name, kind and help in one table. Values are recorded with the macros of the `metrics`
//! crate where things happen.

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Kind of a metric.
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

macro_rules! metrics_table {
    ($($name:ident: $kind:ident = $text:literal, $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*
        const TABLE: &[(Kind, &str, &str)] = &[$(($kind, $name, $help)),*];
    };
}

metrics_table! {
    CONNECTIONS: Gauge = "seatwire_core_connections", "Open connections on the MessagePack port.";
    HANDSHAKES_REFUSED: Counter = "seatwire_core_handshakes_refused_total", "Connections closed in the handshake, by why.";
    COMMANDS: Counter = "seatwire_core_commands_total", "Commands answered, by command and outcome (ok, or the error code).";
    COMMAND_SECONDS: Histogram = "seatwire_core_command_seconds", "Time from a command's last byte to its answer, by command.";
    COMMANDS_IN_FLIGHT: Gauge = "seatwire_core_commands_in_flight", "Commands being worked on.";
    HTTP_REQUESTS: Counter = "seatwire_core_http_requests_total", "Requests on the HTTP listener, by route and status.";
    READY: Gauge = "seatwire_core_ready", "1 while Redis and PostgreSQL answer and the core is not draining.";
    BACKLOG: Gauge = "seatwire_core_backlog", "Rows that wait in PostgreSQL, by queue; parked ones wait for an operator (target 0).";
    HOLDS_GRANTED: Counter = "seatwire_core_holds_granted_total", "Holds granted; a repeated request counts again.";
    HOLDS_REFUSED: Counter = "seatwire_core_holds_refused_total", "Holds refused.";
    RATE_LIMITED: Counter = "seatwire_core_rate_limited_total", "Commands refused because their customer sent too many, by what was counted (commands, new_holds).";
    HOLDS_EXPIRED: Counter = "seatwire_core_holds_expired_total", "Holds whose time was over.";
    HOLD_EXPIRY_LAG_SECONDS: Histogram = "seatwire_core_hold_expiry_lag_seconds", "Time from a hold's honoured end to its event.";
    SHOWS_LOADED: Counter = "seatwire_core_shows_loaded_total", "Seat maps loaded from the ledger under a new generation.";
    SHOWS_UNLOADED: Counter = "seatwire_core_shows_unloaded_total", "Seat maps of shows that are over, removed from Redis.";
    MAP_DRIFT: Counter = "seatwire_core_map_drift_total", "Seats and entries that the scrubber found wrong, by kind and by what it did (repaired, reloaded).";
    SCRUBS: Counter = "seatwire_core_scrubs_total", "Looks of the scrubber at a show, by result.";
    SCRUBS_OVERDUE: Gauge = "seatwire_core_scrubs_overdue", "Watched shows that the scrubber has not looked at for 30 s.";
    TRANSACTION_SECONDS: Histogram = "seatwire_core_transaction_seconds", "Time of database work, retries included, by name.";
    TRANSACTION_RETRIES: Counter = "seatwire_core_transaction_retries_total", "Database work that was tried again, by name.";
    WEBHOOKS_STORED: Counter = "seatwire_core_webhooks_stored_total", "Webhook events committed to the inbox, repetitions included.";
    WEBHOOK_COMMITS: Counter = "seatwire_core_webhook_commits_total", "Commits that stored them; one may carry several.";
    EVENTS_SETTLED: Counter = "seatwire_core_payment_events_settled_total", "Payment events settled, by result; a retried commit counts again.";
    PROVIDER_CALLS: Counter = "seatwire_core_provider_calls_total", "Calls to payment providers, by provider, call and outcome (ok, refused, failed, unanswered).";
    PROVIDER_SECONDS: Histogram = "seatwire_core_provider_seconds", "Time of a call to a payment provider with all its attempts, by provider and call.";
    PROVIDER_BREAKER: Gauge = "seatwire_core_provider_breaker", "0 while a payment provider is called, 1 while one call tries whether it is back, 2 while it is left alone.";
    EVENTS_EXPORTED: Counter = "seatwire_core_events_exported_total", "Domain events that the bus took; one that goes out again counts again.";
    EVENTS_REPLAYED: Counter = "seatwire_core_events_replayed_total", "Domain events put back because the bus lost its data.";
    EVENTS_PARKED: Counter = "seatwire_core_events_parked_total", "Domain events that were parked, by consumer (bus, mail).";
    EVENT_BACKLOG_AGE: Gauge = "seatwire_core_event_backlog_age", "Age of the oldest domain event that waits, seconds, by consumer (bus, mail).";
    BUS_GROUP_LAG: Gauge = "seatwire_core_bus_group_lag", "Events on the bus that a group of consumers was not given yet, by group.";
    MAILS: Counter = "seatwire_core_mails_total", "Mails by what became of them (sent, deferred, refused, off).";
    SETTLE_BATCHED: Counter = "seatwire_core_payments_settled_together_total", "Payments in time that were settled in a commit with others.";
    PUSHES_DROPPED: Counter = "seatwire_core_pushes_dropped_total", "Pushes to customers that were not published.";
}

/// Upper bounds of the histograms, seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
/// Held while starting: the process has one recorder, however many cores a test starts in it at once.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts recording for the process; later calls change nothing.
pub fn start() -> Result<(), BuildError> {
    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new().set_buckets_for_metric(suffix, SECONDS)?.install_recorder()?;
    HANDLE.get_or_init(|| handle);
    for (kind, name, help) in TABLE {
        match kind {
            Counter => metrics::describe_counter!(*name, *help),
            Gauge => metrics::describe_gauge!(*name, *help),
            Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
    Ok(())
}

/// All values in Prometheus' text format; empty before [`start`].
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Moves recorded samples into their buckets; to be called every few seconds, or memory grows until the next scrape.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}
