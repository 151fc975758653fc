//! Compares the seat maps in Redis with the ledger, and holds, locks and counters with each other.
//!
//! Only maps that are served are looked at: loaded for the running server, under the ledger's generation, whole. Any
//! other one is loaded anew before somebody sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use seatwire_protocol::{SeatIndex, SeatStatus, ShowId, seat::PackedStatuses};
use serde_bytes::ByteBuf;
use tokio_postgres::Transaction;

use super::AuditOptions;
use super::map::{Maps, SeatEntry, ShowMap};
use super::report::Check;

/// What the ledger has of one show.
struct LedgerShow {
    generation: u64,
    sale_version: u64,
    /// 0 before, 1 open, 2 closed; "before" counts as open from its opening on.
    sale: u64,
    seats: HashMap<u32, SeatEntry>,
}

struct MapChecks {
    whole: Check,
    ledger: Check,
    sale: Check,
    statuses: Check,
    locks: Check,
    counters: Check,
    owned: Check,
    expiry: Check,
    caps: Check,
}

pub(super) async fn run(ledger: &Transaction<'_>, maps: &Maps, options: &AuditOptions) -> anyhow::Result<Vec<Check>> {
    let mut checks = MapChecks {
        whole: Check::new("maps_are_whole", "23 24"),
        ledger: Check::new("maps_are_the_ledger", "22 23"),
        sale: Check::new("maps_know_the_sale", "22"),
        statuses: Check::new("statuses_are_ledger_and_holds", "22"),
        locks: Check::new("locks_are_those_of_live_holds", "14"),
        counters: Check::new("counters_are_those_of_live_holds", "16"),
        owned: Check::new("owned_seats_are_counted", "16"),
        expiry: Check::new("holds_end_in_time", "15 17"),
        caps: Check::new("holders_stay_below_the_cap", "16"),
    };
    for (show, map) in &maps.shows {
        let truth = read_ledger(ledger, *show).await?;
        if checks.is_served(*show, map, &truth, &maps.run_id) {
            checks.compare_seats(*show, map, &truth);
            checks.compare_statuses(*show, map);
            checks.compare_holds(*show, map);
            checks.compare_counters(*show, map);
            checks.compare_caps(*show, map, options.seats_max);
        }
    }
    let MapChecks { whole, ledger, sale, statuses, locks, counters, owned, expiry, caps } = checks;
    Ok(vec![whole, ledger, sale, statuses, locks, counters, owned, expiry, caps])
}

impl MapChecks {
    /// Whether a core would serve this map; and that it is whole then, and never ahead of the ledger.
    fn is_served(&mut self, show: ShowId, map: &ShowMap, truth: &LedgerShow, run_id: &str) -> bool {
        let generation = map.number("generation").unwrap_or(0);
        if map.fields.get("run_id").is_none_or(|loaded_for| loaded_for != run_id) {
            return false;
        }
        self.whole.examined(1);
        self.whole.expect(generation <= truth.generation, || {
            format!("show {show}: generation {generation}, the ledger's is {}", truth.generation)
        });
        if generation != truth.generation || !map.is_complete() {
            return false;
        }
        let (known, seats) = (map.seats.len(), truth.seats.len());
        self.whole.expect(known == seats && map.number("seats") == Some(seats as u64), || {
            format!("show {show}: {known} of {seats} seats, yet said to be complete")
        });
        true
    }

    fn compare_seats(&mut self, show: ShowId, map: &ShowMap, truth: &LedgerShow) {
        self.ledger.examined(truth.seats.len());
        for (seat, entry) in &truth.seats {
            let known = map.seats.get(seat);
            self.ledger.expect(known == Some(entry), || {
                format!("show {show} seat {seat}: the map has {known:?}, the ledger {entry:?}")
            });
        }
        for seat in map.seats.keys().filter(|seat| !truth.seats.contains_key(seat)) {
            self.ledger.violated(format!("show {show} seat {seat}: there is no such seat"));
        }
        self.sale.examined(1);
        let known = (map.number("sale"), map.number("sale_version"));
        // A sale may have been opened by time alone since the ledger was written, or the other way about.
        let opened = known == (Some(0), Some(truth.sale_version)) && truth.sale == 1;
        self.sale.expect(known == (Some(truth.sale), Some(truth.sale_version)) || opened, || {
            format!("show {show}: sale {known:?}, the ledger has {:?}", (truth.sale, truth.sale_version))
        });
    }

