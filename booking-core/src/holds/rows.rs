//! The rows key: which seats are neighbours, and the runs for "best available". Its form is told in `scripts/show.lua`.

use super::ledger::SeatRun;

/// Packs the runs of a show with so many seats; nothing when it has none.
pub(super) fn pack(runs: &[SeatRun], seats: u32) -> Vec<u8> {
    if runs.is_empty() {
        return Vec::new();
    }
    let mut out = vec![0; seats.div_ceil(8) as usize];
    let rows: Vec<&[SeatRun]> = runs.chunk_by(|_, piece| piece.joined).collect();
    for row in rows {
        let first = row.first().map_or(0, |piece| piece.first.0);
        let count: u32 = row.iter().map(|piece| piece.count).sum();
        // Bit k of the map: whether seats k and k + 1 are neighbours.
        for seat in first..(first + count).min(seats).saturating_sub(1) {
            if let Some(byte) = out.get_mut(seat as usize / 8) {
                *byte |= 0x80 >> (seat % 8);
            }
        }
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&count.min(seats.saturating_sub(first)).to_be_bytes());
        out.extend_from_slice(&u16::try_from(row.len()).unwrap_or(u16::MAX).to_be_bytes());
        for piece in row {
            out.extend_from_slice(&piece.count.to_be_bytes());
            out.extend_from_slice(&piece.tier.to_be_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::SeatIndex;

    use super::*;

    #[test]
    fn neighbours_are_marked_and_pieces_of_one_run_stay_together() {
        let run = |first, count, tier, joined| SeatRun { first: SeatIndex(first), count, tier, joined };
        let packed = pack(&[run(8, 3, 1, false), run(0, 2, 1, false), run(2, 3, 2, true)], 11);
        assert_eq!(packed[..2], [0b1111_0000, 0b1100_0000]);
        let words = [[0, 0, 0, 8], [0, 0, 0, 3]].concat();
        assert_eq!(packed[2..12], [words, vec![0, 1]].concat());
        let second = [0, 0, 0, 0, 0, 0, 0, 5, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2];
        assert_eq!(packed[20..], second);
        assert!(pack(&[], 11).is_empty());
    }
}
