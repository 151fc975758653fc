//! The least that a join can cost: one thread accepts, reads a request, answers 101, reads one frame and answers a
//! snapshot, with blocking calls, no token to check and nothing to remember.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{anyhow, bail};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::{SeatFrame, Snapshot};
use seatwire_protocol::{Position, SaleState, ShowId};

use crate::bench::crowd::{Crowd, Join};
use crate::bench::{cpu, pin};

/// Microseconds of processor time for each of these joins.
pub(super) fn storm(joins: &[Join], show: ShowId, seats: u32) -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let gateway = listener.local_addr()?;
    let frame = snapshot(show, seats)?;
    let mut crowd = Crowd::new()?;
    let joins: Vec<Join> = joins.iter().map(|join| Join { gateway, ..join.clone() }).collect();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener, joins.len(), &frame));
        super::storm(&mut crowd, &joins)?;
        let used = server.join().map_err(|_| anyhow!("the bare server fell"))??;
        Ok(cpu::micros_each(used, joins.len() as u64))
    })
}

fn serve(listener: &TcpListener, joins: usize, frame: &[u8]) -> anyhow::Result<u64> {
    pin::this_thread(pin::MEASURED);
    let mut streams = Vec::with_capacity(joins);
    let before = cpu::used_here();
    let mut bytes = [0; 4_096];
    for _ in 0..joins {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        for answer in [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], frame] {
            if stream.read(&mut bytes)? == 0 {
                bail!("a viewer left");
            }
            stream.write_all(answer)?;
        }
        streams.push(stream);
    }
    Ok(cpu::used_here().since(before).nanos)
}

fn snapshot(show: ShowId, seats: u32) -> anyhow::Result<Vec<u8>> {
    let (position, sale, statuses) = (Position::new(1, 1), SaleState::Open, PackedStatuses::new(seats));
    let snapshot = Snapshot { show, position, sale, opens_in_ms: 0, layout_version: 1, viewers: 1, statuses };
    let mut payload = Vec::new();
    SeatFrame::Snapshot(snapshot).put_packed(&mut payload);
    let mut frame = vec![0x82, 126];
    frame.extend_from_slice(&u16::try_from(payload.len())?.to_be_bytes());
    frame.extend_from_slice(&payload);
    Ok(frame)
}