    /// The packed statuses are the ledger's, overlaid by locks.
    fn compare_statuses(&mut self, show: ShowId, map: &ShowMap) {
        let seats = u32::try_from(map.seats.len()).unwrap_or(u32::MAX);
        let mut right = PackedStatuses::new(seats);
        for (seat, entry) in &map.seats {
            let held = entry.status == 0 && map.locks.contains_key(seat);
            right.set(SeatIndex(*seat), SeatStatus::from_bits(if held { 1 } else { entry.status }));
        }
        self.statuses.examined(map.seats.len());
        let Some(shown) = PackedStatuses::from_bytes(seats, &map.statuses) else {
            return self.statuses.violated(format!("show {show}: {} bytes for {seats} seats", map.statuses.len()));
        };
        for (seat, (shown, right)) in shown.iter().zip(right.iter()).enumerate() {
            self.statuses
                .expect(shown == right, || format!("show {show} seat {seat}: shown as {shown:?}, is {right:?}"));
        }
    }

    /// Each live hold locks all its seats and each lock is of such a hold; each has an end that is kept.
    fn compare_holds(&mut self, show: ShowId, map: &ShowMap) {
        self.locks.examined(map.locks.len());
        for (seat, lock) in &map.locks {
            let hold = map.holds.get(&lock.hold).filter(|hold| hold.is_live());
            let owned = hold.is_some_and(|hold| hold.customer == lock.customer && hold.seats.contains(seat));
            self.locks.expect(owned, || {
                format!("show {show} seat {seat}: locked by hold {} that is not live", id(&lock.hold))
            });
            let free = map.seats.get(seat).is_none_or(|entry| entry.status == 0);
            self.locks
                .expect(free, || format!("show {show} seat {seat}: locked by a hold, yet not available in the ledger"));
        }
        for (hold_id, hold) in map.live_holds() {
            self.expiry.examined(1);
            for seat in &hold.seats {
                let own = map.locks.get(seat).is_some_and(|lock| lock.hold == *hold_id);
                self.locks.expect(own, || format!("show {show} seat {seat}: hold {} has not got it", id(hold_id)));
            }
            match map.due.get(hold_id) {
                None => self.expiry.violated(format!("show {show}: hold {} has no end", id(hold_id))),
                Some(due) if *due < hold.ends => {
                    self.expiry.violated(format!("show {show}: hold {} ends before it was told to", id(hold_id)));
                }
                Some(due) => self.expiry.expect(map.now_ms - due <= GHOST_MS, || {
                    format!("show {show}: hold {} should have ended {:.0} ms ago", id(hold_id), map.now_ms - due)
                }),
            }
        }
    }

