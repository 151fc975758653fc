//! The core's MessagePack port, as the driver uses it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use seatwire_protocol::codec::{self, Frame, KIND_ERROR, REPLY_BIT};
use seatwire_protocol::command::{Command, GetSnapshot, Hello, HoldSeats, ReleaseHold};
use seatwire_protocol::{
    CustomerId, ErrorBody, ErrorCode, HoldId, IdempotencyKey, PROTOCOL_VERSION, SeatIndex, ShowId,
};
use serde::Deserialize;

use super::driver::{Answer, Op, Wire, read_some};

/// Connects and shows the secret.
pub(super) fn connect(core: SocketAddr, secret: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(core)?;
    stream.set_nodelay(true)?;
    let hello = Hello {
        secret: secret.to_owned(),
        name: "bench".to_owned(),
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
    };
    let reply = ask(&mut stream, Hello::OP, codec::encode(&hello))?;
    if reply.kind != Hello::OP | REPLY_BIT {
        bail!("the core refused the handshake");
    }
    Ok(stream)
}

/// One command, and its answer.
pub(super) fn ask(stream: &mut TcpStream, op: u8, body: Vec<u8>) -> anyhow::Result<Frame> {
    let mut out = BytesMut::new();
    Frame::new(op, 1, body).put(&mut out);
    stream.write_all(&out)?;
    let mut input = BytesMut::new();
    loop {
        if let Some(frame) = Frame::take(&mut input)? {
            return Ok(frame);
        }
        read_some(stream, &mut input)?;
    }
}

/// The body of a snapshot command.
pub(super) fn snapshot_body(show: ShowId) -> Vec<u8> {
    codec::encode(&GetSnapshot { show })
}

/// Holds and releases on one show. Keys never repeat.
pub(super) struct Port {
    show: ShowId,
    key_prefix: String,
    keys: u64,
}

/// What the driver has to know of a reply.
#[derive(Deserialize)]
struct Held {
    hold: HoldId,
}

impl Port {
    pub(super) fn new(show: ShowId) -> Self {
        Self { show, key_prefix: uuid::Uuid::new_v4().simple().to_string(), keys: 0 }
    }
}

impl Wire for Port {
    fn put(&mut self, out: &mut Vec<u8>, slot: usize, op: &Op) {
        let show = self.show;
        let (kind, body) = match op {
            Op::Hold { customer, seats } => {
                self.keys += 1;
                let key = IdempotencyKey::new(&format!("{}{}", self.key_prefix, self.keys));
                let (Ok(key), Ok(customer)) = (key, CustomerId::new(customer)) else { return };
                let seats = seats.iter().copied().map(SeatIndex).collect();
                (HoldSeats::OP, codec::encode(&HoldSeats { show, customer, key, seats, best: None }))
            }
            Op::Release { customer, hold } => {
                let Ok(customer) = CustomerId::new(customer) else { return };
                (ReleaseHold::OP, codec::encode(&ReleaseHold { show, customer, hold: *hold }))
            }
        };
        let mut frame = BytesMut::new();
        Frame::new(kind, slot as u64, body).put(&mut frame);
        out.extend_from_slice(&frame);
    }

    fn take(&mut self, input: &mut BytesMut) -> anyhow::Result<Option<(usize, Answer)>> {
        let Some(frame) = Frame::take(input)? else { return Ok(None) };
        let slot = usize::try_from(frame.request_id)?;
        let answer = match frame.kind {
            KIND_ERROR => {
                let error: ErrorBody = codec::decode(&frame.body)?;
                if error.code != ErrorCode::Taken {
                    return Err(anyhow::Error::new(error)).context("not the answer that this benchmark is about");
                }
                Answer::Refused
            }
            kind if kind == HoldSeats::OP | REPLY_BIT => Answer::Held(codec::decode::<Held>(&frame.body)?.hold),
            _ => Answer::Released,
        };
        Ok(Some((slot, answer)))
    }
}
