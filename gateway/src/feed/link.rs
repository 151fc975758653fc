//! The connection to Redis. It reads only when the subscriber does, and never more than a little: a gateway that falls
//! behind leaves the rest to TCP, and so to Redis, which cuts off a subscriber whose output exceeds its limit
//! (`client-output-buffer-limit pubsub`). Then every room is stale, and nothing has piled up here.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use redis::{ConnectionAddr, IntoConnectionInfo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::resp::{self, Said, Unheard};

/// Bytes asked for at a time.
const READ_BYTES: usize = 64 << 10;
/// Silence that ends a connection of which an answer is expected, and time for what is written.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("the address can't be used: {0}")]
    Address(#[from] redis::RedisError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Silent,
    #[error("closed by the server")]
    Closed,
    #[error("refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Unheard(#[from] Unheard),
    #[error("a room stayed deaf although it was subscribed again")]
    Deaf,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is logged in.
pub struct Link {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

impl Link {
    /// Connects to the Redis of a URL.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn open(url: &str) -> Result<Self, FeedError> {
        let info = url.into_connection_info()?;
        let stream: Box<dyn Stream> = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
            _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
        };
        let mut link = Self { stream, input: BytesMut::new() };
        let settings = info.redis_settings();
        if let Some(password) = settings.password() {
            let user = settings.username().unwrap_or("default");
            link.send(["AUTH", user, password].into_iter()).await?;
            link.wait_for(&mut |said| matches!(said, Said::Ok)).await?;
        }
        Ok(link)
    }

    /// Sends a command; its answer comes in order.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn send<'a>(&mut self, parts: impl ExactSizeIterator<Item = &'a str>) -> Result<(), FeedError> {
        let mut out = BytesMut::new();
        resp::put_command(&mut out, parts);
        timeout(ANSWER_MAX, self.stream.write_all(&out)).await.map_err(|_| FeedError::Silent)??;
        Ok(())
    }

    /// Waits for more to be said. Loses nothing when it is dropped before it is ready.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn read(&mut self) -> Result<(), FeedError> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(FeedError::Closed),
            _ => Ok(()),
        }
    }

    /// Takes everything that was said until now, in order.
    ///
    /// # Errors
    /// [`FeedError`], also when the server refused something.
    pub fn take(&mut self, on_said: &mut impl FnMut(Said<'_>)) -> Result<(), FeedError> {
        let mut used = 0_usize;
        let ended = loop {
            match resp::read(self.input.get(used..).unwrap_or_default()) {
                Ok(Some((Said::Refused(text), _))) => break Err(FeedError::Refused(text.to_owned())),
                Ok(Some((said, length))) => {
                    on_said(said);
                    used = used.saturating_add(length);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.input.advance(used);
        ended
    }

    /// Reads on until `on_said` says that the awaited answer has come; everything said is handed to it. Whatever the
    /// server says is a sign of life: a long backlog before the answer is no silence.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn wait_for(&mut self, on_said: &mut impl FnMut(Said<'_>) -> bool) -> Result<(), FeedError> {
        let mut answered = false;
        loop {
            self.take(&mut |said| answered |= on_said(said))?;
            if answered {
                return Ok(());
            }
            timeout(ANSWER_MAX, self.read()).await.map_err(|_| FeedError::Silent)??;
        }
    }
}
