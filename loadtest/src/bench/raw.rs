//! Redis without a core: the captured script calls, pipelined. What holds could cost at best.

use std::collections::VecDeque;

use anyhow::bail;
use bytes::{Buf as _, BytesMut};
use seatwire_protocol::HoldId;

use super::capture::Pattern;
use super::driver::{Answer, Op, Wire};

/// Holds and releases by script calls.
pub(super) struct Raw {
    hold: Pattern,
    release: Pattern,
    /// Redis answers in order.
    asked: VecDeque<(usize, Option<HoldId>)>,
}

impl Raw {
    pub(super) fn new((hold, release): (Pattern, Pattern)) -> Self {
        Self { hold, release, asked: VecDeque::new() }
    }
}

impl Wire for Raw {
    fn put(&mut self, out: &mut Vec<u8>, slot: usize, op: &Op) {
        match op {
            Op::Hold { customer, seats } => {
                let hold = HoldId(rand::random());
                self.hold.put(out, hold, customer, *seats);
                self.asked.push_back((slot, Some(hold)));
            }
            Op::Release { customer, hold } => {
                self.release.put(out, *hold, customer, [0; 3]);
                self.asked.push_back((slot, None));
            }
        }
    }

    fn take(&mut self, input: &mut BytesMut) -> anyhow::Result<Option<(usize, Answer)>> {
        let Some(length) = skip(input, 0)? else { return Ok(None) };
        let code = code(input.get(..length).unwrap_or_default()).to_owned();
        input.advance(length);
        let Some((slot, hold)) = self.asked.pop_front() else { bail!("an answer to nothing") };
        let answer = match (code.as_slice(), hold) {
            (b"OK", Some(hold)) => Answer::Held(hold),
            (b"OK", None) => Answer::Released,
            (b"TAKEN", _) => Answer::Refused,
            (other, _) => bail!("a script answered {}", String::from_utf8_lossy(other)),
        };
        Ok(Some((slot, answer)))
    }
}

/// Where the value that begins at `at` ends; `None` when it has not arrived whole.
pub(crate) fn skip(input: &[u8], at: usize) -> anyhow::Result<Option<usize>> {
    let Some((line, after)) = line(input, at) else { return Ok(None) };
    let (kind, text) = line.split_first().map_or((0, line), |(kind, text)| (*kind, text));
    let number = || std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
    match kind {
        b'+' | b':' | b',' | b'_' | b'#' => Ok(Some(after)),
        b'-' => bail!("redis: {}", String::from_utf8_lossy(text)),
        b'$' => {
            let end = usize::try_from(number()).map_or(after, |length| after + length + 2);
            Ok((input.len() >= end).then_some(end))
        }
        b'*' | b'>' => {
            let mut end = after;
            for _ in 0..number().max(0) {
                match skip(input, end)? {
                    Some(next) => end = next,
                    None => return Ok(None),
                }
            }
            Ok(Some(end))
        }
        other => bail!("redis answered a value of kind {other}"),
    }
}

fn line(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((rest.get(..end)?, at + end + 2))
}

/// The first string of a list.
pub(super) fn code(value: &[u8]) -> &[u8] {
    let first = line(value, 0).and_then(|(_, at)| line(value, at));
    first.and_then(|(_, at)| line(value, at)).map_or(b"", |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let answer = b"*3\r\n$2\r\nOK\r\n*2\r\n:1\r\n$3\r\na\r\n\r\n$-1\r\n";
        for cut in 0..answer.len() {
            assert_eq!(skip(&answer[..cut], 0).unwrap(), None, "{cut}");
        }
        assert_eq!(skip(answer, 0).unwrap(), Some(answer.len()));
        assert_eq!(code(answer), b"OK");
        assert!(skip(b"-ERR no\r\n", 0).is_err());
    }
}
