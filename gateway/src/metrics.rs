//! Every metric of the gateway: name, kind and meaning in one table, rendered by `/metrics`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

pub const CONNECTIONS: &str = "seatwire_gateway_connections";
pub const JOINS: &str = "seatwire_gateway_joins_total";
pub const JOINS_REFUSED: &str = "seatwire_gateway_joins_refused_total";
pub const CLOSES: &str = "seatwire_gateway_closes_total";
pub const LOGGED_OUT: &str = "seatwire_gateway_logged_out_total";
pub const VIEWERS: &str = "seatwire_gateway_viewers";
pub const ROOMS_DOUBTFUL: &str = "seatwire_gateway_rooms_doubtful";
pub const ROOMS: &str = "seatwire_gateway_rooms";
pub const ROOMS_STALE: &str = "seatwire_gateway_rooms_stale_total";
pub const SNAPSHOTS: &str = "seatwire_gateway_snapshots_fetched_total";
pub const WATCHES: &str = "seatwire_gateway_watches_total";
pub const ROUNDS: &str = "seatwire_gateway_rounds_total";
pub const ROUNDS_SHARED: &str = "seatwire_gateway_rounds_shared_total";
pub const ROUND_SECONDS: &str = "seatwire_gateway_round_seconds";
pub const FANOUT_LAG_SECONDS: &str = "seatwire_gateway_fanout_lag_seconds";
pub const BATCHES: &str = "seatwire_gateway_feed_batches_total";
pub const BATCHES_CONFLATED: &str = "seatwire_gateway_batches_conflated_total";
pub const FRAMES: &str = "seatwire_gateway_seat_frames_total";
pub const SLOW: &str = "seatwire_gateway_slow_viewer_skips_total";
pub const BEATS: &str = "seatwire_gateway_beats_total";
pub const FEED_DISCONNECTS: &str = "seatwire_gateway_feed_disconnects_total";
pub const FEED_DEAF: &str = "seatwire_gateway_feed_deaf_total";
pub const FEED_UP: &str = "seatwire_gateway_feed_up";
pub const COMMANDS: &str = "seatwire_gateway_commands_total";
pub const COMMAND_SECONDS: &str = "seatwire_gateway_command_seconds";
pub const PUSHES: &str = "seatwire_gateway_pushes_total";
pub const PUSHES_REPLACED: &str = "seatwire_gateway_pushes_replaced_total";
pub const RATE_LIMITED: &str = "seatwire_gateway_rate_limited_total";
pub const BAD_MESSAGES: &str = "seatwire_gateway_bad_messages_total";
pub const GUESTS: &str = "seatwire_gateway_guest_tokens_total";

const COUNTERS: &[(&str, &str)] = &[
    (JOINS, "WebSockets accepted"),
    (JOINS_REFUSED, "WebSockets refused before the upgrade, by reason"),
    (CLOSES, "WebSockets closed by the gateway, by close code"),
    (LOGGED_OUT, "WebSockets closed because their customer logged out"),
    (ROOMS_STALE, "times that a room lost the thread of its feed, by reason"),
    (SNAPSHOTS, "snapshots fetched from the core"),
    (WATCHES, "watch messages, by how they were answered"),
    (ROUNDS, "fan-out rounds"),
    (ROUNDS_SHARED, "fan-out rounds written by several cores"),
    (BATCHES, "feed batches applied"),
    (BATCHES_CONFLATED, "feed batches that shared a round with an earlier one"),
    (FRAMES, "seat frames written to viewers"),
    (SLOW, "times that a round passed over a viewer whose socket was full"),
    (BEATS, "beats written"),
    (FEED_DISCONNECTS, "lost connections to Redis"),
    (FEED_DEAF, "subscriptions that were found deaf"),
    (COMMANDS, "commands forwarded to the core, by name and outcome"),
    (PUSHES, "pushes written to owners"),
    (PUSHES_REPLACED, "times that pushes were replaced by a request to read again"),
    (RATE_LIMITED, "messages and requests refused for their rate"),
    (BAD_MESSAGES, "messages that could not be understood"),
    (GUESTS, "guest tokens given out"),
];
const GAUGES: &[(&str, &str)] = &[
    (CONNECTIONS, "open WebSockets"),
    (ROOMS, "shows watched"),
    (ROOMS_DOUBTFUL, "shows whose present state is not known, now"),
    (VIEWERS, "viewers of all shows; one who watches two counts twice"),
    (FEED_UP, "1 while the feed connection to Redis is up"),
];
const HISTOGRAMS: &[(&str, &str)] = &[
    (ROUND_SECONDS, "time of one fan-out round, pauses between its slices included"),
    (FANOUT_LAG_SECONDS, "from the arrival of a round's first change to the write to its last viewer"),
    (COMMAND_SECONDS, "time from command to answer"),
];

/// Installs the process's recorder; called once by `main`.
///
/// # Errors
/// When another recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    COUNTERS.iter().for_each(|(name, help)| describe_counter!(*name, *help));
    GAUGES.iter().for_each(|(name, help)| describe_gauge!(*name, *help));
    HISTOGRAMS.iter().for_each(|(name, help)| describe_histogram!(*name, Unit::Seconds, *help));
    Ok(handle)
}
