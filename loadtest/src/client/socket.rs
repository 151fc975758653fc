//! One connection: the upgrade, a task that reads into the state, a task that writes what is queued.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use seatwire_protocol::ws::{ClientMessage, SUBPROTOCOL_TOKEN_PREFIX};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::state::{Closed, Shared, State};
use super::wire::{Encoding, Incoming};
use super::{ClientError, ClientOptions, TokenBy};

/// Messages that wait to be written; a sender waits when it is full.
const OUTBOX_MAX: usize = 64;
/// How often what failed is asked again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Until the welcome tells the gateway's beat.
const SILENCE_MAX: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// Ends with its tasks when dropped.
#[derive(Debug)]
pub(super) struct Connection {
    outbox: mpsc::Sender<Message>,
    reading: watch::Sender<bool>,
    tasks: [AbortHandle; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Connection {
    pub(super) async fn open(options: &ClientOptions, shared: &Arc<Shared>) -> Result<Self, ClientError> {
        let socket = timeout(options.timeout, upgrade(options)).await;
        let waited = || ClientError::Timeout(options.timeout, "the upgrade".to_owned(), options.gateway.clone());
        let socket = socket.map_err(|_| waited())??;
        shared.update(State::on_connected);
        let (sink, stream) = socket.split();
        let (outbox, queue) = mpsc::channel(OUTBOX_MAX);
        let (reading, may_read) = watch::channel(true);
        if options.token_by == TokenBy::Message {
            let auth = ClientMessage::Auth { token: options.token.clone() };
            // The queue is empty and its reader starts below.
            let _ = outbox.try_send(options.encoding.encode(&auth));
        }
        let reader = Reader { stream, shared: Arc::clone(shared), outbox: outbox.clone(), encoding: options.encoding };
        let tasks =
            [tokio::spawn(reader.run(may_read)).abort_handle(), tokio::spawn(write(sink, queue)).abort_handle()];
        Ok(Self { outbox, reading, tasks })
    }

    pub(super) fn outbox(&self) -> mpsc::Sender<Message> {
        self.outbox.clone()
    }

    pub(super) fn set_reading(&self, reading: bool) {
        self.reading.send_replace(reading);
    }
}

async fn upgrade(options: &ClientOptions) -> Result<Socket, ClientError> {
    let address = options.gateway.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.ok_or_else(|| ClientError::Address(options.gateway.clone()))?;
    let stream = connect(address, options).await.map_err(|e| ClientError::Connect(address.to_owned(), e))?;
    let request = request(address, options).map_err(|e| ClientError::Address(format!("{address}: {e}")))?;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Http(response)) => {
            let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            Err(ClientError::Refused { status: response.status().as_u16(), body })
        }
        Err(other) => Err(ClientError::Broken(format!("upgrade: {other}"))),
    }
}

async fn connect(address: &str, options: &ClientOptions) -> std::io::Result<TcpStream> {
    let target = tokio::net::lookup_host(address).await?.next();
    let target = target.ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = options.source {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn request(address: &str, options: &ClientOptions) -> Result<Request, String> {
    let mut request = format!("ws://{address}/ws").into_client_request().map_err(|e| e.to_string())?;
    let mut protocols = options.encoding.subprotocol().to_owned();
    match options.token_by {
        _ if options.token.is_empty() => {}
        TokenBy::Subprotocol => protocols = format!("{protocols}, {SUBPROTOCOL_TOKEN_PREFIX}{}", options.token),
        TokenBy::Header => {
            let bearer = HeaderValue::try_from(format!("Bearer {}", options.token)).map_err(|e| e.to_string())?;
            request.headers_mut().insert("authorization", bearer);
        }
        TokenBy::Message => {}
    }
    if let Some(origin) = &options.origin {
        request.headers_mut().insert("origin", HeaderValue::try_from(origin).map_err(|e| e.to_string())?);
    }
    let protocols = HeaderValue::try_from(protocols).map_err(|e| e.to_string())?;
    request.headers_mut().insert("sec-websocket-protocol", protocols);
    Ok(request)
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        // The reader sees a broken connection and says why.
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

struct Reader {
    stream: SplitStream<Socket>,
    shared: Arc<Shared>,
    outbox: mpsc::Sender<Message>,
    encoding: Encoding,
}

impl Reader {
    async fn run(mut self, mut may_read: watch::Receiver<bool>) {
        let closed = match self.read(&mut may_read).await {
            Ok(closed) => closed,
            Err(broken) => Closed::dropped(&broken),
        };
        self.shared.update(|state| state.on_disconnected(closed));
    }

    /// Until the connection ends; an error is what broke it.
    async fn read(&mut self, may_read: &mut watch::Receiver<bool>) -> Result<Closed, String> {
        let mut retry = tokio::time::interval(RETRY_EVERY);
        let mut heard = Instant::now();
        loop {
            may_read.wait_for(|reading| *reading).await.map_err(|_| "dropped by this client")?;
            let message = tokio::select! {
                message = self.stream.next() => message,
                _ = retry.tick() => {
                    if heard.elapsed() > self.silence_max() {
                        return Err("no sign of life from the gateway".to_owned());
                    }
                    self.send(self.shared.update(State::retry)).await?;
                    continue;
                }
            };
            heard = Instant::now();
            match message.ok_or("end of stream")?.map_err(|error| error.to_string())? {
                Message::Close(close) => {
                    let code = close.as_ref().map(|close| close.code.into());
                    let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
                    return Ok(Closed { code, reason });
                }
                message if message.is_text() || message.is_binary() => self.take(&message).await?,
                _ => {}
            }
        }
    }

    async fn take(&self, message: &Message) -> Result<(), String> {
        let nonsense = |error| format!("a message that makes no sense: {error}");
        let asks = match self.encoding.decode(message).map_err(nonsense)? {
            Incoming::Frame(frame) => self.shared.update(|state| state.on_frame(frame)),
            Incoming::Message(message) => self.shared.update(|state| state.on_message(message)),
        };
        self.send(asks).await
    }

    /// Sends what the viewers ask for.
    async fn send(&self, asks: Vec<ClientMessage>) -> Result<(), String> {
        for ask in asks {
            self.shared.update(|state| state.on_sent(&ask));
            self.outbox.send(self.encoding.encode(&ask)).await.map_err(|_| "the writer is gone")?;
        }
        Ok(())
    }

    /// Twice the gateway's beat, plus the time a busy machine may need.
    fn silence_max(&self) -> Duration {
        let beat_ms = self.shared.read(State::beat_ms);
        beat_ms.map_or(SILENCE_MAX, |ms| Duration::from_millis(ms.saturating_mul(2)) + Duration::from_secs(5))
    }
}
