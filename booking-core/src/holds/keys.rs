//! Names of the Redis keys. All keys of a show carry its bucket as hash tag, so one script may touch them all.

use redis::Cmd;

use seatwire_protocol::ShowId;
use seatwire_protocol::feed::feed_channel;

use super::link::Connected;

/// Number of buckets; [`ShowId::bucket`] answers below it.
pub(super) const BUCKETS: u16 = 1024;

/// The keys of one show in the order of the scripts' KEYS; see `scripts/show.lua`.
#[derive(Debug, Clone)]
pub(super) struct ShowKeys(pub(super) [String; 11]);

impl ShowKeys {
    pub(super) fn new(show: ShowId) -> Self {
        let bucket = show.bucket();
        let of_show = |what: &str| format!("{what}:{{{bucket}}}:{show}");
        Self([
            of_show("show"),
            of_show("seat_version"),
            of_show("seat_status"),
            of_show("seat_lock"),
            of_show("hold"),
            of_show("held_by"),
            of_show("owned_by"),
            due_key(bucket),
            clock_key(bucket),
            of_show("rows"),
            feed_channel(show),
        ])
    }
}

/// How long things are remembered, milliseconds; every script of a show gets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) ended_ms: u64,
    pub(super) lapse_ms: u64,
}

impl ShowKeys {
    /// What every script of a show starts with: KEYS, and the first four of ARGV.
    pub(super) fn arguments(&self, cmd: &mut Cmd, connected: &Connected, generation: u64, kept: Kept) {
        cmd.arg(self.0.len()).arg(&self.0).arg(&*connected.run_id).arg(generation);
        cmd.arg(kept.ended_ms).arg(kept.lapse_ms);
    }
}

/// Key of a show's hash.
pub(super) fn show_key(show: ShowId) -> String {
    format!("show:{{{}}}:{}", show.bucket(), show)
}

/// Key of a bucket's due-set.
pub(super) fn due_key(bucket: u16) -> String {
    format!("hold_expiry:{{{bucket}}}")
}

/// Key of a bucket's logical clock.
pub(super) fn clock_key(bucket: u16) -> String {
    format!("clock:{{{bucket}}}")
}

/// Key that is there while some core looked at the show just now. Not the show's own: it goes by itself.
pub(super) fn scrubbed_key(show: ShowId) -> String {
    format!("scrubbed:{{{}}}:{}", show.bucket(), show)
}

/// Key that is there while some gateway watches the show. Goes by itself, too.
pub(super) fn watched_key(show: ShowId) -> String {
    format!("watched:{{{}}}:{}", show.bucket(), show)
}

/// Names of those who left a note, and the note of one. Notes go by themselves.
pub(super) const PRESENT: &str = "present";
pub(super) fn note_key(name: &str) -> String {
    format!("present:{name}")
}

/// Key of what somebody may do in a time.
pub(super) fn tokens_key(name: &str) -> String {
    format!("tokens:{{{name}}}")
}
