//! Every key of the bucket: read from Redis in one call, and what it has to be by the model.

use std::collections::BTreeMap;

use redis::Value;

use super::model::{Hold, Model, Show};

/// Answers everything; MessagePack is unpacked here, so that values and not bytes are compared.
pub(super) const READ: &str = r"
local out = { redis.call('GET', KEYS[1]) or '', redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES') }
for at = 3, #KEYS, 8 do
  local k = { unpack(KEYS, at, at + 7) }
  local one = {
    redis.call('HGETALL', k[1]), redis.call('HGETALL', k[2]), redis.call('GET', k[3]) or '',
    redis.call('HGETALL', k[4]), {}, {}, redis.call('HGETALL', k[7]), redis.call('GET', k[8]) or '',
  }
  for part = 5, 6 do
    local all = redis.call('HGETALL', k[part])
    for i = 1, #all, 2 do
      one[part][i], one[part][i + 1] = all[i], cmsgpack.unpack(all[i + 1])
    end
  end
  out[#out + 1] = one
end
out[#out + 1] = redis.call('DBSIZE')
return out
";

/// What `READ` looks at, in its order.
pub(super) const OF_SHOW: [&str; 8] =
    ["show", "seat_version", "seat_status", "seat_lock", "hold", "held_by", "owned_by", "rows"];

type Named = BTreeMap<Vec<u8>, Vec<u8>>;
type Nested = BTreeMap<Vec<u8>, Value>;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ShowKeys {
    pub(super) show: Named,
    seat_version: Named,
    pub(super) seat_status: Vec<u8>,
    seat_lock: Named,
    hold: Nested,
    held_by: Nested,
    owned_by: Named,
    rows: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keys {
    clock: Vec<u8>,
    due: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) shows: Vec<ShowKeys>,
    /// Keys in all of Redis.
    count: i64,
}

fn array(value: Value) -> Vec<Value> {
    let Value::Array(values) = value else { panic!("not a list: {value:?}") };
    values
}

fn string(value: Value) -> Vec<u8> {
    let Value::BulkString(bytes) = value else { panic!("not a string: {value:?}") };
    bytes
}

fn pairs<T, K: FromIterator<(Vec<u8>, T)>>(value: Value, read: impl Fn(Value) -> T) -> K {
    let mut values = array(value).into_iter();
    std::iter::from_fn(|| Some((string(values.next()?), read(values.next()?)))).collect()
}

impl Keys {
    pub(super) fn read(value: Value) -> Self {
        let mut parts = array(value).into_iter();
        let mut part = || parts.next().unwrap();
        let (clock, due) = (string(part()), pairs(part(), string));
        let shows = [part(), part()].map(|show| {
            let mut parts = array(show).into_iter();
            let mut part = || parts.next().unwrap();
            ShowKeys {
                show: pairs(part(), string),
                seat_version: pairs(part(), string),
                seat_status: string(part()),
                seat_lock: pairs(part(), string),
                hold: pairs(part(), |value| value),
                held_by: pairs(part(), |value| value),
                owned_by: pairs(part(), string),
                rows: string(part()),
            }
        });
        let Value::Int(count) = part() else { panic!("no number of keys") };
        Self { clock, due, shows: shows.into(), count }
    }

    /// What has to be there; `others` counts keys that are not the scripts'.
    pub(super) fn of(model: &Model, others: i64) -> Self {
        let clock = match model.clock.stored {
            None => String::new(),
            Some((last, 0)) => last.to_string(),
            Some((last, ahead)) => format!("{last} {ahead}"),
        };
        let due: Vec<_> = model.due().into_iter().map(|(at, member)| (member, at.to_string().into_bytes())).collect();
        let shows: Vec<ShowKeys> = model.shows.iter().map(ShowKeys::of).collect();
        let of_shows: usize = shows.iter().map(ShowKeys::count).sum();
        let count = others + i64::from(!clock.is_empty()) + i64::from(!due.is_empty()) + of_shows as i64;
        Self { clock: clock.into_bytes(), due, shows, count }
    }

    /// The first thing that differs, with both sides.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let tell = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
            Some(format!("{what}:\n  redis {a:?}\n  model {b:?}"))
        };
        if self.clock != other.clock {
            let (a, b) = (String::from_utf8_lossy(&self.clock), String::from_utf8_lossy(&other.clock));
            return tell("clock", &a, &b);
        }
        for (a, b) in self.shows.iter().zip(&other.shows) {
            if a != b {
                return tell("a show", a, b);
            }
        }
        if self.due != other.due {
            return tell("hold_expiry", &self.due, &other.due);
        }
        (self.count != other.count).then(|| format!("number of keys: redis {}, model {}", self.count, other.count))
    }
}

impl ShowKeys {
    fn count(&self) -> usize {
        let hashes = [&self.show, &self.seat_version, &self.seat_lock, &self.owned_by];
        let hashes = hashes.into_iter().filter(|named| !named.is_empty()).count();
        let nested = [&self.hold, &self.held_by].into_iter().filter(|nested| !nested.is_empty()).count();
        // An empty string is a key too, but no show here has no seats or no rows.
        hashes + nested + usize::from(!self.seat_status.is_empty()) + usize::from(!self.rows.is_empty())
    }

    fn of(show: &Show) -> Self {
        let live = || show.holds.iter().filter(|(_, hold)| hold.live());
        let seat_lock = live().flat_map(|(id, hold)| {
            let lock = [&id[..], hold.customer.as_bytes()].concat();
            hold.seats.iter().map(move |seat| (seat.to_string().into_bytes(), lock.clone()))
        });
        let held_by = show.holders.iter().map(|(customer, holder)| {
            let ids = Value::Array(holder.holds.iter().map(|id| Value::BulkString(id.to_vec())).collect());
            let fields = vec![
                Value::Int(show.held_seats(customer)),
                ids,
                Value::Array(holder.lapses.iter().map(lapse).collect()),
            ];
            (customer.clone().into_bytes(), Value::Array(fields))
        });
        let hold = show.holds.iter().map(|(id, hold)| (id.to_vec(), fields(hold))).collect();
        let mut out = Self { seat_lock: seat_lock.collect(), hold, held_by: held_by.collect(), ..Self::default() };
        let Some(map) = &show.map else { return out };
        let fields = [
            ("run_id", map.run_id.clone()),
            ("generation", map.generation.to_string()),
            ("sequence", map.sequence.to_string()),
            ("complete", i64::from(map.complete).to_string()),
            ("sale", map.sale.to_string()),
            ("opens_at", map.opens_at.to_string()),
            ("sale_version", map.sale_version.to_string()),
            ("seats", map.seats.to_string()),
            ("layout_version", map.layout.to_string()),
            ("no_orphan", "0".to_owned()),
            ("touched_at", map.touched_at.to_string()),
        ];
        out.show = fields.into_iter().map(|(name, value)| (name.into(), value.into_bytes())).collect();
        out.seat_version =
            map.entries.iter().map(|(seat, entry)| (seat.to_string().into(), entry.stored().into())).collect();
        out.seat_status = show.packed();
        out.rows.clone_from(&map.rows);
        for (status, letter) in [(1, 'p'), (2, 'b')] {
            for entry in map.entries.values().filter(|entry| entry.status == status && !entry.customer.is_empty()) {
                let count = show.owned(&entry.customer, status);
                out.owned_by.insert(format!("{letter}{}", entry.customer).into(), count.to_string().into());
            }
        }
        out
    }

    /// Position and statuses of a whole map, as stored.
    pub(super) fn snapshot(&self) -> Option<((u64, u64), &[u8])> {
        let field = |name: &str| String::from_utf8(self.show.get(name.as_bytes())?.clone()).ok()?.parse().ok();
        let whole = field("complete")? == 1;
        whole.then_some(((field("generation")?, field("sequence")?), &self.seat_status[..]))
    }
}

fn lapse((at, seats): &(i64, Vec<u32>)) -> Value {
    let seats = seats.iter().map(|seat| i64::from(*seat));
    Value::Array(std::iter::once(*at).chain(seats).map(Value::Int).collect())
}

/// The record of a hold, in the order of show.lua.
fn fields(hold: &Hold) -> Value {
    let bytes = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
    let all = |keys: &[Vec<u8>]| Value::Array(keys.iter().map(|key| bytes(key)).collect());
    Value::Array(vec![
        bytes(hold.customer.as_bytes()),
        hold.seat_list(),
        Value::Int(hold.phase as i64),
        Value::Int(hold.created),
        Value::Int(hold.ends),
        bytes(&hold.body),
        all(&hold.extended),
        Value::Int(hold.position.0),
        Value::Int(hold.position.1),
        bytes(&hold.booking),
        bytes(&hold.book_key),
        all(&hold.attempts),
        Value::Int(hold.first_end),
        Value::Int(hold.reason as i64),
    ])
}
