//! A small SMTP server on a socket: takes mail, or does what it is told to instead, once for each message. With TLS from
//! the start, after STARTTLS, or not at all.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What becomes of the next message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// This answer to RCPT; the address is in its text, as servers do.
    Recipient(u16),
    /// This answer to the end of the message.
    End(u16),
    /// The message is taken, but the connection is lost before the answer.
    Drop,
}

/// A message that was taken: to whom, and all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) to: String,
    pub(crate) text: String,
    /// Over TLS.
    pub(crate) secured: bool,
}

/// How a server does TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    FromTheStart,
    /// After STARTTLS.
    Upgraded,
}

/// A self-made certificate with its key.
pub(crate) struct Identity {
    pub(crate) pem: String,
    acceptor: TlsAcceptor,
}

impl Identity {
    pub(crate) fn of(host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        Self { pem: made.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

/// Plain, or TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Taken {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{head}")).to_owned()
    }
}

#[derive(Default)]
struct State {
    next: VecDeque<Next>,
    taken: Vec<Taken>,
}

pub(crate) struct SmtpSink {
    pub(crate) address: SocketAddr,
    tls: Option<Tls>,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl SmtpSink {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// At an address that is kept for it.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self::listen(address, None).await
    }

    pub(crate) async fn with_tls(identity: &Identity, tls: Tls) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Some((tls, identity.acceptor.clone()))).await
    }

    async fn listen(address: SocketAddr, tls: Option<(Tls, TlsAcceptor)>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, how) = (Arc::clone(&state), tls.as_ref().map(|(tls, _)| *tls));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                // A client that hangs up, or that does not like the certificate, is none of the server's errors.
                tokio::spawn(async move { answer(stream, tls, &state).await.ok() });
            }
        });
        Self { address, tls: how, state, task }
    }

    pub(crate) fn url(&self) -> String {
        match self.tls {
            None => format!("smtp://{}", self.address),
            Some(Tls::Upgraded) => format!("smtp://{}?tls=required", self.address),
            Some(Tls::FromTheStart) => format!("smtps://{}", self.address),
        }
    }

    /// What becomes of the messages that come next; after them all are taken.
    pub(crate) fn expect(&self, next: &[Next]) {
        self.state.lock().unwrap().next.extend(next);
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Listens no more.
    pub(crate) async fn stop(self) {
        self.task.abort();
        self.task.await.ok();
    }
}

async fn answer(stream: impl Stream, tls: Option<(Tls, TlsAcceptor)>, state: &Mutex<State>) -> std::io::Result<()> {
    match tls {
        Some((Tls::FromTheStart, acceptor)) => {
            let mut stream = acceptor.accept(stream).await?;
            stream.write_all(GREETING).await?;
            serve(stream, false, true, state).await?;
        }
        Some((Tls::Upgraded, acceptor)) => {
            let mut stream = stream;
            stream.write_all(GREETING).await?;
            if let Some(stream) = serve(stream, true, false, state).await? {
                serve(acceptor.accept(stream).await?, false, true, state).await?;
            }
        }
        None => {
            let mut stream = stream;
            stream.write_all(GREETING).await?;
            serve(stream, false, false, state).await?;
        }
    }
    Ok(())
}

const GREETING: &[u8] = b"220 sink ESMTP\r\n";

/// Until the client leaves, or wants TLS: then the stream is given back.
async fn serve<S: Stream>(
    stream: S,
    offers_tls: bool,
    secured: bool,
    state: &Mutex<State>,
) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    let (mut to, mut next) = (String::new(), None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let verb: String = line.chars().take(4).collect::<String>().to_uppercase();
        let answer = match verb.as_str() {
            "EHLO" if offers_tls => "250-sink\r\n250-STARTTLS\r\n250 8BITMIME".to_owned(),
            "EHLO" => "250-sink\r\n250 8BITMIME".to_owned(),
            "STAR" if offers_tls => {
                stream.write_all(b"220 go on\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            "MAIL" if offers_tls => "530 not in the clear".to_owned(),
            "MAIL" => {
                next = state.lock().unwrap().next.pop_front();
                "250 go on".to_owned()
            }
            "RCPT" => {
                to = line.trim().trim_start_matches("RCPT TO:<").split('>').next().unwrap_or_default().to_owned();
                match next {
                    Some(Next::Recipient(code)) => format!("{code} <{to}>: not here"),
                    _ => "250 go on".to_owned(),
                }
            }
            "DATA" => {
                stream.write_all(b"354 the message\r\n").await?;
                let text = message(&mut stream).await?;
                if let Some(Next::End(code)) = next {
                    format!("{code} <{to}>: no")
                } else {
                    state.lock().unwrap().taken.push(Taken { to: to.clone(), text, secured });
                    if matches!(next, Some(Next::Drop)) {
                        return Ok(None);
                    }
                    "250 taken".to_owned()
                }
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(None);
            }
            _ => "250 fine".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// Up to the single dot; dots at the start of lines are doubled on the wire.
async fn message(input: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
