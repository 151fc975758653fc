//! In which seats two maps differ, in words.

use seatwire_protocol::SeatIndex;
use seatwire_protocol::seat::PackedStatuses;

/// The first seats with both statuses, and how many more; `None` when the maps are the same.
pub(crate) fn difference(seen: &PackedStatuses, right: &PackedStatuses) -> Option<String> {
    let all = (0..seen.len().max(right.len())).map(SeatIndex);
    let differing: Vec<SeatIndex> = all.filter(|seat| seen.get(*seat) != right.get(*seat)).collect();
    let shown: Vec<String> = differing.iter().take(SHOWN).map(|seat| one(*seat, seen, right)).collect();
    let more = differing.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

fn one(seat: SeatIndex, seen: &PackedStatuses, right: &PackedStatuses) -> String {
    let word =
        |map: &PackedStatuses| map.get(seat).map_or_else(|| "missing".to_owned(), |status| format!("{status:?}"));
    format!("seat {} is seen as {} and is {}", seat.0, word(seen), word(right))
}

const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use seatwire_protocol::SeatStatus;

    use super::*;

    #[test]
    fn differing_seats_are_named_with_both_statuses() {
        let (mut seen, right) = (PackedStatuses::new(20), PackedStatuses::new(20));
        assert_eq!(difference(&seen, &right), None);
        assert!((3..13).all(|seat| seen.set(SeatIndex(seat), SeatStatus::Held)));
        let text = difference(&seen, &right).unwrap();
        assert!(text.starts_with("seat 3 is seen as Held and is Available, seat 4"), "{text}");
        assert!(text.ends_with("seat 10 is seen as Held and is Available and 2 more"), "{text}");
        let text = difference(&PackedStatuses::new(1), &PackedStatuses::new(2)).unwrap();
        assert_eq!(text, "seat 1 is seen as missing and is Available");
    }
}
