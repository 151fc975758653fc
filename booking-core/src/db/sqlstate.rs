//! The SQLSTATE of an error, which diesel does not pass on. It decides whether a try is worth another one, and texts
//! depend on the server's language. So the code is put in front of the text while the error comes in over the wire:
//! "40P01: deadlock detected". Everything else passes through as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at a time.
const CHUNK: usize = 8 * 1024;
/// A message's kind and length, which does not count the kind.
const HEAD: usize = 5;
const ERROR: u8 = b'E';

/// A connection to PostgreSQL, without TLS, whose errors say their code.
pub(super) struct Coded<S> {
    socket: S,
    /// Read, and not looked at yet.
    raw: BytesMut,
    /// Looked at.
    ready: BytesMut,
    /// What is still to come of a message that is no error.
    passing: usize,
    chunk: Box<[u8]>,
}

impl<S> Coded<S> {
    pub(super) fn new(socket: S) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { socket, raw: BytesMut::new(), ready: BytesMut::new(), passing: 0, chunk }
    }

    fn look(&mut self) {
        loop {
            let passed = self.raw.split_to(self.passing.min(self.raw.len()));
            self.passing -= passed.len();
            self.ready.unsplit(passed);
            let mut head = self.raw.as_ref();
            if self.passing > 0 || head.len() < HEAD {
                return;
            }
            let kind = head.get_u8();
            let length = 1 + usize::try_from(head.get_u32()).unwrap_or(usize::MAX - 1);
            if kind != ERROR {
                self.passing = length;
            } else if self.raw.len() < length {
                return;
            } else {
                let message = self.raw.split_to(length).freeze();
                self.ready.put(with_code(&message).unwrap_or(message));
            }
        }
    }
}

/// An error's message with its code in front of its text; `None` when it is not as the protocol says.
fn with_code(message: &Bytes) -> Option<Bytes> {
    let fields = message.get(HEAD..)?;
    // Each a letter and a text that ends with 0.
    let fields: Vec<&[u8]> = fields.split(|byte| *byte == 0).filter(|field| !field.is_empty()).collect();
    let code = fields.iter().find_map(|field| field.strip_prefix(b"C"))?;
    let mut out = BytesMut::with_capacity(message.len() + code.len() + 2);
    out.put_u8(ERROR);
    out.put_u32(0);
    for field in &fields {
        let (kind, text) = field.split_first()?;
        out.put_u8(*kind);
        if *kind == b'M' {
            out.put_slice(code);
            out.put_slice(b": ");
        }
        out.put_slice(text);
        out.put_u8(0);
    }
    out.put_u8(0);
    let length = u32::try_from(out.len() - 1).ok()?;
    out.get_mut(1..HEAD)?.copy_from_slice(&length.to_be_bytes());
    Some(out.freeze())
}

/// The code in front of an error's text.
pub(super) fn code_of(text: &str) -> Option<&str> {
    let (code, _) = text.split_once(": ")?;
    (code.len() == 5 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())).then_some(code)
}

impl<S: AsyncRead + Unpin> AsyncRead for Coded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() {
            let mut chunk = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.raw.put_slice(chunk.filled());
            this.look();
        }
        let count = buf.remaining().min(this.ready.len());
        buf.put_slice(&this.ready.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.put_u32(4 + u32::try_from(body.len()).unwrap());
        out.extend_from_slice(body);
        out
    }

    #[tokio::test]
    async fn errors_say_their_code_however_they_are_cut_and_all_else_is_as_it_was() {
        let error = message(b'E', b"SFEHLER\0C40P01\0Mverklemmt\0\0");
        let coded = message(b'E', b"SFEHLER\0C40P01\0M40P01: verklemmt\0\0");
        let row = message(b'D', &[7; 20_000]);
        // No code, no end, nothing.
        let odd = [message(b'E', b"Mwhat\0\0"), message(b'E', b""), message(b'E', b"S")].concat();
        let ready = message(b'Z', b"I");
        let sent = [&row[..], &error, &odd, &ready, &error].concat();
        let expected = [&row[..], &coded, &odd, &ready, &coded].concat();
        for cut in [1, 2, 7, 4_096, 1 << 20] {
            let (mut server, client) = tokio::io::duplex(cut);
            let parts = sent.clone();
            let writing = tokio::spawn(async move { server.write_all(&parts).await.unwrap() });
            let mut heard = Vec::new();
            Coded::new(client).read_to_end(&mut heard).await.unwrap();
            writing.await.unwrap();
            assert!(heard == expected, "cut every {cut} bytes");
        }
    }

    #[test]
    fn a_code_is_read_from_a_text() {
        assert_eq!(code_of("40P01: deadlock detected"), Some("40P01"));
        for other in ["", "40P01", "error: 40P01", "connection closed", "40p01: x"] {
            assert_eq!(code_of(other), None, "{other}");
        }
    }
}
