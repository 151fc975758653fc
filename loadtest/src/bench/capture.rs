//! The very calls that a core makes, as Redis saw them: one hold and one release are watched through MONITOR and become
//! patterns in which only hold id, customer and seats change. So the reference always runs the present scripts with the
//! present keys and arguments.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use seatwire_protocol::HoldId;

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Fixed(Vec<u8>),
    Hold,
    Customer,
    /// The n-th seat.
    Seat(usize),
}

/// A script call that can be made again for another hold.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Part>);

/// What the watched hold was.
pub(super) struct Watched<'a> {
    pub(super) hold: HoldId,
    pub(super) customer: &'a str,
    pub(super) seats: [u32; 3],
}

/// An open MONITOR.
pub(super) struct Monitor(BufReader<TcpStream>);

const PATIENCE: Duration = Duration::from_secs(5);
const DIGEST_AT: usize = 1;

impl Monitor {
    pub(super) fn open(redis: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(redis)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line != "+OK\r\n" {
            bail!("MONITOR answered {line}");
        }
        Ok(Self(lines))
    }

    /// The next two different scripts that were called with this hold's id: hold, then release.
    pub(super) fn hold_and_release(mut self, watched: &Watched<'_>) -> anyhow::Result<(Pattern, Pattern)> {
        let mut hold: Option<Pattern> = None;
        loop {
            let mut line = Vec::new();
            self.0.read_until(b'\n', &mut line).context("the calls were not seen")?;
            let words = words(&line);
            // The customer by himself: the counting of his commands has him in the name of a key.
            let has = |wanted: &[u8]| words.iter().any(|word| word == wanted);
            let is_ours = words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"evalsha"))
                && has(&watched.hold.0)
                && has(watched.customer.as_bytes());
            if !is_ours {
                continue;
            }
            let pattern = Pattern::of(words, watched);
            match hold {
                None => hold = Some(pattern),
                Some(hold) if hold.0.get(DIGEST_AT) != pattern.0.get(DIGEST_AT) => return Ok((hold, pattern)),
                Some(_) => {}
            }
        }
    }
}

impl Pattern {
    fn of(words: Vec<Vec<u8>>, watched: &Watched<'_>) -> Self {
        let seat = |word: &[u8]| watched.seats.iter().position(|seat| seat.to_string().as_bytes() == word);
        let part = |word: Vec<u8>| {
            if word == watched.hold.0 {
                Part::Hold
            } else if word == watched.customer.as_bytes() {
                Part::Customer
            } else if let Some(index) = seat(&word) {
                Part::Seat(index)
            } else {
                Part::Fixed(word)
            }
        };
        Self(words.into_iter().map(part).collect())
    }

    /// Appends the call as Redis reads it.
    pub(super) fn put(&self, out: &mut Vec<u8>, hold: HoldId, customer: &str, seats: [u32; 3]) {
        // A Vec takes any write.
        let _ = write!(out, "*{}\r\n", self.0.len());
        for part in &self.0 {
            match part {
                Part::Fixed(bytes) => bulk(out, bytes),
                Part::Hold => bulk(out, &hold.0),
                Part::Customer => bulk(out, customer.as_bytes()),
                Part::Seat(index) => bulk(out, seats.get(*index).copied().unwrap_or(0).to_string().as_bytes()),
            }
        }
    }
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = write!(out, "${}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The quoted words of a line of MONITOR, without their escapes.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().skip_while(|byte| *byte != b']');
    while bytes.by_ref().any(|byte| byte == b'"') {
        let mut word = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => break,
                b'\\' => match bytes.next() {
                    Some(b'x') => {
                        let digits = [bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(b'0') as char);
                        word.push(u8::from_str_radix(&String::from_iter(digits), 16).unwrap_or(0));
                    }
                    Some(b'n') => word.push(b'\n'),
                    Some(b'r') => word.push(b'\r'),
                    Some(b't') => word.push(b'\t'),
                    Some(b'a') => word.push(7),
                    Some(b'b') => word.push(8),
                    Some(other) => word.push(other),
                    None => {}
                },
                other => word.push(other),
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_monitor_becomes_a_call_for_another_hold() {
        let watched = Watched { hold: HoldId(*b"\"\\\n\x00456789abcdef"), customer: "ann", seats: [7, 8, 9] };
        let line = br#"1700000000.1 [0 127.0.0.1:5] "EVALSHA" "d1" "\"\\\n\x00456789abcdef" "ann" "7" "8" "9" "70""#;
        let pattern = Pattern::of(words(line), &watched);
        let mut out = Vec::new();
        pattern.put(&mut out, HoldId([b'z'; 16]), "bob", [1, 22, 3]);
        let expected = ["EVALSHA", "d1", "zzzzzzzzzzzzzzzz", "bob", "1", "22", "3", "70"];
        let expected: String = expected.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        assert_eq!(String::from_utf8(out).unwrap(), format!("*8\r\n{expected}"));
    }
}
