//! Leaves out what a Redis server publishes: reads the answers of one connection value by value and drops each array (or
//! push) that begins with "message". Confirmations and PONGs pass, so the subscriber believes that all is well.

use bytes::{Buf as _, Bytes, BytesMut};

/// What came of a server's words so far and is not a whole value yet.
#[derive(Debug, Default)]
pub(super) struct Deaf {
    rest: BytesMut,
}

impl Deaf {
    /// What of this piece, and of what was kept back before it, goes on. Not deaf, it is all of it.
    pub(super) fn piece(&mut self, piece: &[u8], deaf: bool) -> Bytes {
        self.rest.extend_from_slice(piece);
        if !deaf {
            return self.rest.split().freeze();
        }
        let mut heard = BytesMut::new();
        while let Some(length) = value(&self.rest) {
            let whole = self.rest.split_to(length);
            if !is_published(&whole) {
                heard.extend_from_slice(&whole);
            }
        }
        heard.freeze()
    }
}

/// `*3\r\n$7\r\nmessage\r\n…`, or `>3…` in RESP3.
pub(super) fn is_published(value: &[u8]) -> bool {
    let after_length = value.iter().position(|byte| *byte == b'\n').and_then(|end| value.get(end + 1..));
    matches!(value.first(), Some(b'*' | b'>'))
        && after_length.is_some_and(|rest| rest.starts_with(b"$7\r\nmessage\r\n"))
}

/// Bytes of the whole value at the start; `None` while some are missing.
pub(super) fn value(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (kind, number) = bytes.get(..end)?.split_first()?;
    let mut length = end + 2;
    // A length below zero is a null: nothing follows.
    let number: usize = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    match kind {
        b'$' | b'=' | b'!' if bytes.get(..end) != Some(b"$-1") => {
            length += number + 2;
            (bytes.len() >= length).then_some(length)
        }
        b'*' | b'>' | b'~' | b'%' | b'|' => {
            let values = if matches!(kind, b'%' | b'|') { number * 2 } else { number };
            for _ in 0..values {
                let mut rest = bytes;
                rest.advance(length);
                length += value(rest)?;
            }
            Some(length)
        }
        _ => Some(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_published_is_left_out_however_it_is_cut_into_pieces() {
        let subscribed = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nx\r\ny\r\n";
        let pong = "+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n$-1\r\n";
        let said = format!("{subscribed}{message}{pong}>{}{subscribed}", &message[1..]);
        for size in 1..said.len() {
            let mut deaf = Deaf::default();
            let heard: Vec<u8> = said.as_bytes().chunks(size).flat_map(|piece| deaf.piece(piece, true)).collect();
            assert_eq!(String::from_utf8(heard).unwrap(), format!("{subscribed}{pong}{subscribed}"));
        }
    }

    #[test]
    fn what_was_kept_back_goes_on_when_it_hears_again() {
        let mut deaf = Deaf::default();
        assert_eq!(deaf.piece(b"$4\r\nab", true), "");
        assert_eq!(deaf.piece(b"cd\r\n", false), "$4\r\nabcd\r\n");
    }
}
