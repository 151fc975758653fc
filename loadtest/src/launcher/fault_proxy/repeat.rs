//! Sends what it carries again: each whole message a second time, behind some later ones, and now and then two neighbours
//! the other way round. It has to know where a message ends, and so must have carried the connection from its beginning.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::deaf;

/// How messages are told apart, and which of them are sent again.
#[derive(Debug, Clone, Copy)]
struct Grammar {
    /// Bytes of the whole message at the start; `None` while some are missing.
    length: fn(&[u8]) -> Option<usize>,
    is_repeated: fn(&[u8]) -> bool,
    /// Whether neighbours may change places.
    swaps: bool,
}

#[derive(Debug)]
pub(super) struct Repeat {
    grammar: Grammar,
    /// What came so far and is no whole message yet.
    rest: BytesMut,
    /// Sent once.
    kept: VecDeque<Bytes>,
    /// Waits for its successor, to follow it.
    held: Option<Bytes>,
    count: usize,
}

impl Repeat {
    /// What a Redis server publishes.
    pub(super) fn published() -> Self {
        Self::of(Grammar { length: deaf::value, is_repeated: deaf::is_published, swaps: true })
    }

    /// Commands to a core. The first frame of a connection is the handshake.
    pub(super) fn commands() -> Self {
        Self::of(Grammar { length: frame, is_repeated: |_| true, swaps: false })
    }

    fn of(grammar: Grammar) -> Self {
        Self { grammar, rest: BytesMut::new(), kept: VecDeque::new(), held: None, count: 0 }
    }

    /// What goes on for this piece. Once it is off, what was held back goes on and nothing comes twice.
    pub(super) fn piece(&mut self, piece: &[u8], on: bool) -> Bytes {
        self.rest.extend_from_slice(piece);
        let mut out = BytesMut::new();
        if !on {
            out.extend_from_slice(&self.held.take().unwrap_or_default());
            out.extend_from_slice(&self.rest.split());
            return out.freeze();
        }
        while let Some(length) = (self.grammar.length)(&self.rest) {
            let whole = self.rest.split_to(length).freeze();
            self.message(whole, &mut out);
        }
        out.freeze()
    }

    fn message(&mut self, whole: Bytes, out: &mut BytesMut) {
        self.count += 1;
        if self.count == 1 || !(self.grammar.is_repeated)(&whole) {
            out.extend_from_slice(&whole);
            return;
        }
        if self.grammar.swaps && self.held.is_none() && self.count.is_multiple_of(SWAP_EVERY) {
            self.held = Some(whole);
            return;
        }
        out.extend_from_slice(&whole);
        self.kept.push_back(whole);
        if let Some(held) = self.held.take() {
            out.extend_from_slice(&held);
            self.kept.push_back(held);
        }
        while self.kept.len() > BEHIND {
            out.extend_from_slice(&self.kept.pop_front().unwrap_or_default());
        }
    }
}

/// A big-endian length, and as many bytes.
fn frame(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?.checked_add(4)?;
    (bytes.len() >= length).then_some(length)
}

/// A message comes again behind so many later ones.
const BEHIND: usize = 3;
const SWAP_EVERY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8) -> Vec<u8> {
        [0, 0, 0, 1, number].to_vec()
    }

    #[test]
    fn every_command_but_the_handshake_comes_twice_behind_later_ones_however_it_is_cut() {
        let said: Vec<u8> = (0..7).flat_map(message).collect();
        for size in 1..said.len() {
            let mut repeat = Repeat::commands();
            let heard: Vec<u8> = said.chunks(size).flat_map(|piece| repeat.piece(piece, true)).collect();
            let wanted: Vec<u8> = [0, 1, 2, 3, 4, 1, 5, 2, 6, 3].into_iter().flat_map(message).collect();
            assert_eq!(heard, wanted);
        }
    }

    #[test]
    fn what_is_published_changes_places_and_all_of_it_arrives_at_last() {
        let said = |number: usize| format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n{number:02}\r\n");
        let mut repeat = Repeat::published();
        let mut heard = Vec::new();
        for number in 1..=20 {
            heard.extend(repeat.piece(said(number).as_bytes(), true));
        }
        heard.extend(repeat.piece(said(21).as_bytes(), false));
        let heard = String::from_utf8(heard).unwrap();
        let at = |number: usize| heard.find(&said(number)).unwrap();
        assert!(at(9) < at(8) && at(7) < at(9) && at(20) < at(21), "{heard}");
        assert!(heard.matches(&said(5)).count() == 2 && (1..=21).all(|number| heard.contains(&said(number))));
    }
}
