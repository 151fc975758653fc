//! From where a viewer can be brought up to date, and how.

use super::*;
use crate::ws::frame::Encoding;

const SEATS: u32 = 100;

/// A map that began at sequence 5 of generation 2, and in which seats 0, 1 and 2 were held one after the other since.
fn map() -> SeatMap {
    let position = Position::new(2, 5);
    let statuses = PackedStatuses::new(SEATS).as_bytes().to_vec();
    let reply =
        SnapshotReply { position, sale: SaleState::Open, opens_in_ms: 0, layout_version: 1, seats: SEATS, statuses };
    let mut map = SeatMap::new(ShowId::new(1).unwrap(), &reply, 0).unwrap();
    for seat in 0..3 {
        map.apply(SaleState::Open, &[(SeatIndex(seat), SeatStatus::Held)]);
    }
    map
}

fn catch_up(cursor: Option<Position>) -> Option<SeatFrame> {
    let bytes = map().catch_up(cursor, Encoding::Json, 0, 0)?;
    // A header of 2 bytes, or of 4 for what is longer than 125.
    let payload = if bytes[1] < 126 { &bytes[2..] } else { &bytes[4..] };
    Some(SeatFrame::from_json(std::str::from_utf8(payload).unwrap()).unwrap())
}

#[test]
fn a_delta_brings_what_changed_since() {
    for (cursor, seats) in [(5, vec![0, 1, 2]), (6, vec![1, 2]), (7, vec![2])] {
        let Some(SeatFrame::Delta(delta)) = catch_up(Some(Position::new(2, cursor))) else { panic!("a delta") };
        assert_eq!((delta.generation, delta.from, delta.to), (2, cursor, 8));
        assert_eq!(delta.seats.iter().map(|(seat, _)| seat.0).collect::<Vec<_>>(), seats);
    }
    assert!(catch_up(Some(Position::new(2, 8))).is_none());
}

#[test]
fn who_was_never_here_gets_the_whole_map() {
    // Below the floor it is not known what changed; above, and in another generation, it is another timeline.
    let elsewhere = [(2, 4), (2, 0), (2, 9), (1, 6), (3, 6), (1, 8)].map(|(at, sequence)| Position::new(at, sequence));
    for cursor in elsewhere.map(Some).into_iter().chain([None]) {
        let Some(SeatFrame::Snapshot(whole)) = catch_up(cursor) else { panic!("a snapshot for {cursor:?}") };
        assert_eq!(whole.position, Position::new(2, 8));
        assert_eq!(whole.statuses.iter().filter(|status| *status == SeatStatus::Held).count(), 3);
    }
}

#[test]
fn what_changed_is_the_same_by_the_recent_changes_and_by_every_seat() {
    let mut map = map();
    // Many more changes than are kept; some seats change in each of them, some several times in one batch.
    for change in 0..2_000_u32 {
        let seats = [change % 7, change % 97, change % 7].map(SeatIndex);
        map.apply(SaleState::Open, &seats.map(|seat| (seat, SeatStatus::Held)));
        let here = map.position().sequence;
        for behind in [1, 2, 50, 90, 300] {
            let cursor = here.saturating_sub(behind).max(5);
            let every = (0..SEATS).filter(|seat| map.changed_at[*seat as usize] > cursor).map(SeatIndex);
            assert_eq!(map.changed_since(cursor), every.collect::<Vec<_>>(), "{behind} behind {here}");
        }
        assert!(map.recent.len() <= RECENT_MIN);
    }
    assert!(map.recent_from > 5);
    let whole = map.delta_since(Position::new(2, 5), 0).unwrap();
    assert_eq!(whole.seats.len(), 97);
    assert_eq!(map.delta_since(map.position(), 0), None);
    assert_eq!(map.delta_since(Position::new(2, 4), 0), None, "below the floor");
}
