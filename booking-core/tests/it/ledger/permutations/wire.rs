//! A door between one session and PostgreSQL: it reads the protocol, names statements, and holds each named one back
//! until it is let through.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a statement is called, by what its text holds; the first match counts. Anything else goes through unseen.
const NAMES: &[(&str, &[&str])] = &[
    ("commit", &["COMMIT"]),
    ("roll back", &["ROLLBACK"]),
    ("insert booking", &["INSERT INTO bookings"]),
    ("insert key", &["INSERT INTO idempotency_keys"]),
    ("lock seats", &["show_seats", "FOR UPDATE"]),
    ("change seats", &["UPDATE show_seats"]),
    ("lock event", &["FROM payment_events", "FOR UPDATE"]),
    ("store payment", &["INSERT INTO payments"]),
    ("lock payment", &["\"payments\"", "FOR UPDATE"]),
    ("look at inbox", &["payment_events e", "AS found"]),
    ("list overdue", &["FROM bookings b", "AS overdue_ms"]),
    ("lock booking", &["FROM bookings", "FOR UPDATE"]),
    ("look at booking", &["FROM bookings", "AS overdue"]),
    ("change sale", &["UPDATE shows"]),
];
/// Steps that take locks or give them back, and the look that a rescue is decided by.
pub(super) const LOCKING: &[&str] =
    &["commit", "roll back", "insert booking", "lock seats", "lock booking", "look at booking", "webhook"];
/// The fewest for a show of many bookings.
pub(super) const SEATS: &[&str] = &["commit", "lock seats", "webhook"];
/// Those between which two events of one payment can get in each other's way.
pub(super) const PAYING: &[&str] = &["commit", "roll back", "lock booking", "store payment"];
/// The fewest that tell apart who came first at which row.
pub(super) const ROWS: &[&str] = &["commit", "lock seats", "lock booking", "webhook"];

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Somewhere between two steps: in the product, or in the server.
    Running,
    /// Stopped before this step.
    Step(&'static str),
    Done,
}

/// The door of one session.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told to the runner.
    moved: Arc<Notify>,
    /// Told to the session.
    go: Notify,
}

struct State {
    at: At,
    pid: i32,
    /// Steps to stop before; `None`: every named one.
    steps: Option<&'static [&'static str]>,
    /// Codes of errors that the server answered.
    errors: Vec<String>,
    /// Transactions that were ended.
    ended: u64,
}

impl Door {
    pub(super) async fn open(server: SocketAddr, moved: Arc<Notify>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { at: At::Done, pid: 0, steps: None, errors: Vec::new(), ended: 0 });
        let shared = Arc::new(Shared { state, moved, go: Notify::new() });
        let door = Self { address, shared };
        let of = door.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(of.clone().questions(from_client, to_server));
                tokio::spawn(of.clone().answers(from_server, to_client));
            }
        });
        door
    }

    pub(super) fn at(&self) -> At {
        self.shared.state.lock().unwrap().at
    }

    /// The server process that answers behind the door; 0 before the first connection.
    pub(super) fn pid(&self) -> i32 {
        self.shared.state.lock().unwrap().pid
    }

    /// How many transactions of the session were ended.
    pub(super) fn ended(&self) -> u64 {
        self.shared.state.lock().unwrap().ended
    }

    /// Codes of the errors that the server answered since last asked.
    pub(super) fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().errors)
    }

    pub(super) fn begin(&self, steps: Option<&'static [&'static str]>) {
        let mut state = self.shared.state.lock().unwrap();
        state.at = At::Running;
        state.steps = steps;
    }

    pub(super) fn done(&self) {
        self.shared.state.lock().unwrap().at = At::Done;
        self.shared.moved.notify_one();
    }

    /// Lets the session take the step that it stopped before.
    pub(super) fn let_go(&self) {
        self.shared.state.lock().unwrap().at = At::Running;
        self.shared.go.notify_one();
    }

    /// Stops before a step until the runner lets it go.
    pub(super) async fn step(&self, name: &'static str) {
        {
            let mut state = self.shared.state.lock().unwrap();
            if state.at == At::Done || state.steps.is_some_and(|steps| !steps.contains(&name)) {
                return;
            }
            assert_eq!(state.at, At::Running, "one step at a time");
            state.at = At::Step(name);
        }
        self.shared.moved.notify_one();
        self.shared.go.notified().await;
    }

    async fn questions(self, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Option<()> {
        let mut from = BufReader::new(from);
        // The first message has no type.
        let length = from.read_u32().await.ok()?;
        to.write_u32(length).await.ok()?;
        pass(&mut from, &mut to, length).await?;
        let mut prepared: HashMap<String, Option<&'static str>> = HashMap::new();
        loop {
            let (kind, body) = message(&mut from).await?;
            let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            let step = match kind {
                b'P' => {
                    prepared.insert(texts.next()?, name_of(&texts.next()?));
                    None
                }
                b'B' => prepared.get(&texts.nth(1)?).copied().flatten(),
                b'Q' => name_of(&texts.next()?),
                _ => None,
            };
            if let Some(step) = step {
                self.step(step).await;
            }
            if matches!(step, Some("commit" | "roll back")) {
                self.shared.state.lock().unwrap().ended += 1;
            }
            send(&mut to, kind, &body).await?;
        }
    }

    async fn answers(self, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Option<()> {
        let mut from = BufReader::new(from);
        loop {
            let (kind, body) = message(&mut from).await?;
            if kind == b'K' {
                self.shared.state.lock().unwrap().pid = i32::from_be_bytes(body.get(..4)?.try_into().ok()?);
            } else if kind == b'E' {
                let code = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C'));
                let code = String::from_utf8_lossy(code?.get(1..)?).into_owned();
                self.shared.state.lock().unwrap().errors.push(code);
            }
            send(&mut to, kind, &body).await?;
        }
    }
}

fn name_of(sql: &str) -> Option<&'static str> {
    NAMES.iter().find(|(_, parts)| parts.iter().all(|part| sql.contains(part))).map(|(name, _)| *name)
}

async fn message(from: &mut BufReader<OwnedReadHalf>) -> Option<(u8, Vec<u8>)> {
    let kind = from.read_u8().await.ok()?;
    let length = from.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
    from.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

async fn send(to: &mut OwnedWriteHalf, kind: u8, body: &[u8]) -> Option<()> {
    let mut out = vec![kind];
    out.extend_from_slice(&u32::try_from(body.len() + 4).ok()?.to_be_bytes());
    out.extend_from_slice(body);
    to.write_all(&out).await.ok()
}

async fn pass(from: &mut BufReader<OwnedReadHalf>, to: &mut OwnedWriteHalf, length: u32) -> Option<()> {
    let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
    from.read_exact(&mut body).await.ok()?;
    to.write_all(&body).await.ok()
}
