//! What encoding costs: `cargo bench -p seatwire-protocol`. Each figure stands beside the same types through plain
//! serde_json and rmp_serde, which is what a program without this crate would use; the bytes of each are printed first.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops at the first surprise; its items are macros'")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seatwire_protocol::codec::{Frame, decode, encode};
use seatwire_protocol::command::{Command, HoldSeats};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::{Delta, SeatFrame, Snapshot};
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId};

const SEATS: u32 = 20_000;

fn show() -> ShowId {
    ShowId::new(7).unwrap()
}

fn hold() -> HoldSeats {
    HoldSeats {
        show: show(),
        customer: "g_2f8a11c09e".parse().unwrap(),
        key: "3f1c2a90-77".parse().unwrap(),
        seats: vec![SeatIndex(4_711), SeatIndex(4_712), SeatIndex(4_713)],
        best: None,
    }
}

/// A delta over `changes` seats spread over the house.
fn delta(from: u64, changes: u32) -> SeatFrame {
    let every = (SEATS / changes).max(1);
    let seat = |n: u32| (SeatIndex(n * every), SeatStatus::from_bits(u8::try_from(n % 3).unwrap()));
    let seats = (0..changes).map(seat).collect();
    SeatFrame::Delta(Delta {
        show: show(),
        generation: 3,
        from,
        to: from + u64::from(changes),
        sale: SaleState::Open,
        viewers: 5_000,
        seats,
    })
}

fn snapshot() -> SeatFrame {
    let mut statuses = PackedStatuses::new(SEATS);
    for seat in (0..SEATS).step_by(3) {
        statuses.set(SeatIndex(seat), SeatStatus::Booked);
    }
    SeatFrame::Snapshot(Snapshot {
        show: show(),
        position: Position::new(3, 41),
        sale: SaleState::Open,
        opens_in_ms: 0,
        layout_version: 1,
        viewers: 5_000,
        statuses,
    })
}

fn packed(frame: &SeatFrame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.put_packed(&mut out);
    out
}

fn commands(c: &mut Criterion) {
    let hold = hold();
    let mut group = c.benchmark_group("hold command, encode and decode");
    group.bench_function("frame of the core's port", |b| {
        let mut wire = BytesMut::with_capacity(4_096);
        b.iter(|| {
            Frame::new(HoldSeats::OP, 42, encode(black_box(&hold))).put(&mut wire);
            decode::<HoldSeats>(&Frame::take(&mut wire).unwrap().unwrap().body).unwrap()
        });
    });
    group.bench_function("rmp_serde", |b| {
        b.iter(|| rmp_serde::from_slice::<HoldSeats>(&rmp_serde::to_vec_named(black_box(&hold)).unwrap()).unwrap());
    });
    group.bench_function("serde_json", |b| {
        b.iter(|| serde_json::from_slice::<HoldSeats>(&serde_json::to_vec(black_box(&hold)).unwrap()).unwrap());
    });
    group.finish();
}

fn deltas(c: &mut Criterion) {
    for changes in [3, 25, 250] {
        let frame = delta(41, changes);
        let SeatFrame::Delta(fields) = &frame else { unreachable!() };
        // What a program would send that serialises its own struct: the same facts, named.
        let named = (fields.generation, fields.from, fields.to, fields.sale, fields.viewers, &fields.seats);
        println!(
            "bytes a change, {changes} changes: packed {:.2}, json {:.2}, rmp_serde {:.2}, serde_json {:.2}",
            packed(&frame).len() as f64 / f64::from(changes),
            frame.to_json().len() as f64 / f64::from(changes),
            rmp_serde::to_vec(&named).unwrap().len() as f64 / f64::from(changes),
            serde_json::to_vec(&named).unwrap().len() as f64 / f64::from(changes),
        );
        let mut group = c.benchmark_group(format!("delta of {changes} seats, encode and decode"));
        group.throughput(Throughput::Elements(u64::from(changes)));
        group.bench_function("packed", |b| b.iter(|| SeatFrame::from_packed(&packed(black_box(&frame))).unwrap()));
        group.bench_function("json", |b| b.iter(|| SeatFrame::from_json(&black_box(&frame).to_json()).unwrap()));
        type Named = (u64, u64, u64, SaleState, u64, Vec<(SeatIndex, SeatStatus)>);
        group.bench_function("rmp_serde", |b| {
            b.iter(|| rmp_serde::from_slice::<Named>(&rmp_serde::to_vec(black_box(&named)).unwrap()).unwrap());
        });
        group.bench_function("serde_json", |b| {
            b.iter(|| serde_json::from_slice::<Named>(&serde_json::to_vec(black_box(&named)).unwrap()).unwrap());
        });
        group.finish();
    }
}

fn viewers(c: &mut Criterion) {
    let bytes = packed(&snapshot());
    println!("snapshot of {SEATS} seats: {} bytes", bytes.len());
    let mut group = c.benchmark_group("viewer");
    group.throughput(Throughput::Elements(u64::from(SEATS)));
    group.bench_function("snapshot of 20,000 seats, decode and apply", |b| {
        b.iter_batched_ref(
            || ShowViewer::new(show()),
            |viewer| viewer.on_frame(&SeatFrame::from_packed(black_box(&bytes)).unwrap()),
            BatchSize::SmallInput,
        );
    });
    let mut live = ShowViewer::new(show());
    live.on_frame(&snapshot());
    let bytes = packed(&delta(41, 25));
    group.throughput(Throughput::Elements(25));
    group.bench_function("delta of 25 seats, decode and apply", |b| {
        b.iter_batched_ref(
            || live.clone(),
            |viewer| viewer.on_frame(&SeatFrame::from_packed(black_box(&bytes)).unwrap()),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, commands, deltas, viewers);
criterion_main!(benches);
