//! Bytes straight into a TCP socket, for what no well-behaved client library sends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that neither answers nor closes within this time has no clear answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Raw(TcpStream);

impl Raw {
    /// `address` with or without `http://`.
    pub(super) async fn connect(address: &str) -> Self {
        Self(TcpStream::connect(address.trim_start_matches("http://")).await.expect("the door is open"))
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // The other side may have closed already; what it said is read below.
        let _ = self.0.write_all(bytes).await;
    }

    /// Everything until the other side closes, or until `enough`; `None` when neither comes.
    pub(super) async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let read = async {
            while !enough(&out) {
                match self.0.read_buf(&mut out).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
            }
        };
        timeout(ANSWER_WITHIN, read).await.ok().map(|()| out)
    }

    /// Everything until the other side closes.
    pub(super) async fn read_to_end(&mut self) -> Option<Vec<u8>> {
        self.read_until(|_| false).await
    }
}

/// Sends an HTTP request as it is, and returns the status line's number and the whole answer; 0 for a bare close.
pub(super) async fn http(address: &str, request: &[u8]) -> (u16, String) {
    let mut raw = Raw::connect(address).await;
    raw.send(request).await;
    let has_body = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        length.is_none_or(|length: usize| body.len() >= length)
    };
    let answer = raw.read_until(has_body).await;
    let text = answer.map_or_else(|| "no answer".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}