    /// What customers hold and own, as counted and as it is.
    fn compare_counters(&mut self, show: ShowId, map: &ShowMap) {
        let mut held: BTreeMap<&str, (usize, BTreeSet<&ByteBuf>)> = BTreeMap::new();
        for (hold_id, hold) in map.live_holds() {
            let of_customer = held.entry(&hold.customer).or_default();
            of_customer.0 += hold.seats.len();
            of_customer.1.insert(hold_id);
        }
        let customers: BTreeSet<&str> = held.keys().copied().chain(map.holders.keys().map(String::as_str)).collect();
        self.counters.examined(customers.len());
        for customer in customers {
            let (seats, holds) = held.remove(customer).unwrap_or_default();
            let Some(counted) = map.holders.get(customer) else {
                self.counters.violated(format!("show {show} customer {customer}: holds {seats} seats, not counted"));
                continue;
            };
            let same = usize::try_from(counted.0) == Ok(seats) && counted.1.iter().collect::<BTreeSet<_>>() == holds;
            self.counters.expect(same && counted.1.len() == holds.len(), || {
                let (seats_counted, holds_counted) = (counted.0, counted.1.len());
                format!(
                    "show {show} customer {customer}: counted {seats_counted} seats in {holds_counted} holds, \
                     has {seats} in {}",
                    holds.len()
                )
            });
            let empty = counted.1.is_empty() && counted.2.is_empty();
            self.counters.expect(!empty, || format!("show {show} customer {customer}: an empty counter is left"));
        }
        let owned = owned_seats(map);
        self.owned.examined(owned.len());
        self.owned.expect(owned == map.owned, || {
            let differs = |field: &&String| owned.get(*field) != map.owned.get(*field);
            let fields: BTreeSet<&String> = owned.keys().chain(map.owned.keys()).filter(differs).collect();
            format!("show {show}: counted otherwise than owned: {fields:?}")
        });
    }

    /// Held, pending and booked seats together; the ledger's own check judges what late payments saved.
    fn compare_caps(&mut self, show: ShowId, map: &ShowMap, seats_max: u32) {
        let owned = owned_seats(map);
        for (customer, holder) in &map.holders {
            self.caps.examined(1);
            let pending = owned.get(&format!("p{customer}")).copied().unwrap_or(0);
            let together = holder.0 + pending;
            self.caps.expect(together <= i64::from(seats_max), || {
                format!("show {show} customer {customer}: {together} seats held and pending, the cap is {seats_max}")
            });
        }
    }
}

/// As `owned_by` counts them.
pub(super) fn owned_seats(map: &ShowMap) -> HashMap<String, i64> {
    let mut owned = HashMap::new();
    for entry in map.seats.values().filter(|entry| !entry.customer.is_empty()) {
        if let Some(kind) = [None, Some('p'), Some('b'), None].get(usize::from(entry.status)).copied().flatten() {
            *owned.entry(format!("{kind}{}", entry.customer)).or_insert(0) += 1;
        }
    }
    owned
}

/// Enough of a hold id to follow it, too little to use it.
fn id(hold: &ByteBuf) -> String {
    hex::encode(hold.get(..4).unwrap_or_default())
}

async fn read_ledger(ledger: &Transaction<'_>, show: ShowId) -> anyhow::Result<LedgerShow> {
    let row = ledger.query_one(SHOW, &[&show.as_i64()]).await?;
    let mut seats = HashMap::new();
    for row in ledger.query(SEATS, &[&show.as_i64()]).await? {
        let status: i32 = row.try_get(1)?;
        let entry = SeatEntry {
            status: u8::try_from(status)?,
            version: u64::try_from(row.try_get::<_, i64>(2)?)?,
            customer: row.try_get(3)?,
        };
        seats.insert(u32::try_from(row.try_get::<_, i32>(0)?)?, entry);
    }
    let number = |column: usize| anyhow::Ok(u64::try_from(row.try_get::<_, i64>(column)?)?);
    Ok(LedgerShow { generation: number(0)?, sale_version: number(1)?, sale: number(2)?, seats })
}

const SHOW: &str = "
    SELECT coalesce(t.generation, 0), w.sale_version,
        CASE WHEN w.sale = 'before' AND w.opens_at > clock_timestamp() THEN 0 WHEN w.sale = 'closed' THEN 2 ELSE 1 END::bigint
    FROM shows w LEFT JOIN show_streams t ON t.show_id = w.id WHERE w.id = $1";
const SEATS: &str = "
    SELECT s.seat, array_position(ARRAY['available', 'claimed', 'booked', 'blocked'], s.status) - 1, s.version,
        coalesce(b.customer_id, '')
    FROM show_seats s LEFT JOIN bookings b ON b.id = s.booking_id WHERE s.show_id = $1";
/// A hold may be on screen so much longer than it is honoured.
const GHOST_MS: f64 = 1000.0;
