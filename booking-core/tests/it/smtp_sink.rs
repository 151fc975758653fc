//! A small SMTP server on a socket: takes mail, or does what it is told to instead, once for each message.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

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
}

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
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl SmtpSink {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // A client that hangs up is none of the server's errors.
                tokio::spawn(async move { serve(stream, &state).await.ok() });
            }
        });
        Self { address, state, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What becomes of the messages that come next; after them all are taken.
    pub(crate) fn expect(&self, next: &[Next]) {
        self.state.lock().unwrap().next.extend(next);
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Listens no more.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.task.abort();
        self.task.await.ok();
        self.address
    }
}

async fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    output.write_all(b"220 sink ESMTP\r\n").await?;
    let (mut to, mut next) = (String::new(), None);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb: String = line.chars().take(4).collect::<String>().to_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink\r\n250 8BITMIME".to_owned(),
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
                output.write_all(b"354 the message\r\n").await?;
                let text = message(&mut input).await?;
                if let Some(Next::End(code)) = next {
                    format!("{code} <{to}>: no")
                } else {
                    state.lock().unwrap().taken.push(Taken { to: to.clone(), text });
                    if matches!(next, Some(Next::Drop)) {
                        return Ok(());
                    }
                    "250 taken".to_owned()
                }
            }
            "QUIT" => {
                output.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 fine".to_owned(),
        };
        output.write_all(format!("{answer}\r\n").as_bytes()).await?;
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
