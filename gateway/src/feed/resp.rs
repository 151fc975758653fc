//! As much of Redis' protocol as a subscriber needs: commands out; messages, confirmations and pongs in. Whatever else a
//! server says ends the connection. Pure.

use bytes::{BufMut, BytesMut};

/// A payload may have this many bytes: a batch of every seat of the largest show takes less than a third.
const BULK_BYTES_MAX: usize = 1 << 20;
/// A line without a payload: lengths, `+OK`, errors.
const LINE_BYTES_MAX: usize = 512;
/// Parts of what is published or confirmed.
const PARTS_MAX: usize = 3;

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    Message {
        channel: &'a str,
        payload: &'a [u8],
    },
    Subscribed(&'a str),
    Unsubscribed,
    Pong,
    /// To a command of the handshake.
    Ok,
    Refused(&'a str),
}

/// What came is not Redis' protocol, or not what a subscriber is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what Redis tells a subscriber")]
pub struct Unheard;

/// Appends a command.
pub fn put_command<'a>(out: &mut BytesMut, parts: impl ExactSizeIterator<Item = &'a str>) {
    out.put_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.put_slice(format!("${}\r\n", part.len()).as_bytes());
        out.put_slice(part.as_bytes());
        out.put_slice(b"\r\n");
    }
}

/// Reads what the server said first, and how many bytes it took; `None` while some are missing.
///
/// # Errors
/// [`Unheard`].
pub fn read(input: &[u8]) -> Result<Option<(Said<'_>, usize)>, Unheard> {
    let mut reader = Reader { input, at: 0 };
    match reader.said() {
        Ok(said) => Ok(Some((said, reader.at))),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Bad) => Err(Unheard),
    }
}

enum Stop {
    Short,
    Bad,
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

/// One part of an array.
enum Part<'a> {
    Bulk(&'a [u8]),
    Other,
}

impl<'a> Reader<'a> {
    fn said(&mut self) -> Result<Said<'a>, Stop> {
        let line = self.line()?;
        match line.split_first() {
            Some((b'+', b"PONG")) => Ok(Said::Pong),
            Some((b'+', _)) => Ok(Said::Ok),
            // A server that can't write its files refuses writes, and a PING with them. It is there, and so is its map.
            Some((b'-', text)) if text.starts_with(b"MISCONF ") => Ok(Said::Pong),
            Some((b'-', text)) => Ok(Said::Refused(std::str::from_utf8(text).map_err(|_| Stop::Bad)?)),
            // An array, or the push of later versions.
            Some((b'*' | b'>', count)) => self.told(number(count)?),
            _ => Err(Stop::Bad),
        }
    }

    fn told(&mut self, count: usize) -> Result<Said<'a>, Stop> {
        if count == 0 || count > PARTS_MAX {
            return Err(Stop::Bad);
        }
        let Part::Bulk(kind) = self.part()? else { return Err(Stop::Bad) };
        let mut rest = [Part::Other, Part::Other];
        for part in rest.iter_mut().take(count.saturating_sub(1)) {
            *part = self.part()?;
        }
        match (kind, rest) {
            (b"message", [Part::Bulk(channel), Part::Bulk(payload)]) => {
                Ok(Said::Message { channel: text(channel)?, payload })
            }
            (b"subscribe", [Part::Bulk(channel), Part::Other]) => Ok(Said::Subscribed(text(channel)?)),
            (b"unsubscribe", _) => Ok(Said::Unsubscribed),
            (b"pong", _) => Ok(Said::Pong),
            _ => Err(Stop::Bad),
        }
    }

    fn part(&mut self) -> Result<Part<'a>, Stop> {
        let line = self.line()?;
        match line.split_first() {
            Some((b':', _)) => Ok(Part::Other),
            // The null of an unsubscription from nothing.
            Some((b'$', b"-1")) => Ok(Part::Other),
            Some((b'$', length)) => {
                let length = number(length)?;
                if length > BULK_BYTES_MAX {
                    return Err(Stop::Bad);
                }
                let end = self.at.saturating_add(length);
                let bulk = self.input.get(self.at..end).ok_or(Stop::Short)?;
                match self.input.get(end..end.saturating_add(2)) {
                    Some(b"\r\n") => self.at = end.saturating_add(2),
                    Some(_) => return Err(Stop::Bad),
                    None => return Err(Stop::Short),
                }
                Ok(Part::Bulk(bulk))
            }
            _ => Err(Stop::Bad),
        }
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let head = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
        match head.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => {
                self.at = self.at.saturating_add(end).saturating_add(2);
                head.get(..end).ok_or(Stop::Bad)
            }
            None if head.len() < LINE_BYTES_MAX => Err(Stop::Short),
            None => Err(Stop::Bad),
        }
    }
}

fn number(digits: &[u8]) -> Result<usize, Stop> {
    text(digits)?.parse().map_err(|_| Stop::Bad)
}

fn text(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|_| Stop::Bad)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLD: &[u8] = b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$7\r\ncontrol\r\n:1\r\n\
        *3\r\n$7\r\nmessage\r\n$7\r\ncontrol\r\n$4\r\n\r\n\x00\xFF\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n\
        *3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n>2\r\n$4\r\npong\r\n$0\r\n\r\n\
        -MISCONF Errors writing to the AOF file: No space left on device\r\n-NOAUTH Authentication required.\r\n";

    #[test]
    fn all_that_a_subscriber_is_told_is_read_however_it_is_cut() {
        let message = Said::Message { channel: "control", payload: b"\r\n\x00\xFF" };
        let all = [
            Said::Ok,
            Said::Subscribed("control"),
            message,
            Said::Pong,
            Said::Unsubscribed,
            Said::Pong,
            Said::Pong,
            Said::Refused("NOAUTH Authentication required."),
        ];
        let mut rest = TOLD;
        for said in all {
            let (read_now, used) = read(rest).unwrap().unwrap();
            assert_eq!(read_now, said);
            for cut in 0..used {
                assert_eq!(read(&rest[..cut]), Ok(None), "{said:?} cut at {cut}");
            }
            rest = &rest[used..];
        }
        assert_eq!(read(rest), Ok(None));
    }

    #[test]
    fn what_is_no_subscribers_business_is_refused_before_it_is_waited_for() {
        let long = [b"+".as_slice(), &[b'x'; LINE_BYTES_MAX]].concat();
        let bad: [&[u8]; 11] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"*4294967296\r\n",
            b"*4\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*3\r\n$4294967296\r\n",
            b"*3\r\n$-7\r\n",
            b"*3\r\n*3\r\n",
            b"*3\r\n$7\r\nmessagexx",
            b"*3\r\n$7\r\nmessage\r\n$1\r\n\xFF\r\n$0\r\n\r\n",
            &long,
        ];
        for bytes in bad {
            assert_eq!(read(bytes), Err(Unheard), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_command_is_an_array_of_its_parts() {
        let mut out = BytesMut::new();
        put_command(&mut out, ["SUBSCRIBE", "feed:{1}:7"].into_iter());
        assert_eq!(out, b"*2\r\n$9\r\nSUBSCRIBE\r\n$10\r\nfeed:{1}:7\r\n"[..]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(at in 0..TOLD.len(), with: Vec<u8>, cut in 0..TOLD.len()) {
            let bytes = [&TOLD[..at], &with, &TOLD[cut..]].concat();
            let mut rest = &bytes[..];
            while let Ok(Some((_, used))) = read(rest) {
                prop_assert!(used > 0);
                rest = &rest[used..];
            }
        }
    }
}
