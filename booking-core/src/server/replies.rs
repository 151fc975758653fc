//! Answers on their way to one connection: commands put them in any order, one writer writes all that is there.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use seatwire_protocol::codec::Frame;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Above this the session reads no more commands until the peer has taken its answers. What is in flight already may
/// still add to it, so the bound of memory is this plus the answers of the commands in flight.
const BYTES_MAX: usize = 8 << 20;
/// A peer that takes not one byte for this long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Replies {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    wake: Notify,
    /// The buffer was taken.
    taken: Notify,
}

#[derive(Default)]
struct State {
    out: BytesMut,
    finished: bool,
}

impl Replies {
    pub(super) fn put(&self, frame: &Frame) {
        frame.put(&mut self.lock().out);
        self.wake.notify_one();
    }

    /// Nothing more will come: the writer ends when it has written what is there.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.wake.notify_one();
    }

    /// Waits until there is room for more answers.
    pub(super) async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            if self.lock().out.len() <= BYTES_MAX {
                return;
            }
            taken.await;
        }
    }

    /// Writes until finished, or until the peer is gone.
    pub(super) async fn write_to(&self, mut writer: impl AsyncWrite + Unpin) {
        while let Some(mut out) = self.take().await {
            while out.has_remaining() {
                match tokio::time::timeout(WRITE_DEADLINE, writer.write_buf(&mut out)).await {
                    Ok(Ok(1..)) => {}
                    Ok(Ok(0) | Err(_)) => return,
                    Err(_) => {
                        tracing::warn!("closed: the peer took nothing for {WRITE_DEADLINE:?}");
                        return;
                    }
                }
            }
        }
        // A peer that is gone already needs no farewell.
        let _ = writer.shutdown().await;
    }

    async fn take(&self) -> Option<BytesMut> {
        loop {
            {
                let mut state = self.lock();
                if !state.out.is_empty() {
                    self.taken.notify_waiters();
                    return Some(std::mem::take(&mut state.out));
                }
                if state.finished {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is complete by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn everything_put_before_the_end_is_written_once() {
        let replies = Arc::new(Replies::default());
        let (writer, mut reader) = tokio::io::duplex(7);
        let task = tokio::spawn({
            let replies = Arc::clone(&replies);
            async move { replies.write_to(writer).await }
        });
        for id in 1..=3 {
            replies.put(&Frame::new(0x90, id, vec![0x80; 40]));
        }
        replies.finish();
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut bytes).await.unwrap();
        task.await.unwrap();
        let mut input = BytesMut::from(bytes.as_slice());
        let ids: Vec<u64> =
            std::iter::from_fn(|| Frame::take(&mut input).unwrap()).map(|frame| frame.request_id).collect();
        assert_eq!((ids, input.len()), (vec![1, 2, 3], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let replies = Replies::default();
        let (writer, _reader) = tokio::io::duplex(8);
        replies.put(&Frame::new(0x90, 1, vec![0x80; 40]));
        // With a paused clock this ends as soon as nothing else can happen, by the deadline.
        replies.write_to(writer).await;
    }
}
