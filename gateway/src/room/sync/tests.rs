//! Each of the room's guards by itself. A seat's status tells how many batches touched it, so that a batch which is
//! applied twice, or too late, shows.

use super::*;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{SeatIndex, SeatStatus};

const SEATS: u32 = 4;
const FREE: SeatStatus = SeatStatus::Available;
const HELD: SeatStatus = SeatStatus::Held;
const BOOKED: SeatStatus = SeatStatus::Booked;

fn at(generation: u64, sequence: u64) -> Position {
    Position::new(generation, sequence)
}

/// A snapshot in which all is free but for the seats named.
fn snapshot(position: Position, booked: &[u32]) -> SnapshotReply {
    let mut statuses = PackedStatuses::new(SEATS);
    for seat in booked {
        assert!(statuses.set(SeatIndex(*seat), BOOKED));
    }
    let statuses = statuses.as_bytes().to_vec();
    SnapshotReply { position, sale: SaleState::Open, opens_in_ms: 0, layout_version: 1, seats: SEATS, statuses }
}

fn batch(position: Position, seat: u32, status: SeatStatus) -> Option<FeedMessage> {
    let seats = vec![(SeatIndex(seat), status)];
    Some(FeedMessage::Batch { position, sale: SaleState::Open, reason: Some(FeedReason::Held), seats, holds: vec![] })
}

fn subscribed() -> Sync {
    let mut sync = Sync::new(ShowId::new(1).unwrap());
    sync.on_subscribed();
    sync
}

/// A room that knows everything up to here.
fn live(position: Position) -> Sync {
    let mut sync = subscribed();
    install(&mut sync, &snapshot(position, &[]), Installed::Live);
    sync
}

fn install(sync: &mut Sync, snapshot: &SnapshotReply, expected: Installed) {
    let fetch = sync.begin_fetch().expect("a fetch is wanted");
    assert_eq!(sync.install(fetch, snapshot, 0), expected);
    assert_eq!(sync.is_live(), expected == Installed::Live);
}

fn statuses(sync: &Sync) -> Vec<SeatStatus> {
    sync.map().unwrap().snapshot_frame(0, 0).statuses.iter().collect()
}

#[test]
fn a_hole_makes_a_room_stale_and_nothing_behind_it_is_shown() {
    let mut sync = live(at(1, 5));
    assert_eq!(sync.on_feed(batch(at(1, 7), 1, HELD)), Heard::Lost(Lost::Hole));
    assert!(sync.is_doubtful() && !sync.is_live());
    assert_eq!((sync.position(), statuses(&sync)), (Some(at(1, 5)), vec![FREE; 4]));
    // What was heard behind the hole joins up with a snapshot of before it.
    install(&mut sync, &snapshot(at(1, 6), &[0]), Installed::Live);
    assert_eq!((sync.position(), statuses(&sync)), (Some(at(1, 7)), vec![BOOKED, HELD, FREE, FREE]));
}

#[test]
fn a_new_generation_makes_a_room_stale() {
    for message in [Some(FeedMessage::Reset { generation: 2 }), batch(at(2, 1), 1, HELD), batch(at(2, 6), 1, HELD)] {
        let mut sync = live(at(1, 5));
        assert_eq!(sync.on_feed(message), Heard::Lost(Lost::Generation));
        assert!(sync.is_doubtful() && !sync.is_live());
        assert_eq!((sync.position(), statuses(&sync)), (Some(at(1, 5)), vec![FREE; 4]));
        assert!(sync.begin_fetch().is_some());
    }
}

#[test]
fn an_old_batch_changes_nothing() {
    let mut sync = live(at(2, 5));
    assert_eq!(sync.on_feed(batch(at(2, 6), 1, HELD)), Heard::Applied);
    // The same again, older ones, and ones of a dead timeline, whatever their sequence.
    for position in [at(2, 6), at(2, 5), at(2, 1), at(1, 6), at(1, 7), at(1, 100)] {
        assert_eq!(sync.on_feed(batch(position, 2, BOOKED)), Heard::Nothing, "{position}");
    }
    for generation in [1, 2] {
        assert_eq!(sync.on_feed(Some(FeedMessage::Reset { generation })), Heard::Nothing);
    }
    assert!(sync.is_live());
    assert_eq!((sync.position(), statuses(&sync)), (Some(at(2, 6)), vec![FREE, HELD, FREE, FREE]));
}

#[test]
fn a_room_without_its_feed_is_stale_until_it_listens_and_fetched_again() {
    let mut sync = live(at(1, 5));
    assert_eq!(sync.on_unsubscribed(), Heard::Lost(Lost::Disconnected));
    assert!(sync.is_doubtful() && !sync.is_live());
    assert!(sync.begin_fetch().is_none(), "a snapshot helps only a room that listens");
    sync.on_subscribed();
    install(&mut sync, &snapshot(at(1, 8), &[0]), Installed::Live);
    assert!(!sync.is_doubtful());
    assert_eq!((sync.position(), statuses(&sync)), (Some(at(1, 8)), vec![BOOKED, FREE, FREE, FREE]));
}

