//! Reads seat maps out of Redis as they are: each show's keys in one MULTI, so that a map is of one moment.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use redis::Value;
use seatwire_protocol::ShowId;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_bytes::ByteBuf;

use super::Sources;

/// The maps of all shows that Redis knows.
pub(super) struct Maps {
    /// Of the server that runs now; a map loaded for another one is a dead timeline.
    pub(super) run_id: String,
    pub(super) shows: BTreeMap<ShowId, ShowMap>,
}

/// One show's keys. Counters and times are as the scripts keep them.
#[derive(Debug)]
pub(super) struct ShowMap {
    pub(super) fields: HashMap<String, String>,
    pub(super) seats: HashMap<u32, SeatEntry>,
    /// Packed statuses.
    pub(super) statuses: Vec<u8>,
    pub(super) locks: HashMap<u32, Lock>,
    pub(super) holds: HashMap<ByteBuf, Hold>,
    pub(super) holders: HashMap<String, Holder>,
    /// `p` or `b` and customer → seats.
    pub(super) owned: HashMap<String, i64>,
    /// This show's members of the bucket's due-set: hold id, or empty for the sale's opening.
    pub(super) due: HashMap<ByteBuf, f64>,
    /// The bucket's logical clock, milliseconds.
    pub(super) now_ms: f64,
}

/// What the map knows of the ledger's seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeatEntry {
    pub(super) status: u8,
    pub(super) version: u64,
    pub(super) customer: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) hold: ByteBuf,
    pub(super) customer: String,
}

#[derive(Debug)]
pub(super) struct Hold {
    pub(super) customer: String,
    pub(super) seats: Vec<u32>,
    pub(super) phase: u8,
    pub(super) ends: f64,
}

/// Seats held, ids of live holds, lapses, of which only the number matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Holder(pub(super) i64, pub(super) Vec<ByteBuf>, pub(super) Vec<IgnoredAny>);

impl Hold {
    pub(super) fn is_live(&self) -> bool {
        self.phase != ENDED
    }
}

impl ShowMap {
    pub(super) fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.parse().ok()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.fields.get("complete").is_some_and(|complete| complete == "1")
    }

    pub(super) fn live_holds(&self) -> impl Iterator<Item = (&ByteBuf, &Hold)> {
        self.holds.iter().filter(|(_, hold)| hold.is_live())
    }
}

/// `None` when there is no Redis to ask.
pub(super) async fn read_all(sources: &Sources) -> anyhow::Result<Option<Maps>> {
    let Some(mut redis) = sources.connect_redis().await? else { return Ok(None) };
    let database = sources.connect_postgres().await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await?;
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).context("INFO without a run id")?;
    let mut shows = BTreeMap::new();
    for row in database.query("SELECT id FROM shows ORDER BY id", &[]).await? {
        let show = ShowId::new(u64::try_from(row.try_get::<_, i64>(0)?)?)?;
        if let Some(map) = read_show(&mut redis, show).await.with_context(|| format!("the map of show {show}"))? {
            shows.insert(show, map);
        }
    }
    Ok(Some(Maps { run_id: run_id.trim().to_owned(), shows }))
}

/// `None` when Redis does not know the show.
pub(super) async fn read_show(
    redis: &mut redis::aio::MultiplexedConnection,
    show: ShowId,
) -> anyhow::Result<Option<ShowMap>> {
    let bucket = show.bucket();
    let of_show = |what: &str| format!("{what}:{{{bucket}}}:{show}");
    let mut read = redis::pipe();
    read.atomic();
    for hash in ["show", "seat_version", "seat_lock", "hold", "held_by", "owned_by"] {
        read.hgetall(of_show(hash));
    }
    read.get(of_show("seat_status")).zrange_withscores(format!("hold_expiry:{{{bucket}}}"), 0, -1);
    read.get(format!("clock:{{{bucket}}}")).add_command(redis::cmd("TIME"));
    let answers: Vec<Value> = read.query_async(redis).await?;
    let [fields, seats, locks, holds, holders, owned, statuses, due, clock, time] =
        <[Value; 10]>::try_from(answers).map_err(|_| anyhow::anyhow!("an answer is missing"))?;
    let fields: HashMap<String, String> = read_value(fields)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let clock: Option<String> = read_value(clock)?;
    Ok(Some(ShowMap {
        fields,
        seats: read_map(seats, seat_number, seat_entry)?,
        statuses: read_value::<Option<Vec<u8>>>(statuses)?.unwrap_or_default(),
        locks: read_map(locks, seat_number, lock)?,
        holds: read_map(holds, |id| Ok(ByteBuf::from(id)), |packed| Ok(rmp_serde::from_slice(packed)?))?,
        holders: read_map(holders, text, |packed| Ok(rmp_serde::from_slice(packed)?))?,
        owned: read_value(owned)?,
        due: own_members(show, read_value(due)?),
        now_ms: logical_now(clock.as_deref(), read_value(time)?)?,
    }))
}

