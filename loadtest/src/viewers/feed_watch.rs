//! Listens in on a show's feed beside the gateways, for the moment at which each change was published. It misses what is
//! published while its own connection is cut; of that no times are taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use seatwire_protocol::ShowId;
use seatwire_protocol::feed::{FeedMessage, feed_channel};

use crate::bench::crowd::Published;
use crate::bench::raw;

/// Listens in a thread of its own until it is dropped or told of another server.
pub(super) struct FeedWatch {
    show: ShowId,
    published: Arc<Published>,
    /// Whoever finds another number here than its own ends.
    current: Arc<AtomicU64>,
}

impl FeedWatch {
    pub(super) fn new(show: ShowId, published: Arc<Published>) -> Self {
        Self { show, published, current: Arc::default() }
    }

    /// From now on to this server.
    pub(super) fn listen(&self, redis: &str) {
        let own = self.current.fetch_add(1, Ordering::Relaxed) + 1;
        let (show, published, current) = (self.show, Arc::clone(&self.published), Arc::clone(&self.current));
        let redis = redis.trim_start_matches("redis://").to_owned();
        std::thread::spawn(move || {
            while current.load(Ordering::Relaxed) == own {
                // A server that is away is back soon.
                let _ = follow(&redis, show, &published, || current.load(Ordering::Relaxed) == own);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }
}

impl Drop for FeedWatch {
    fn drop(&mut self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }
}

fn follow(redis: &str, show: ShowId, published: &Published, goes_on: impl Fn() -> bool) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(redis)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let channel = feed_channel(show);
    let length = channel.len();
    stream.write_all(format!("*2\r\n$9\r\nSUBSCRIBE\r\n${length}\r\n{channel}\r\n").as_bytes())?;
    let (mut input, mut piece) = (Vec::new(), [0; 16 << 10]);
    while goes_on() {
        let count = match stream.read(&mut piece) {
            Ok(0) => bail!("the end"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        input.extend_from_slice(piece.get(..count).unwrap_or_default());
        let mut used = 0;
        while let Some(end) = raw::skip(&input, used)? {
            let message = input.get(used..end).context("a piece of the input")?;
            if let Some(FeedMessage::Batch { position, .. }) = payload(message).and_then(FeedMessage::parse) {
                published.note(position, now);
            }
            used = end;
        }
        input.drain(..used);
    }
    Ok(())
}

/// The last string of a list.
fn payload(list: &[u8]) -> Option<&[u8]> {
    let (mut at, mut last) = (list.windows(2).position(|pair| pair == b"\r\n")? + 2, None);
    while let Some(end) = raw::skip(list, at).ok().flatten().filter(|end| *end > at) {
        last = list.get(at..end);
        at = end;
    }
    let last = last.filter(|value| value.starts_with(b"$"))?;
    let begin = last.windows(2).position(|pair| pair == b"\r\n")? + 2;
    last.get(begin..last.len().checked_sub(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_the_last_string_of_a_message() {
        assert_eq!(payload(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n"), Some(&b"a\r\nb"[..]));
        assert_eq!(payload(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"), None);
    }
}