#[test]
fn a_snapshot_counts_only_under_the_subscription_that_it_was_fetched_under() {
    let mut sync = subscribed();
    let fetch = sync.begin_fetch().unwrap();
    // What was published between the two subscriptions is in neither the snapshot nor the feed.
    sync.on_unsubscribed();
    sync.on_subscribed();
    assert_eq!(sync.install(fetch, &snapshot(at(1, 5), &[]), 0), Installed::Again);
    assert!(!sync.is_live() && sync.map().is_none());
    install(&mut sync, &snapshot(at(1, 6), &[]), Installed::Live);
}

#[test]
fn a_snapshot_older_than_the_room_is_not_taken() {
    for old in [at(2, 4), at(1, 100)] {
        let mut sync = live(at(2, 5));
        assert_eq!(sync.lose(Lost::Deaf), Heard::Lost(Lost::Deaf));
        install(&mut sync, &snapshot(old, &[]), Installed::Again);
        assert_eq!(sync.position(), Some(at(2, 5)));
        install(&mut sync, &snapshot(at(2, 5), &[]), Installed::Live);
    }
}

#[test]
fn what_is_heard_during_a_fetch_is_kept_and_applied_once() {
    let mut sync = subscribed();
    let fetch = sync.begin_fetch().unwrap();
    for message in [batch(at(1, 5), 0, HELD), batch(at(1, 6), 1, HELD), batch(at(1, 6), 1, HELD)] {
        assert_eq!(sync.on_feed(message), Heard::Nothing);
    }
    assert_eq!(sync.on_feed(batch(at(1, 7), 2, HELD)), Heard::Nothing);
    // The snapshot has the first of them, and what came of it.
    assert_eq!(sync.install(fetch, &snapshot(at(1, 5), &[0]), 0), Installed::Live);
    assert_eq!((sync.position(), statuses(&sync)), (Some(at(1, 7)), vec![BOOKED, HELD, HELD, FREE]));
    assert_eq!(sync.on_feed(batch(at(1, 8), 3, HELD)), Heard::Applied);
}

#[test]
fn a_snapshot_has_to_join_up_with_what_was_heard() {
    let later = [batch(at(1, 7), 1, HELD), batch(at(2, 1), 1, HELD), Some(FeedMessage::Reset { generation: 2 })];
    for message in later {
        let mut sync = subscribed();
        assert_eq!(sync.on_feed(message), Heard::Nothing);
        install(&mut sync, &snapshot(at(1, 5), &[]), Installed::Again);
        assert!(sync.map().is_none());
        // A later one has it.
        install(&mut sync, &snapshot(at(2, 1), &[1]), Installed::Live);
        assert_eq!(statuses(&sync), [FREE, BOOKED, FREE, FREE]);
    }
}

#[test]
fn an_opening_time_that_may_have_moved_is_fetched() {
    let message = |position| {
        let (sale, reason) = (SaleState::Before, Some(FeedReason::Sale));
        Some(FeedMessage::Batch { position, sale, reason, seats: vec![], holds: vec![] })
    };
    let mut sync = live(at(1, 5));
    assert_eq!(sync.on_feed(message(at(1, 6))), Heard::Lost(Lost::Opening));
    assert_eq!(sync.position(), Some(at(1, 5)), "nobody is brought there without the time");
    // Heard while the snapshot is on its way, it is not joined up either.
    let fetch = sync.begin_fetch().unwrap();
    assert_eq!(sync.on_feed(message(at(1, 7))), Heard::Nothing);
    assert_eq!(sync.install(fetch, &snapshot(at(1, 6), &[]), 0), Installed::Again);
    install(&mut sync, &snapshot(at(1, 7), &[]), Installed::Live);
    assert!(!sync.map().unwrap().covers(at(1, 6)), "whoever was here gets the snapshot");
}

#[test]
fn what_can_not_be_kept_or_read_is_fetched_again() {
    let mut sync = live(at(1, 5));
    assert_eq!(sync.on_feed(None), Heard::Lost(Lost::Malformed));
    let fetch = sync.begin_fetch().unwrap();
    let heard = BACKLOG_MAX as u64 + 1;
    for sequence in 6..6 + heard {
        assert_eq!(sync.on_feed(batch(at(1, sequence), 1, HELD)), Heard::Nothing);
    }
    // It would even fit: the one message that is left is the next.
    assert_eq!(sync.install(fetch, &snapshot(at(1, 4 + heard), &[]), 0), Installed::Again);
    install(&mut sync, &snapshot(at(1, 4 + heard), &[]), Installed::Live);
    assert_eq!(sync.position(), Some(at(1, 5 + heard)));
}