fn read_value<T: redis::FromRedisValue>(value: Value) -> anyhow::Result<T> {
    T::from_redis_value(value).map_err(|error| anyhow::anyhow!("{error}"))
}

/// A hash, each field and value read by its own function.
fn read_map<K: Eq + std::hash::Hash, V>(
    value: Value,
    key: impl Fn(Vec<u8>) -> anyhow::Result<K>,
    entry: impl Fn(&[u8]) -> anyhow::Result<V>,
) -> anyhow::Result<HashMap<K, V>> {
    let hash: Vec<(Vec<u8>, Vec<u8>)> = read_value(value)?;
    hash.into_iter()
        .map(|(field, packed)| {
            let name = String::from_utf8_lossy(&field).chars().take(8).collect::<String>();
            Ok((key(field)?, entry(&packed).with_context(|| format!("entry of {name}"))?))
        })
        .collect()
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    Ok(String::from_utf8(bytes)?)
}

fn seat_number(field: Vec<u8>) -> anyhow::Result<u32> {
    Ok(text(field)?.parse()?)
}

/// Status digit, version, ':', customer.
fn seat_entry(packed: &[u8]) -> anyhow::Result<SeatEntry> {
    let entry = std::str::from_utf8(packed)?;
    let (status, rest) = entry.split_at_checked(1).context("empty")?;
    let (version, customer) = rest.split_once(':').context("no customer")?;
    Ok(SeatEntry { status: status.parse()?, version: version.parse()?, customer: customer.to_owned() })
}

/// Hold id and customer.
fn lock(packed: &[u8]) -> anyhow::Result<Lock> {
    let (hold, customer) = packed.split_at_checked(HOLD_ID_BYTES).context("no hold id")?;
    Ok(Lock { hold: ByteBuf::from(hold), customer: text(customer.to_vec())? })
}

/// Of the due-set's members `show:hold id` those of this show, without the prefix.
fn own_members(show: ShowId, due: Vec<(Vec<u8>, f64)>) -> HashMap<ByteBuf, f64> {
    let prefix = format!("{show}:");
    let own = due
        .into_iter()
        .filter_map(|(member, score)| member.strip_prefix(prefix.as_bytes()).map(|id| (ByteBuf::from(id), score)));
    own.collect()
}

/// As the scripts reckon it: Redis' clock, ahead by what it was set back.
fn logical_now(stored: Option<&str>, time: (f64, f64)) -> anyhow::Result<f64> {
    let raw = time.0 * 1000.0 + (time.1 / 1000.0).floor();
    let Some(stored) = stored else { return Ok(raw) };
    let (last, ahead) = stored.split_once(' ').unwrap_or((stored, "0"));
    let (last, ahead): (f64, f64) = (last.parse()?, ahead.parse()?);
    let passed = raw - last;
    let ahead = if passed < 0.0 {
        ahead - passed
    } else if ahead > 0.0 && passed > 5000.0 {
        (ahead - passed + 5000.0).max(0.0)
    } else {
        ahead
    };
    Ok(raw + ahead)
}

/// A packed hold is an array; only its first fields matter here, more may follow.
impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Hold;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array: customer, seats, phase, created, ends")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Hold, A::Error> {
                use serde::de::Error as _;
                let missing = |at| A::Error::invalid_length(at, &Self);
                let customer = fields.next_element()?.ok_or_else(|| missing(0))?;
                let seats = fields.next_element()?.ok_or_else(|| missing(1))?;
                let phase = fields.next_element()?.ok_or_else(|| missing(2))?;
                let _created: f64 = fields.next_element()?.ok_or_else(|| missing(3))?;
                let ends = fields.next_element()?.ok_or_else(|| missing(4))?;
                while fields.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Hold { customer, seats, phase, ends })
            }
        }
        deserializer.deserialize_seq(Fields)
    }
}

const ENDED: u8 = 3;
const HOLD_ID_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let now = |stored| logical_now(stored, (1_000.0, 500_999.0)).unwrap();
        assert_eq!(now(None), 1_000_500.0);
        assert_eq!(now(Some("1000400")), 1_000_500.0);
        // Set back by 99,500: ahead by that.
        assert_eq!(now(Some("1100000")), 1_100_000.0);
        assert_eq!(now(Some("1000400 7000")), 1_007_500.0);
    }
}
